/** `condense` on the command line: what it says, and that everything is still there. */
import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore } from '../../src/store/store.js';
import { textOf, writeHistory } from '../store/condensed-store.js';
import { ensureBuilt, jsonLines, runCli, scratch } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const cli = (...words: string[]) => runCli(words, { cwd });

beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  const store = await openStore(path.join(cwd, 'keep'), { create: true });
  await writeHistory(store, 1, 60);
  await store.close();
}, 120_000);
afterAll(() => remove());

describe('condense', () => {
  it('gives room back and says how much; every version is there', async () => {
    const [report] = jsonLines((await cli('condense', '--store=keep', '--json')).stdout);
    expect(report).toMatchObject({ type: 'condense', packs: 1, considered: 1, damaged: 0, packsLeft: 0 });
    expect(Number(report?.freedBytes)).toBe(Number(report?.bytesBefore) - Number(report?.bytesAfter));
    expect(Number(report?.bytesAfter)).toBeLessThan(Number(report?.bytesBefore) / 2);
    for (const at of [1, 30, 60]) {
      expect((await cli('cat', '--store=keep', `--at=${at}`, 'a/each')).stdout).toBe(textOf(at, 'each').toString());
    }
    expect((await cli('verify', '--store=keep')).code).toBe(0);
    expect((await cli('stats', '--store=keep')).stdout).toMatch(/saved: dense packs[^\d\n]+\d/);
    expect((await cli('repair', '--store=keep')).code).toBe(0);
  });

  it('says when there is nothing to do', async () => {
    const again = await cli('condense', '--store=keep');
    expect(again.code).toBe(0);
    expect(again.stdout).toContain('0 packs condensed');
    expect(again.stderr).toContain('no pack is left that is made mostly of small versions');
  });

  it('is refused for an encrypted store', async () => {
    await writeFile(path.join(cwd, 'key'), Buffer.alloc(32, 1));
    const words = ['--store=locked', '--key-file=key'];
    expect((await cli('capture', '--state-dir=keep', ...words, '--encrypt')).code).toBe(0);
    const refused = await cli('condense', ...words);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('DK_UNSUPPORTED');
  });
});
