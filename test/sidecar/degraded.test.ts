/** Degraded, never dead: the application runs on, the trouble shows, and captures catch up when it ends. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, PROGRAM, type RunningCli, runCli, scratch, startCli, startProgram } from '../cli/cli-process.js';
import { itIn, ownRoom } from './own-room.js';
import { asking, askingLater, expectShownAtOnce, expectShownDegraded, expectShownWell } from './shown-health.js';
import { canMount } from './small-disk.js';

const probe = mkdtempSync(path.join(tmpdir(), 'dk-mount-'));
const MOUNTS = canMount(probe);
rmSync(probe, { recursive: true });

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

async function start(store = 'keep', ...more: string[]): Promise<RunningCli> {
  const words = ['--state-dir=data', `--store=${store}`, '--max-lag=100ms', '--debug', ...more];
  const script = `trap 'exit 7' TERM; echo ready; while :; do echo >> ticks; sleep 0.05; done`;
  const running = startCli([...words, '--', 'sh', '-c', script], { cwd });
  await running.until(/ready/);
  writeFileSync(at('data/one'), '1');
  await running.until(/checkpoint \(.*added=[1-9]/);
  return running;
}

async function expectCaughtUp(running: RunningCli, store = 'keep'): Promise<void> {
  await running.until(/no longer degraded/);
  await expectShownWell(control(store));
  running.process.kill('SIGTERM');
  expect((await running.ended).code).toBe(7);
  expect((await runCli(['cat', `--store=${store}`, 'two'], { cwd })).stdout).toBe('2');
}

/** The control interface of a store that lies here now. */
const control = (store = 'keep') => asking(at(`${store}/control.sock`));

it('the state directory is deleted and made again', async () => {
  const running = await start();
  await expectShownWell(control());
  rmSync(at('data'), { recursive: true });
  await running.until(/warn: degraded/);
  await expectShownDegraded(control(), /capture failed.*data/);
  mkdirSync(at('data'));
  writeFileSync(at('data/two'), '2');
  await expectCaughtUp(running);
}, 60_000);

it.each([
  ['file', 'auto'],
  ['freeze', 'auto'],
  ['freeze', 'signals'],
])(
  'no file can be opened any more, consistency %s, with %s',
  async (consistency, means) => {
    const freezing = ['--checkpoint-interval=200ms', `--freeze-with=${means}`];
    const running = await start('keep', `--consistency=${consistency}`, ...(consistency === 'freeze' ? freezing : []));
    const limit = (files: string): number | null =>
      spawnSync('prlimit', [`--pid=${running.pid}`, `--nofile=${files}:`]).status;
    await running.until(/metrics are loaded/);
    const later = await askingLater(at('keep/control.sock'), 3);
    expect(limit('3')).toBe(0);
    mkdirSync(at('data/directory'));
    writeFileSync(at('data/two'), '2');
    await running.until(/warn: degraded.*(too many open files|EMFILE)/);
    await expectShownAtOnce(later, /capture failed|too many open files|EMFILE/);
    const ticks = (): string => readFileSync(at('ticks'), 'utf8');
    // Whatever is tried meanwhile, also half a second after a child was stopped, the application goes on. The test as a
    // whole has a limit of time.
    for (let time = 0; time < 3; time += 1) {
      const { length } = ticks();
      await sleep(400);
      while (ticks().length === length) await sleep(20);
    }
    expect(running.process.exitCode).toBeNull();
    expect(limit('1024')).toBe(0);
    await running.until(/no longer degraded/);
    const status = JSON.parse((await control()('/status')).text);
    expect(status.captureFailures).toBeGreaterThan(0);
    expect((await control()('/metrics')).text).toMatch(/^diffkeeper_errors_total\{code="\w+"\} [1-9]/m);
    await expectCaughtUp(running);
  },
  60_000,
);

