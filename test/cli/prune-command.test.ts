/** `prune` on the command line: rules, dry run, what it says. */
import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRetention } from '../../src/cli/keep-rules.js';
import { codeOf } from '../store/store-fixture.js';
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
