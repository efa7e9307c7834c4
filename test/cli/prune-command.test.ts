/** `prune` on the command line: rules, dry run, what it says and what it then gives back. */
import { readdirSync, statSync } from 'node:fs';
import { cp, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRetention } from '../../src/cli/keep-rules.js';
import { openStore } from '../../src/store/store.js';
import { codeOf, noise, putFile } from '../store/store-fixture.js';
import { ensureBuilt, jsonLines, runCli, scratch } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const cli = (...words: string[]) => runCli(words, { cwd });

beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  for (const [index, tag] of ['', 'release', '', 'old'].entries()) {
    await writeFile(path.join(cwd, 'file'), `version ${index}\n`);
    const words = ['capture', `--state-dir=${cwd}`, '--store=keep', ...(tag === '' ? [] : [`--tag=${tag}`])];
    expect((await cli(...words)).code).toBe(0);
  }
}, 120_000);
afterAll(() => remove());

describe('prune', () => {
  it('wants a rule, and sensible ones', async () => {
    for (const words of [[], ['--keep-last=0'], ['--keep-last=x'], ['--keep-within=30']]) {
      const result = await cli('prune', '--store=keep', ...words);
      expect(result.code).toBe(2);
      expect(result.stderr).toContain('--keep-');
    }
  });

  it('says what would go, then lets it go', async () => {
    const rules = ['--store=keep', '--keep-tag=release', '--keep-tag=no-such'];
    const dry = await cli('prune', ...rules, '--dry-run');
    expect(dry.stdout).toContain('2 checkpoints kept, 2 would go: #1 #3');
    const done = jsonLines((await cli('prune', ...rules, '--json')).stdout);
    expect(done[0]).toMatchObject({ type: 'prune', dryRun: false, kept: [2, 4], dropped: [1, 3], packsLeft: 0 });
    const log = jsonLines((await cli('log', '--store=keep', '--json')).stdout);
    expect(log.map((line) => line.sequence)).toEqual([4, 2]);
    expect((await cli('cat', '--store=keep', '--at=2', 'file')).stdout).toBe('version 1\n');
    expect((await cli('verify', '--store=keep')).code).toBe(0);
    expect((await cli('repair', '--store=keep')).code).toBe(0);
    expect((await cli('cat', '--store=keep', '--at=2', 'file')).stdout).toBe('version 1\n');
  });
});

/** Bytes of all packs, as the file system has them. */
function packBytes(store: string): number {
  const packs = path.join(cwd, store, 'packs');
  return readdirSync(packs).reduce((sum, name) => sum + statSync(path.join(packs, name)).size, 0);
}

/** One checkpoint for each time, of a file that is new each time. */
async function checkpointsAt(store: string, timesMs: readonly number[], bytes: number): Promise<void> {
  let nowMs = 0;
  const clock = { nowMs: () => nowMs, steadyMs: () => nowMs };
  const opened = await openStore(path.join(cwd, store), { create: true, clock });
  for (const [index, timeMs] of timesMs.entries()) {
    nowMs = timeMs;
    const transaction = opened.begin();
    await putFile(opened, transaction, 'file', noise(bytes, index));
    await transaction.commit();
  }
  await opened.close();
}

describe('what prune says of space', () => {
  it('is the size of the packs before and after, and the dry run comes close to it', async () => {
    // The pack that grows is never rewritten: the first of two is full, and nothing in it is needed in the end.
    const times = Array.from({ length: 80 }, (_, index) => index * 1000);
    await checkpointsAt('keep-space', times, 1 << 20);
    const before = packBytes('keep-space');
    const rules = ['--store=keep-space', '--keep-last=2', '--json'];
    const [dry] = jsonLines((await cli('prune', ...rules, '--dry-run')).stdout) as [Record<string, number>];
    expect(dry).toMatchObject({ dryRun: true, bytesBefore: before, writtenPacks: 0 });
    expect(packBytes('keep-space')).toBe(before);
    const [done] = jsonLines((await cli('prune', ...rules)).stdout) as [Record<string, number>];
    const after = packBytes('keep-space');
    expect(done).toMatchObject({ dryRun: false, bytesBefore: before, bytesAfter: after, freedBytes: before - after });
    expect(done.freedBytes).toBeGreaterThan(60 << 20);
    // History and headers of packs are not known to the byte beforehand; what the blobs give back is.
    const apart = Math.abs((dry.freedBytes as number) - (done.freedBytes as number));
    expect(apart).toBeLessThan(16 << 10);
    expect(dry).toMatchObject({ movedBytes: done.movedBytes, removedPacks: done.removedPacks });
    expect((await cli('verify', '--store=keep-space')).code).toBe(0);
  }, 120_000);
});

describe('rules of time as flags', () => {
  const HOUR = 3_600_000;
  const DAY = 24 * HOUR;
  /** A Wednesday, 12:00 UTC. */
  const NOON = Date.UTC(2026, 0, 14, 12);
  /** Age of each checkpoint, oldest first: #1 to #10. */
  const AGES = [45 * DAY, 14 * DAY, 10 * DAY, 9 * DAY, 3 * DAY, 2 * DAY, DAY, 1.5 * HOUR, HOUR, 0];

  beforeAll(async () => {
    const times = AGES.map((age) => NOON - age);
    await checkpointsAt('keep-times', times, 1000);
  }, 60_000);

  it.each([
    // Of 11:00 to 12:00 there is #9 alone, of 10:00 to 11:00 #8, and the fourth hour with one is a day before.
    ['--keep-hourly=4', [7, 8, 9, 10]],
    ['--keep-daily=3', [6, 7, 10]],
    // The week began on Monday, two days before: #5, of a Sunday, is the newest of last week, #3 of the week before that.
    ['--keep-weekly=3', [3, 5, 10]],
    ['--keep-monthly=3', [1, 2, 10]],
    ['--keep-within=2d', [6, 7, 8, 9, 10]],
    ['--keep-last=2 --keep-monthly=2', [2, 9, 10]],
  ])(
    '%s',
    async (rules, kept) => {
      const store = `keep-${rules.replaceAll(/\W/g, '')}`;
      await cp(path.join(cwd, 'keep-times'), path.join(cwd, store), { recursive: true });
      const done = await cli('prune', `--store=${store}`, '--json', ...rules.split(' '));
      expect(jsonLines(done.stdout)[0]).toMatchObject({ kept });
      const log = jsonLines((await cli('log', `--store=${store}`, '--json')).stdout);
      expect(log.map(({ sequence }) => sequence)).toEqual([...kept].reverse());
      const oldest = kept[0] as number;
      const state = `back-${store}`;
      const recovered = await cli('recover', `--store=${store}`, `--at=${oldest}`, `--state-dir=${state}`);
      expect(recovered.code).toBe(0);
      expect(await readFile(path.join(cwd, state, 'file'))).toEqual(noise(1000, oldest - 1));
    },
    60_000,
  );
});

describe('a retention policy as one text', () => {
  it('has the names of the flags', async () => {
    expect(parseRetention('keep-last=100, keep-daily=7,keep-tag=a,keep-tag=b,keep-within=2d')).toEqual({
      keepLast: 100,
      keepDaily: 7,
      keepTags: ['a', 'b'],
      keepWithinMs: 172_800_000,
    });
    for (const text of ['', 'keep-last', 'keep-last=x', 'last=3', 'keep-last=0']) {
      expect(await codeOf(() => parseRetention(text))).toBe('DK_ARGUMENT');
    }
  });
});
