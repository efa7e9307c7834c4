/** Freeze points with signals, of an application whose parts wait in `vfork`. */
import { readdirSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/core.js';
import { loadProcessCalls } from '../../src/engine/load.js';
import { type Child, startChild } from '../../src/sidecar/child.js';
import { Freezer, type FrozenState } from '../../src/sidecar/freeze.js';
import { MARK_VARIABLE, standsStill } from '../../src/sidecar/proc.js';
import { StopList } from '../../src/sidecar/stop-list.js';
import { startWatchdog, type Watchdog } from '../../src/sidecar/watchdog.js';
import { scratch } from '../cli/cli-process.js';
import { stateOf } from './freeze-ends.js';

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

/** A wait in `vfork` for so many seconds: the child runs the C library's `sleep` in its parent's memory, and nothing of Python's. */
const VFORK = `import ctypes, os, threading, time
libc = ctypes.CDLL(None)
room = ctypes.create_string_buffer(1 << 16)
def vfork_wait(seconds):
    top = ctypes.c_void_p((ctypes.addressof(room) + (1 << 16)) & ~15)
    libc.clone(ctypes.cast(libc.sleep, ctypes.c_void_p), top, 0x4111, ctypes.c_void_p(seconds))
def say(name):
    open(name, 'w').write('now\\n')
`;
/** Longer than the longest wait for a stop. */
const WAIT_SECONDS = 8;

/** States of all threads of a process. */
function threads(pid: number): string {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) => readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1').replace(/.*\) (.).*\n/s, '$1'))
    .sort()
    .join('');
}

const childOf = (pid: number): number => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim());

describe.each([
  ['a group of its own', true],
  ['one by one', false],
])('a parent in vfork, %s', (_, ownGroup) => {
  it('stands as still as its stopped child, and both go on', async () => {
    const script = `${VFORK}say('ready')\nvfork_wait(${WAIT_SECONDS})\nsay('over')\ntime.sleep(60)`;
    const child = await startPython(script, 'vfork-test-1');
    await lineOf('ready');
    await until(() => stateOf(child.pid) === 'D');
    const watchdog = await startWatchdog({ freezeFile: '' });
    const freezer = await freezerOf(child, 'vfork-test-1', watchdog, ownGroup);
    const frozen = await frozenBy(freezer);
    const borrower = childOf(child.pid);
    expect([child.pid, borrower].map((pid) => stateOf(pid))).toEqual(['D', 'T']);
    await frozen.thaw();
    await until(() => stateOf(borrower) === 'S');
    // Ends the wait, after a stop that was pending for all of it.
    process.kill(borrower, 'SIGKILL');
    expect(await lineOf('over')).toBe('now');
    await until(() => stateOf(child.pid) === 'S');
    watchdog.dismiss();
  });

  it('and one that has not been told to stop, or has a child that runs, does not', async () => {
    const child = await startPython(`${VFORK}say('ready')\nvfork_wait(60)`, 'vfork-test-2');
    await lineOf('ready');
    await until(() => stateOf(child.pid) === 'D');
    expect([standsStill(child.pid), standsStill(child.pid, true)]).toEqual([false, true]);
    expect(standsStill(childOf(child.pid), true)).toBe(false);
  });

  it.skipIf(loadProcessCalls() === undefined)('does not keep its other threads from stopping', async () => {
    // The first thread, to which the kernel gives the stop, cannot take it; the other one writes.
    const script = `${VFORK}def work():
    while True:
        open('work', 'w').write('on')
threading.Thread(target=work, daemon=True).start()
say('ready')
vfork_wait(${WAIT_SECONDS})
say('over')
time.sleep(60)`;
    const child = await startPython(script, 'vfork-test-3');
    await lineOf('ready');
    await until(() => stateOf(child.pid) === 'D');
    const watchdog = await startWatchdog({ freezeFile: '' });
    const freezer = await freezerOf(child, 'vfork-test-3', watchdog, ownGroup);
    const frozen = await frozenBy(freezer);
    expect(threads(child.pid)).toBe('DT');
    await frozen.thaw();
    const borrower = childOf(child.pid);
    await until(() => stateOf(borrower) === 'S' && !threads(child.pid).includes('T'));
    process.kill(borrower, 'SIGKILL');
    expect(await lineOf('over')).toBe('now');
    watchdog.dismiss();
  });
});

it('the next run lets both go on that a killed one has left', async () => {
  const child = await startPython(`${VFORK}say('ready')\nvfork_wait(60)\nsay('over')\ntime.sleep(60)`, 'vfork-test-4');
  await lineOf('ready');
  await until(() => stateOf(child.pid) === 'D');
  const borrower = childOf(child.pid);
  const list = new StopList(cwd);
  list.note(new Set([child.pid, borrower]));
  await lineOf('stopped-processes');
  process.kill(borrower, 'SIGSTOP');
  process.kill(child.pid, 'SIGSTOP');
  await until(() => stateOf(borrower) === 'T');
  expect(new StopList(cwd).resumeLeft()).toBe(2);
  process.kill(borrower, 'SIGKILL');
  expect(await lineOf('over')).toBe('now');
  await list.remove();
});
