/** On a terminal, stopped by signals: SIGKILL of the sidecar in a standstill is not the end of the application. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { parentOf, processFacts } from '../../src/sidecar/proc.js';
import { ensureBuilt, PROGRAM, scratch } from '../cli/cli-process.js';
import { stateOf } from './freeze-ends.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let typist: ChildProcess | undefined;
let started: number[] = [];
const at = (name: string): string => join(cwd, name);

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  for (const pid of started) kill(pid);
  started = [];
  typist?.kill('SIGKILL');
  await remove();
});

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 3000; tries += 1) {
    if (what()) return;
    await sleep(5);
  }
  throw new Error(`waited in vain: ${what}`);
}

/** Processes that say they are a sidecar's own. */
function helpersOf(sidecar: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const own = readFileSync(`/proc/${name}/environ`, 'latin1')
        .split('\0')
        .includes(`DIFFKEEPER_CHILD=helper-${sidecar}`);
      return own ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

const anchorsOf = (sidecar: number): number[] =>
  helpersOf(sidecar).filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('sleep\x00120\0');
    } catch {
      return false;
    }
  });

/** Starts a shell on a terminal, and from it a sidecar with a program; gives the process ids of both. */
async function startBelowShell(program: string): Promise<{ sidecar: number; application: number }> {
  await writeFile(at('app.py'), program);
  const options = ['--state-dir=data', '--store=keep', '--consistency=freeze', '--freeze-with=signals'];
  const line = [...PROGRAM, ...options, '--checkpoint-interval=20ms', '--', 'python3', 'app.py'].join(' ');
  typist = spawn('python3', [fileURLToPath(new URL('./typist.py', import.meta.url)), 'bash', '--norc', '-i'], {
    cwd,
    stdio: ['pipe', 'ignore', 'inherit'],
    env: { ...process.env, TERM: 'xterm', PS1: '$ ', HISTFILE: '' },
  });
  typist.stdin?.end(
    JSON.stringify([
      ['[#$] ', `${line}\r`],
      ['never', ''],
    ]),
  );
  await until(() => existsSync(at('pid')) && statSync(at('pid')).size > 0 && existsSync(at('data/now')));
  const application = Number(readFileSync(at('pid'), 'utf8'));
  const sidecar = parentOf(application) ?? 0;
  started.push(sidecar, application);
  return { sidecar, application };
}

const goesOn = (pid: number): boolean => ['S', 'R', 'D'].includes(stateOf(pid));

/** Stops the sidecar while the application stands still. */
async function stopInStandstill(sidecar: number, application: number): Promise<void> {
  const endMs = Date.now() + 15_000;
  while (Date.now() < endMs) {
    if (stateOf(application) !== 'T') continue;
    process.kill(sidecar, 'SIGSTOP');
    await until(() => stateOf(sidecar) === 'T');
    if (stateOf(application) === 'T') return;
    process.kill(sidecar, 'SIGCONT');
    await sleep(5);
  }
  throw new Error('the application never stood still');
}

const WRITES = `import os, time
open('pid', 'w').write(str(os.getpid()))
while True:
    open('data/now', 'w').write(str(time.time()))
    time.sleep(0.002)
`;

it.each([
  ['in the group that the shell made for the sidecar', WRITES],
  ['in a group of its own', WRITES.replace('open', 'os.setpgid(0, 0)\nopen')],
])(
  'an application %s goes on',
  async (_, program) => {
    const { sidecar, application } = await startBelowShell(program);
    const session = processFacts(application)?.session;
    expect(processFacts(sidecar)?.session).toBe(session);
    await stopInStandstill(sidecar, application);
    const anchors = anchorsOf(sidecar);
    // The one below has a parent in another group of the session; neither is a child of the application.
    expect(anchors.map((pid) => processFacts(pid)?.group)).toContain(processFacts(application)?.group);
    expect(anchors.map((pid) => processFacts(pid)?.session)).toEqual([session, session]);
    expect(anchors.map(parentOf)).not.toContain(application);
    // Without them the kernel and the watchdog race for it: SIGHUP comes with the end, the pipe closes a little earlier.
    process.kill(sidecar, 'SIGKILL');
    await until(() => goesOn(application));
    const before = readFileSync(at('data/now'), 'utf8');
    await until(() => readFileSync(at('data/now'), 'utf8') !== before);
    await until(() => anchorsOf(sidecar).length === 0);
    // The group is nobody's job now, and nobody stands still in it.
    await sleep(100);
    expect(goesOn(application)).toBe(true);
  },
  60_000,
);

it('what holds the groups is there in a standstill only, and nothing is left of it', async () => {
  const { sidecar, application } = await startBelowShell(WRITES);
  const file = `/proc/${sidecar}/task/${sidecar}/children`;
  const dead = (): string[] =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .split(' ')
          .filter((pid) => pid !== '' && stateOf(Number(pid)) === 'Z')
      : [];
  let standstills = 0;
  let most = 0;
  for (const endMs = Date.now() + 1000; Date.now() < endMs; ) {
    if (stateOf(application) === 'T') standstills += 1;
    most = Math.max(most, anchorsOf(sidecar).length);
  }
  expect(standstills).toBeGreaterThan(0);
  // One that is just ending may be seen beside the next one.
  expect(most).toBeLessThanOrEqual(4);
  kill(application);
  await until(() => dead().length === 0);
  await until(() => anchorsOf(sidecar).length === 0);
}, 60_000);