describe('the store is no longer where it was opened', () => {
  it('moved away, and back', async () => {
    const running = await start();
    renameSync(at('keep'), at('elsewhere'));
    writeFileSync(at('data/two'), '2');
    await running.until(/warn: degraded.*the store is no longer at/);
    // Its socket went with it.
    await expectShownDegraded(control('elsewhere'), /the store is no longer at/);
    const { waitingMs } = JSON.parse((await control('elsewhere')('/status')).text);
    expect(waitingMs).toBeGreaterThan(0);
    expect((await control('elsewhere')('/metrics')).text).toMatch(/^diffkeeper_waiting_seconds (?!0$)[\d.]+$/m);
    mkdirSync(at('keep'));
    await new Promise((resolve) => setTimeout(resolve, 600));
    // Nothing is made of what stands there now.
    expect(readdirSync(at('keep'))).toEqual([]);
    rmSync(at('keep'), { recursive: true });
    renameSync(at('elsewhere'), at('keep'));
    await expectCaughtUp(running);
    expect((await runCli(['verify', '--store=keep'], { cwd })).code).toBe(0);
  }, 60_000);

  it('gone for good: the application ends with its own code all the same', async () => {
    const running = await start();
    renameSync(at('keep'), at('elsewhere'));
    writeFileSync(at('data/two'), '2');
    await running.until(/warn: degraded/);
    running.process.kill('SIGTERM');
    const result = await running.ended;
    expect(result.code).toBe(7);
    expect(result.stderr).toMatch(/the final capture failed.*code=DK_/);
    expect(result.stderr).not.toContain('no longer degraded');
    expect((await runCli(['cat', '--store=elsewhere', 'one'], { cwd })).stdout).toBe('1');
  }, 60_000);
});

if (MOUNTS) {
  it('the file system of the store is unmounted under us, and mounted again', async () => {
    const mount = (...words: string[]): void => {
      expect(spawnSync('mount', words).status).toBe(0);
    };
    mkdirSync(at('disk'));
    mkdirSync(at('seen'));
    mount('-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', at('disk'));
    try {
      mount('--bind', at('disk'), at('seen'));
      const running = await start('seen/keep');
      // Lazily: whatever is open stays usable, so that nothing but the name tells.
      expect(spawnSync('umount', ['-l', at('seen')]).status).toBe(0);
      writeFileSync(at('data/two'), '2');
      await running.until(/warn: degraded.*unmounted/);
      await expectShownDegraded(control('disk/keep'), /unmounted/);
      expect(readdirSync(at('seen'))).toEqual([]);
      mount('--bind', at('disk'), at('seen'));
      await expectCaughtUp(running, 'seen/keep');
    } finally {
      spawnSync('umount', ['-l', at('seen')]);
      spawnSync('umount', ['-l', at('disk')]);
    }
  }, 60_000);
}

/** The limit is one of a user namespace: nobody else is touched. */
const LIMIT = '/proc/sys/user/max_inotify_watches';
const WATCHES = ownRoom(['--user', '--map-root-user'], `echo 6 > ${LIMIT}`);
const FEW_WATCHES =
  'more directories than inotify may watch: names the limit, finds changes by scanning, watches when it is raised';
async function withFewWatches(): Promise<void> {
  for (let i = 0; i < 12; i += 1) mkdirSync(at(`data/d${i}`), { recursive: true });
  const script = `echo 6 > ${LIMIT} || exit 88; (while [ ! -e more ]; do sleep 0.05; done; echo 1000 > ${LIMIT}) & exec "$@"`;
  const words = [...PROGRAM, '--state-dir=data', '--store=keep', '--max-lag=100ms', '--debug'];
  const app = `trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`;
  const unshare = [...WATCHES.words, '--', 'sh', '-c', script, 'sh', ...words, '--', 'sh', '-c', app];
  const running = startProgram('unshare', unshare, { cwd });
  await running.until(/degraded.*raise fs\.inotify\.max_user_watches/);
  await expectShownDegraded(control(), /raise fs\.inotify\.max_user_watches/);
  // Which of them are watched depends on the order of the directory.
  for (let i = 0; i < 12; i += 1) writeFileSync(at(`data/d${i}/found`), '1');
  await running.until(/checkpoint \(.*added=[1-9]/);
  // Of the directories that are not watched: nobody announced them.
  const scanLags = async (): Promise<number> => JSON.parse((await control()('/status')).text).scanLag.count;
  await expect.poll(scanLags, { timeout: 30_000 }).toBeGreaterThan(0);
  writeFileSync(at('more'), '');
  await running.until(/no longer degraded/);
  await expectShownWell(control());
  writeFileSync(at('data/d11/two'), '2');
  await running.until(/no longer degraded[\s\S]*checkpoint \(.*added=1/);
  running.process.kill('SIGTERM');
  expect((await running.ended).code).toBe(7);
  expect((await runCli(['cat', '--store=keep', 'd11/found'], { cwd })).stdout).toBe('1');
  expect((await runCli(['cat', '--store=keep', 'd11/two'], { cwd })).stdout).toBe('2');
}
itIn(WATCHES, FEW_WATCHES, withFewWatches, 60_000);
