import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/core.js';
import { loadProcessCalls } from '../../src/engine/load.js';
import { type Child, startChild } from '../../src/sidecar/child.js';
import { Freezer, type FrozenState } from '../../src/sidecar/freeze.js';
import { leaderOf, MARK_VARIABLE, mappedWritable, standsStill } from '../../src/sidecar/proc.js';
import { surveyProcesses } from '../../src/sidecar/survey.js';
import { startWatchdog, type Watchdog } from '../../src/sidecar/watchdog.js';
import { ensureBuilt, jsonLines, PROGRAM, runCli, scratch, startCli, startProgram } from '../cli/cli-process.js';

const started: Child[] = [];
let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  // A test that failed half-way must not leave its application behind: it would slow down everything after it.
  for (const { pid } of started.splice(0)) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Ended already.
    }
  }
  await remove();
});

/** State letter of a process; empty when it is gone. */
function state(pid: number): string {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return line.slice(line.lastIndexOf(')') + 2, line.lastIndexOf(')') + 3);
  } catch {
    return '';
  }
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries += 1) {
    if (await what()) return;
    await pause(10);
  }
  throw new Error(`waited in vain: ${what}`);
}

async function lineOf(file: string): Promise<string> {
  let text = '';
  await until(async () => {
    text = await readFile(at(file), 'utf8').catch(() => '');
    return text.endsWith('\n');
  });
  return text.trim();
}

async function startMarked(script: string, mark: string): Promise<Child> {
  const env = { ...process.env, [MARK_VARIABLE]: mark };
  const child = await startChild({ command: ['sh', '-c', script], ownGroup: true, env, cwd });
  started.push(child);
  return child;
}

async function freezerOf(child: Child, mark: string, watchdog: Watchdog, ownGroup = true): Promise<Freezer> {
  const freezer = new Freezer({ ownGroup, mark, root: cwd, watchdog, clock: systemClock });
  await freezer.start(async () => child);
  return freezer;
}

/** On a busy machine not everybody stops in time; each try is given twice the time of the one before. */
async function frozenBy(freezer: Freezer): Promise<FrozenState> {
  for (let tries = 0; tries < 4; tries += 1) {
    const frozen = await freezer.freeze().catch(() => undefined);
    if (frozen) return frozen;
  }
  return freezer.freeze();
}

