/** One sidecar per state directory, also when it is removed and made again. */
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../../src/core/core.js';
import { lockStateDir, type StateLock } from '../../src/sidecar/state-lock.js';
import { scratch } from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let lock: StateLock | undefined;
const at = (name: string): string => path.join(cwd, name);

beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
  mkdirSync(at('data'));
  lock = await lockStateDir(at('data'), silentLogger);
});
afterEach(async () => {
  lock?.release();
  await remove();
});

/** Whether a second one would be let in. */
async function isFree(): Promise<boolean> {
  try {
    (await lockStateDir(at('data'), silentLogger)).release();
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'DK_STATE_DIR_LOCKED', facts: { pid: process.pid } });
    return false;
  }
}

it('is held until it is given back', async () => {
  expect(await isFree()).toBe(false);
  lock?.release();
  expect(await isFree()).toBe(true);
});

it('follows the directory that takes its place', async () => {
  // Moved, not removed: the new one cannot get its inode.
  renameSync(at('data'), at('old'));
  mkdirSync(at('data'));
  while (await isFree()) await sleep(100);
  lock?.release();
  expect(await isFree()).toBe(true);
}, 30_000);

it('is of that directory alone, however soon after its removal another one is made', () => {
  const { ino } = statSync(at('data'));
  rmSync(at('data'), { recursive: true });
  for (let i = 0; i < 50; i += 1) {
    mkdirSync(at(`other${i}`));
    expect(statSync(at(`other${i}`)).ino).not.toBe(ino);
  }
});
