/** `diff`, `tag`, `stats`, `verify --sample` and `repair` on the command line. */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RECORD } from '../../src/format/format.js';
import { flipRecord } from '../store/flip-record.js';
import { ensureBuilt, jsonLines, runCli, scratch } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const cli = (...words: string[]) => runCli(words, { cwd });
const at = (name: string): string => path.join(cwd, 'data', name);

beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  await mkdir(at('a/b'), { recursive: true });
  for (const name of ['a/one', 'a/b/two', 'a-', 'stays']) await writeFile(at(name), `content of ${name}\n`.repeat(200));
  expect((await cli('capture', '--state-dir=data', '--store=keep')).code).toBe(0);
  await writeFile(at('a/one'), 'shorter\n');
  await rm(at('a/b'), { recursive: true });
  await writeFile(at('new'), 'new\n');
  await chmod(at('a-'), 0o600);
  expect((await cli('capture', '--state-dir=data', '--store=keep')).code).toBe(0);
}, 120_000);
afterAll(() => remove());

describe('diff', () => {
  it('lists what differs, both ways', async () => {
    const result = await cli('diff', '--store=keep', '1');
    expect(result.code).toBe(0);
    const lines = result.stdout.trim().split('\n');
    expect(lines.at(-1)).toBe('#1 to #2: 1 added, 2 changed, 2 removed');
    for (const line of ['~ a-  2.7 KB  (mode)', '- a/b', '- a/b/two  3.7 KB', '+ new  4 B'])
      expect(lines).toContain(line);
    expect(result.stdout).toMatch(/~ a\/one .*→ 8 B {2}\(content, time\)/);
    const back = jsonLines((await cli('diff', '--store=keep', '2', '1', '--json')).stdout);
    expect(back.at(-1)).toMatchObject({ type: 'diff', from: 2, to: 1, added: 2, changed: 2, removed: 1 });
    expect((await cli('diff', '--store=keep', '9')).code).toBe(1);
  });
});

describe('tag', () => {
  it('names the newest state, which prune then keeps', async () => {
    expect((await cli('tag', '--store=keep', 'release 7')).stdout).toContain('#3 is tagged "release 7"');
    expect((await cli('log', '--store=keep')).stdout).toContain('release 7');
    expect((await cli('diff', '--store=keep', '2', '3')).stdout.trim()).toBe('#2 to #3: 0 added, 0 changed, 0 removed');
    await writeFile(at('new'), 'newer\n');
    expect((await cli('capture', '--state-dir=data', '--store=keep')).code).toBe(0);
    const pruned = jsonLines((await cli('prune', '--store=keep', '--keep-tag=release 7', '--json')).stdout);
    expect(pruned[0]).toMatchObject({ kept: [3, 4] });
    expect((await cli('cat', '--store=keep', '--at=3', 'new')).stdout).toBe('new\n');
  });

  it('names a checkpoint that stands, and takes a tag away', async () => {
    expect((await cli('tag', '--store=keep', '--at=4', 'later')).stdout).toContain('#4 is tagged "later"');
    const tags = async () =>
      jsonLines((await cli('log', '--store=keep', '--json')).stdout).map(({ sequence, tag }) => [sequence, tag]);
    expect(await tags()).toEqual([
      [4, 'later'],
      [3, 'release 7'],
    ]);
    expect((await cli('tag', '--store=keep', '--delete', 'release 7')).stdout).toContain('#3 has no tag now');
    expect((await cli('tag', '--store=keep', '--delete', '--at=4')).code).toBe(0);
    expect(await tags()).toEqual([
      [4, ''],
      [3, ''],
    ]);
    expect((await cli('tag', '--store=keep', '--delete', 'release 7')).code).toBe(1);
    expect((await cli('tag', '--store=keep', '--delete')).code).toBe(2);
    expect((await cli('tag', '--store=keep')).code).toBe(2);
    expect((await cli('tag', '--store=keep', '--at=9', 'no')).code).toBe(1);
  });
});

