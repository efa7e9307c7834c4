/** Who cannot stop at once: here a wait in `vfork`, which is not recognized, as inside a slow disk. */
import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemClock } from '../../src/core/core.js';
import { type Child, startChild } from '../../src/sidecar/child.js';
import { Freezer, type FrozenState } from '../../src/sidecar/freeze.js';
import { MARK_VARIABLE } from '../../src/sidecar/proc.js';
import { startWatchdog, type Watchdog } from '../../src/sidecar/watchdog.js';
import { scratch } from '../cli/cli-process.js';
import { stateOf } from './freeze-ends.js';

vi.mock('../../src/sidecar/vfork-wait.js', () => ({ startsProcess: () => false, stopIsPending: () => false }));

const started: Child[] = [];
let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  for (const { pid } of started.splice(0)) {
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Ended already.
    }
  }
  await remove();
});

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

async function startPython(script: string, mark: string): Promise<Child> {
  await writeFile(at('parent.py'), script);
  const env = { ...process.env, [MARK_VARIABLE]: mark };
  const child = await startChild({ command: ['python3', 'parent.py'], ownGroup: true, env, cwd });
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

it('stops nobody before its parent stands still: a shell would report a stopped job', async () => {
  // The parent waits in vfork until its child has opened the gate, and cannot stop before that.
  const script = `import os, subprocess, time
job = subprocess.Popen(['sleep', '30'], start_new_session=True)
os.mkfifo('gate')
open('job', 'w').write(f'{job.pid}\\n')
os.posix_spawn('/bin/true', ['true'], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, 'gate', os.O_RDONLY, 0)])
time.sleep(30)`;
  const child = await startPython(script, 'freeze-test-4');
  const job = Number(await lineOf('job'));
  await until(() => stateOf(child.pid) === 'D' && stateOf(job) === 'S');
  const watchdog = await startWatchdog({ freezeFile: '' });
  const freezer = await freezerOf(child, 'freeze-test-4', watchdog, false);
  const freezing = frozenBy(freezer);
  const seen = new Set<string>();
  for (let look = 0; look < 50; look += 1) {
    seen.add(`${stateOf(child.pid)}${stateOf(job)}`);
    await pause(2);
  }
  expect([...seen]).toEqual(['DS']);
  await writeFile(at('gate'), '');
  const frozen = await freezing;
  expect([child.pid, job].map(stateOf)).toEqual(['T', 'T']);
  await frozen.thaw();
  await until(() => [child.pid, job].every((pid) => stateOf(pid) === 'S'));
  process.kill(job, 'SIGKILL');
  process.kill(-child.pid, 'SIGKILL');
  await child.ended;
  watchdog.dismiss();
});

it('tells of pauses that came to nothing', async () => {
  // Half of the application stops; the other half waits in vfork until its child has opened the gate.
  const script = `import os
os.mkfifo('gate')
open('ready', 'w').write('now\\n')
os.posix_spawn('/bin/true', ['true'], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, 'gate', os.O_RDONLY, 0)])`;
  const child = await startPython(script, 'freeze-test-6');
  await lineOf('ready');
  await until(() => stateOf(child.pid) === 'D');
  const watchdog = await startWatchdog({ freezeFile: '' });
  const pauses: number[] = [];
  const onPause = (pauseMs: number, stopMs: number): unknown => pauses.push(pauseMs, stopMs);
  const parts = { ownGroup: true, mark: 'freeze-test-6', root: cwd, watchdog, clock: systemClock };
  const freezer = new Freezer({ ...parts, onPause });
  await freezer.start(async () => child);
  await expect(freezer.freeze()).rejects.toMatchObject({ code: 'DK_IO' });
  expect(pauses).toHaveLength(2);
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(200);
  await writeFile(at('gate'), '');
  await child.ended;
  watchdog.dismiss();
});
