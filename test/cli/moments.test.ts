/** `--at` and `diff` with the times that are shown, and with tags; tags that are too long. */
import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../src/index.js';
import { cliPlace } from './cli-place.js';
import { jsonLines } from './cli-process.js';

/** Of the checkpoints: all within the second that is shown of the last. */
const TIMES = [1_764_000_000_100, 1_764_000_001_100, 1_764_000_001_900];
const TAGS = ['release', '3', 'release'];

const place = cliPlace(async (directory) => {
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, steadyMs: () => performance.now() };
  const store = await openStore(path.join(directory, 'keep'), { create: true, clock });
  for (const [index, timeMs] of TIMES.entries()) {
    nowMs = timeMs;
    const transaction = store.begin();
    await transaction.commit({ force: true, tag: TAGS[index] ?? '' });
  }
  await store.close();
});

async function planned(at: string): Promise<unknown> {
  const { code, stdout, stderr } = await place.run('recover', '--dry-run', '--json', '--store=keep', `--at=${at}`);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const [plan] = jsonLines(stdout) as [{ checkpoint: { sequence: number } }];
  return plan.checkpoint.sequence;
}

describe('--at', () => {
  it('finds a checkpoint by the time that log shows of it', async () => {
    const log = (await place.run('log', '--store=keep')).stdout;
    const [third, second, first] = [...log.matchAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g)].map(([time]) => time);
    expect(third).toBe(second);
    // Of two within a second the newest one, as of any moment.
    expect(await planned(String(third))).toBe(3);
    expect(await planned(String(first))).toBe(1);
    expect(await planned(`${second}.100`)).toBe(2);
    expect(await planned(`${second}.099`)).toBe(1);
  });

  it('finds the newest checkpoint of a tag; a number stays a number', async () => {
    expect(await planned('release')).toBe(3);
    expect(await planned('tag:release')).toBe(3);
    expect(await planned('3')).toBe(3);
    expect(await planned('tag:3')).toBe(2);
    const diff = jsonLines((await place.run('diff', '--store=keep', '--json', '1', 'tag:3')).stdout);
    expect(diff.at(-1)).toMatchObject({ type: 'diff', from: 1, to: 2 });
    const other = jsonLines((await place.run('diff', '--store=keep', '--json', 'release')).stdout);
    expect(other.at(-1)).toMatchObject({ type: 'diff', from: 3, to: 3 });
    expect((await place.run('tag', '--store=keep', '--at=release', 'newer')).stdout).toContain('#3 is tagged "newer"');
    expect(await planned('release')).toBe(1);
  });

  it('says what is no tag: 2 where a time may have been meant, else 1', async () => {
    const mistyped = await place.run('recover', '--dry-run', '--store=keep', '--at=10 minits');
    expect(mistyped.code).toBe(2);
    expect(mistyped.stderr).toMatch(/--at: got "10 minits"; allowed: .*no checkpoint has that tag \(DK_ARGUMENT\)/);
    const missing = await place.run('cat', '--store=keep', '--at=tag:none', 'x');
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain('no checkpoint has the tag "none" (DK_NOT_FOUND)');
    expect((await place.run('diff', '--store=keep', 'nowhere')).stderr).toContain('from: got "nowhere"');
  });
});

describe('a tag above 1,024 bytes', () => {
  it('is wrong usage, wherever it is given', async () => {
    const long = 'ü'.repeat(513);
    await writeFile(path.join(place.directory, 'file'), 'x');
    for (const words of [
      ['tag', long],
      ['tag', '--at=1', long],
      ['capture', '--state-dir=.', `--tag=${long}`],
      ['import', '.', `--tag=${long}`],
    ]) {
      const { code, stdout } = await place.run(...words, '--store=keep', '--json');
      expect(code).toBe(2);
      expect(jsonLines(stdout)).toMatchObject([{ type: 'error', code: 'DK_ARGUMENT' }]);
    }
    expect(jsonLines((await place.run('log', '--store=keep', '--json')).stdout)).toHaveLength(TIMES.length);
    expect(await readFile(path.join(place.directory, 'file'), 'utf8')).toBe('x');
  });
});