describe('stats', () => {
  it('says what saved how much, and what packs are needed for', async () => {
    const [stats] = jsonLines((await cli('stats', '--store=keep', '--packs', '--json')).stdout) as [
      { pauses: unknown; savings: Record<string, number>; packs: { pack: number; bytes: number; liveBytes: number }[] },
    ];
    expect(Object.keys(stats.savings)).toEqual([
      'dedupBytes',
      'deltaBytes',
      'compressionBytes',
      'dictionaryBytes',
      'denseBytes',
      'otherBytes',
    ]);
    expect(stats.savings.compressionBytes).toBeGreaterThan(1000);
    // None of its checkpoints was a freeze point: nothing stood still, not even for 0 ms.
    expect(stats.pauses).toBeNull();
    expect(stats.packs.some(({ liveBytes }) => liveBytes > 0)).toBe(true);
    for (const { bytes, liveBytes } of stats.packs) expect(liveBytes).toBeLessThanOrEqual(bytes);
    expect((await cli('stats', '--store=keep', '--packs')).stdout).toMatch(/packs: still needed/);
  });
});

describe('damaged versions', () => {
  it('log and cat go on past them and say so', async () => {
    for (const content of ['first', 'second', 'third']) {
      await mkdir(path.join(cwd, 'small'), { recursive: true });
      await writeFile(path.join(cwd, 'small', 'file'), content);
      expect((await cli('capture', '--state-dir=small', '--store=keep-small')).code).toBe(0);
    }
    await flipRecord(path.join(cwd, 'keep-small', 'packs', '00000001.dkp'), RECORD.versions, 2);
    const log = await cli('log', '--store=keep-small', '--json', 'file');
    expect(log.code).toBe(3);
    expect(jsonLines(log.stdout)).toMatchObject([
      { type: 'version', sequence: 3 },
      { type: 'damaged', sequence: 2, path: 'file', code: 'DK_CORRUPT_RECORD' },
      { type: 'version', sequence: 1 },
    ]);
    expect(log.stderr).toContain('damaged: version of checkpoint 2');
    expect(await cli('log', '--store=keep-small', '--limit=1', 'file')).toMatchObject({ code: 0, stderr: '' });
    expect(await cli('cat', '--store=keep-small', '--at=1', 'file')).toMatchObject({ code: 0, stdout: 'first' });
    expect((await cli('cat', '--store=keep-small', '--at=2', 'file')).stderr).toContain('DK_CORRUPT_RECORD');
    const recovered = await cli('recover', '--store=keep-small', '--state-dir=back', '--at=2');
    expect(recovered.code).toBe(3);
    expect(recovered.stderr).toContain('damaged: file: ');
  });
});

describe('verify and repair', () => {
  it('tell that the marker is lost, and write it anew', async () => {
    for (const name of ['DIFFKEEPER', 'DIFFKEEPER.copy']) await rm(path.join(cwd, 'keep', name));
    const verify = await cli('verify', '--store=keep');
    expect([verify.code, verify.stderr]).toEqual([1, expect.stringMatching(/"diffkeeper repair".*DK_NO_STORE/)]);
    const repair = await cli('repair', '--store=keep');
    expect([repair.code, repair.stderr]).toEqual([0, expect.stringContaining('written anew from its packs')]);
    expect((await cli('verify', '--store=keep')).stdout).toContain('all good');
  });

  it('sample, refuse nonsense, and name the versions that damage reaches', async () => {
    expect((await cli('verify', '--store=keep', '--sample=50%')).stdout).toContain('all good');
    expect((await cli('verify', '--store=keep', '--sample=0%')).code).toBe(2);
    const file = path.join(cwd, 'keep', 'packs', '00000001.dkp');
    const bytes = await readFile(file);
    bytes[64 + 55] = (bytes[64 + 55] as number) ^ 1;
    await writeFile(file, bytes);
    const repair = await cli('repair', '--store=keep');
    expect(repair.code).toBe(3);
    expect(repair.stderr).toMatch(/cannot be read back: .* at checkpoint \d/);
    expect(repair.stderr).toMatch(/put aside: .*quarantine/);
  });
});
