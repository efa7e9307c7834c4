/** Degraded, never dead: the application runs on, the trouble shows, and captures catch up when it ends. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ensureBuilt, type RunningCli, runCli, scratch, startCli } from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

async function start(): Promise<RunningCli> {
  const words = ['--state-dir=data', '--store=keep', '--max-lag=100ms', '--debug'];
  const script = `trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done`;
  const running = startCli([...words, '--', 'sh', '-c', script], { cwd });
  await running.until(/ready/);
  writeFileSync(at('data/one'), '1');
  await running.until(/checkpoint \(.*added=[1-9]/);
  return running;
}

async function expectCaughtUp(running: RunningCli): Promise<void> {
  await running.until(/no longer degraded/);
  running.process.kill('SIGTERM');
  expect((await running.ended).code).toBe(7);
  expect((await runCli(['cat', '--store=keep', 'two'], { cwd })).stdout).toBe('2');
}

it('the state directory is deleted and made again', async () => {
  const running = await start();
  rmSync(at('data'), { recursive: true });
  await running.until(/warn: degraded/);
  mkdirSync(at('data'));
  writeFileSync(at('data/two'), '2');
  await expectCaughtUp(running);
}, 60_000);

it('no file can be opened any more', async () => {
  const running = await start();
  const limit = (files: string): number | null =>
    spawnSync('prlimit', [`--pid=${running.pid}`, `--nofile=${files}:`]).status;
  expect(limit('3')).toBe(0);
  mkdirSync(at('data/directory'));
  writeFileSync(at('data/two'), '2');
  await running.until(/warn: degraded/);
  expect(limit('1024')).toBe(0);
  await expectCaughtUp(running);
}, 60_000);
