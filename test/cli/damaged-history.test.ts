/** `timeline`, `diff` and `export` of checkpoints whose records of versions are damaged: they go on, and say what is missing. */
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RECORD } from '../../src/format/format.js';
import { flipRecord } from '../store/flip-record.js';
import { ensureBuilt, jsonLines, runCli, scratch } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const cli = (...words: string[]) => runCli([...words, '--store=keep'], { cwd });
const at = (name: string): string => path.join(cwd, 'data', name);

/** Four checkpoints; of the second, which wrote `b`, `c`, `d/x` and removed `gone`, the record of versions is damaged. */
beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  await mkdir(at('d'), { recursive: true });
  const lives: Record<string, string>[] = [
    { a: 'a1', b: 'b1', gone: 'gone' },
    { b: 'b2', c: 'c2', 'd/x': 'x2' },
    { b: 'b3', c: 'c3' },
    { a: 'a4' },
  ];
  for (const [index, files] of lives.entries()) {
    for (const [name, content] of Object.entries(files)) await writeFile(at(name), content);
    if (index === 1) await rm(at('gone'));
    expect((await cli('capture', '--state-dir=data')).code).toBe(0);
  }
  await flipRecord(path.join(cwd, 'keep', 'packs', '00000001.dkp'), RECORD.versions, 2);
}, 120_000);
afterAll(() => remove());

function damagedOf(lines: readonly Record<string, unknown>[]): unknown[] {
  return lines.filter(({ type }) => type === 'damaged').map(({ path: name, sequence }) => `${name} ${sequence}`);
}

describe('timeline', () => {
  it('shows every checkpoint, counts what it cannot read and names it', async () => {
    const result = await cli('timeline', '--json');
    expect(result.code).toBe(3);
    const lines = jsonLines(result.stdout);
    const rows = lines.filter(({ type }) => type === 'checkpoint');
    expect(rows.map(({ sequence, unreadable }) => [sequence, unreadable])).toEqual([
      [1, 0],
      [2, 3],
      [3, 0],
      [4, 0],
    ]);
    // `d/x` is the newest of its path: the metadata has a copy of it.
    expect(rows[1]).toMatchObject({
      added: 1,
      names: [
        { mark: '+', path: 'd/x' },
        { mark: '~', path: 'd' },
      ],
    });
    expect(rows[2]).toMatchObject({ added: 0, changed: 2 });
    expect(damagedOf(lines)).toEqual(['b 2', 'c 2', 'gone 2']);
    const shown = await cli('timeline', '--limit=2');
    expect([shown.code, shown.stderr]).toEqual([0, '']);
    expect((await cli('timeline')).stderr).toContain('damaged: b of checkpoint 2: ');
  });
});

describe('diff', () => {
  it('tells all other differences, and no difference of what it cannot read', async () => {
    const result = await cli('diff', '1', '2', '--json');
    expect(result.code).toBe(3);
    const lines = jsonLines(result.stdout);
    const differences = lines.filter(({ type }) => type === 'difference');
    expect(differences.map(({ mark, path: name }) => `${mark} ${name}`)).toEqual(['+ d/x']);
    expect(damagedOf(lines)).toEqual(['b 2', 'c 2', 'gone 2']);
    expect(lines.at(-1)).toMatchObject({ type: 'diff', added: 1, removed: 0, damaged: 3 });
    const back = await cli('diff', '2', '4', '--json');
    expect(back.code).toBe(3);
    expect(jsonLines(back.stdout).filter(({ type }) => type === 'difference')).toMatchObject([
      { mark: '~', path: 'a' },
    ]);
    // Both have the same version of it, whatever that is.
    expect(await cli('diff', '3', '3')).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('export', () => {
  it.each(['tar', 'dir'])('as %s leaves out what it cannot read', async (format) => {
    const target = path.join(cwd, `out-${format}`);
    const result = await cli('export', `--format=${format}`, '--at=2', target);
    expect(result.code).toBe(3);
    for (const name of ['b', 'c', 'gone']) expect(result.stderr).toContain(`left out: ${name}: `);
    if (format === 'tar') {
      const listed = spawnSync('tar', ['tf', target], { encoding: 'utf8' });
      expect([listed.status, listed.stdout.trim().split('\n').sort()]).toEqual([0, ['a', 'd/', 'd/x']]);
    } else expect((await readdir(target)).sort()).toEqual(['a', 'd']);
  });
});

describe('after metadata was rebuilt, which no longer knows their names', () => {
  it('timeline counts what is lost', async () => {
    await rm(path.join(cwd, 'keep', 'meta'), { recursive: true });
    const result = await cli('timeline', '--json');
    expect(result.code).toBe(3);
    const lost = jsonLines(result.stdout).filter(({ type }) => type === 'damaged');
    expect(lost).toMatchObject([{ sequence: 2, versions: 6 }]);
  });
});