describe('Freezer', () => {
  it('stops and resumes the group, other sessions, and daemons that left everything', async () => {
    const script = `setsid sh -c 'echo $$ > session; exec sleep 30' &
(setsid sh -c 'echo $$ > daemon; exec sleep 30' &) ; sleep 30 & echo $! > background; wait`;
    const child = await startMarked(script, 'freeze-test-1');
    const files = await Promise.all(['session', 'daemon', 'background'].map(lineOf));
    const pids = [child.pid, ...files.map(Number)];
    const watchdog = await startWatchdog({ freezeFile: '' });
    const freezer = await freezerOf(child, 'freeze-test-1', watchdog);
    try {
      const frozen = await frozenBy(freezer);
      expect(pids.map(state)).toEqual(['T', 'T', 'T', 'T']);
      const pauseMs = await frozen.thaw();
      expect(pauseMs).toBeGreaterThan(0);
      expect(await frozen.thaw()).toBe(pauseMs);
      await until(() => pids.every((pid) => state(pid) === 'S'));
      await frozenBy(freezer);
      freezer.release();
      await until(() => pids.every((pid) => state(pid) === 'S'));
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGKILL');
      await child.ended;
      // A killed process takes a moment to be gone, and until then there is somebody to be stopped, who does not stop.
      await until(async () => (await (await frozenBy(freezer)).thaw()) === 0);
      watchdog.dismiss();
    }
  });

  it('catches an application that forks all the time', async () => {
    const child = await startMarked('while :; do (:; sleep 0.01) & done', 'freeze-test-2');
    const watchdog = await startWatchdog({ freezeFile: '' });
    const freezer = await freezerOf(child, 'freeze-test-2', watchdog);
    for (let round = 0; round < 5; round += 1) {
      const frozen = await frozenBy(freezer);
      const { members } = surveyProcesses([leaderOf(child.pid)], 'freeze-test-2');
      expect([...members].every((pid) => standsStill(pid, true))).toBe(true);
      await frozen.thaw();
      await pause(20);
    }
    process.kill(-child.pid, 'SIGKILL');
    await child.ended;
    watchdog.dismiss();
  });

  it('leaves alone whom the user has stopped', async () => {
    const child = await startMarked('sleep 30 & echo $! > stopped; sleep 30 & wait', 'freeze-test-3');
    const stopped = Number(await lineOf('stopped'));
    process.kill(stopped, 'SIGSTOP');
    await until(() => state(stopped) === 'T');
    const watchdog = await startWatchdog({ freezeFile: '' });
    const frozen = await frozenBy(await freezerOf(child, 'freeze-test-3', watchdog));
    expect(state(child.pid)).toBe('T');
    await frozen.thaw();
    await until(() => state(child.pid) === 'S');
    expect(state(stopped)).toBe('T');
    process.kill(-child.pid, 'SIGKILL');
    await child.ended;
    watchdog.dismiss();
  });

  it('names files that are mapped for writing', async () => {
    await writeFile(at('mapped.db'), Buffer.alloc(8192));
    await writeFile(
      at('map.c'),
      `#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
  int file = open("mapped.db", O_RDWR);
  if (mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED) return 1;
  if (mmap(0, 8192, PROT_READ, MAP_SHARED, open("map.c", O_RDONLY), 0) == MAP_FAILED) return 1;
  if (mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, open("map.c", O_RDONLY), 0) == MAP_FAILED) return 1;
  int gone = open("gone", O_RDWR | O_CREAT, 0600);
  if (mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0) == MAP_FAILED || unlink("gone") != 0) return 1;
  puts("ready");
  fflush(stdout);
  return sleep(30);
}`,
    );
    expect(spawnSync('cc', ['-o', 'map', 'map.c'], { cwd, stdio: 'inherit' }).status).toBe(0);
    const child = spawn(at('map'), [], { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const calls = loadProcessCalls();
    for (const asked of calls ? [undefined, calls] : [undefined]) {
      expect(mappedWritable(child.pid ?? 0, cwd, asked)).toEqual(['mapped.db']);
      expect(mappedWritable(child.pid ?? 0, `${cwd}/no`, asked)).toEqual([]);
      expect(mappedWritable(process.pid, cwd, asked)).toEqual([]);
    }
    expect(mappedWritable(0x3fffffff, cwd, calls)).toEqual([]);
    child.kill('SIGKILL');
  });
});

describe('--consistency=freeze', () => {
  it('takes all files at one instant', async () => {
    // Two files are written one after the other, always a first: at any instant they differ by at most one step.
    const app = `import { writeSync, openSync } from 'node:fs';
const a = openSync('data/a', 'w'), b = openSync('data/b', 'w');
const end = Date.now() + 2500;
const rest = new Int32Array(new SharedArrayBuffer(4));
for (let step = 0; Date.now() < end; step += 1) {
  const text = String(step).padStart(12) + '\\n';
  writeSync(a, text, 0); writeSync(b, text, 0);
  Atomics.wait(rest, 0, 0, 1);
}`;
    await writeFile(at('app.mjs'), app);
    const words = ['--state-dir=data', '--store=keep', '--consistency=freeze', '--checkpoint-interval=200ms'];
    const result = await runCli([...words, '--', process.execPath, 'app.mjs'], { cwd });
    expect(result.code).toBe(0);
    const log = jsonLines((await runCli(['log', '--store=keep', '--json'], { cwd })).stdout);
    const frozen = log.filter((entry) => entry.frozen === true && Number(entry.pauseMs) > 0);
    expect(frozen.length).toBeGreaterThanOrEqual(4);
    expect(frozen.length).toBeLessThanOrEqual(16);
    for (const { sequence } of frozen) {
      const steps: number[] = [];
      for (const file of ['a', 'b']) {
        steps.push(Number((await runCli(['cat', '--store=keep', `--at=${sequence}`, file], { cwd })).stdout));
      }
      expect((steps[0] ?? 0) - (steps[1] ?? 0)).toBeGreaterThanOrEqual(0);
      expect((steps[0] ?? 0) - (steps[1] ?? 0)).toBeLessThanOrEqual(1);
    }
  }, 120_000);

  it('stops a daemon that was adopted by a process above us', async () => {
    // As under `systemd --user`, which takes the orphans of all below it.
    await writeFile(
      at('subreaper.py'),
      'import ctypes, subprocess, sys\nctypes.CDLL(None).prctl(36, 1)\nsys.exit(subprocess.call(sys.argv[1:]))\n',
    );
    await writeFile(
      at('daemon'),
      'trap "echo resumed > resumed" CONT\necho $$ > daemon.pid\nwhile :; do date +%N > data/now; sleep 0.05; done\n',
    );
    const words = ['--state-dir=data', '--store=keep', '--consistency=freeze', '--checkpoint-interval=50ms'];
    const script = '(setsid sh daemon &); until [ -e end ]; do sleep 0.05; done';
    const line = [...PROGRAM, ...words, '--freeze-with=signals', '--', 'sh', '-c', script];
    const running = startProgram('python3', ['subreaper.py', ...line], { cwd });
    const daemon = Number(await lineOf('daemon.pid'));
    try {
      await running.until(/started sh/);
      expect(await lineOf('resumed')).toBe('resumed');
    } finally {
      process.kill(daemon, 'SIGKILL');
      await writeFile(at('end'), '');
      await running.ended;
    }
  }, 60_000);

  it('passes signals on to the application in its own group', async () => {
    const words = ['--state-dir=data', '--store=keep', '--consistency=freeze', '--checkpoint-interval=50ms'];
    const script = `trap 'exit 9' TERM; echo ready; while :; do date +%N > data/now; sleep 0.01; done`;
    const running = startCli([...words, '--', 'sh', '-c', script], { cwd });
    await running.until(/ready/);
    await pause(500);
    running.process.kill('SIGTERM');
    expect((await running.ended).code).toBe(9);
  });
});
