/** Files made of a little of many blobs: what is not wanted is not looked at, and damage is told as ever. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { recover } from '../../src/recover/recover.js';
import { openStore, type Store } from '../../src/store/store.js';
import { noise, packFile } from './tree-fixture.js';

const PAGE = 4096;
const BYTES = 4 << 20;
let directory = '';
let store: Store;
let newer: Buffer;
const at = (...names: string[]): string => join(directory, ...names);

/** Two versions: in the second one every other page is new, from the first page on. */
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'dk-loose-'));
  mkdirSync(at('state'));
  const older = noise(BYTES, 'older');
  newer = Buffer.from(older);
  const fresh = noise(BYTES, 'newer');
  for (let page = 0; page < BYTES; page += 2 * PAGE) fresh.copy(newer, page, page, page + PAGE);
  store = await openStore(at('keep'), { create: true });
  for (const content of [older, newer]) {
    writeFileSync(at('state', 'f'), content);
    await capture(store, at('state'));
  }
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Turns a byte of the first version around where it is stored; gives how much of that blob the second one wants. */
async function damage(offset: number): Promise<number> {
  let first: { digest: Buffer | null; offset: number } | undefined;
  let wanted = 0;
  for await (const { sequence, version } of store.versions('f')) {
    if (sequence === 1) [first] = await store.reader(version).extents(offset, 1);
  }
  const [info] = await store.blobInfos([first?.digest as Buffer]);
  if (!first || !info) throw new Error('not stored');
  const [head] = await store.heads(['f']);
  for (const extent of await store.reader(head as never).extents(0, BYTES)) {
    if (extent.digest?.equals(first.digest as Buffer)) wanted += extent.length;
  }
  const file = openSync(packFile(store, info.pack), 'r+');
  const place = info.offset + (info.recordBytes - info.decodedBytes - 8) + first.offset;
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, place);
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  writeSync(file, byte, 0, 1, place);
  closeSync(file);
  return wanted / info.decodedBytes;
}

describe('a blob of which half is wanted', () => {
  it('is damaged where it is not: the file comes back, its older version is named, verify tells', async () => {
    expect(await damage(100)).toBeCloseTo(0.5, 1);
    const report = await recover(store, at('newer'));
    expect(report).toMatchObject({ damaged: [], rootVerified: true });
    expect(readFileSync(at('newer', 'f')).equals(newer)).toBe(true);
    const older = await recover(store, at('older'), { at: 1 });
    expect(older.damaged).toMatchObject([{ path: 'f', code: expect.stringMatching(/^DK_CORRUPT/) }]);
    expect((await store.verify()).damage.length).toBeGreaterThan(0);
  });

  it('is damaged where it is: the file is named with what is damaged, and nothing of it stays', async () => {
    await damage(PAGE + 100);
    const progress: number[] = [];
    const report = await recover(store, at('newer'), { onProgress: (done) => progress.push(done) });
    expect(report.damaged).toMatchObject([{ path: 'f', code: expect.stringMatching(/^DK_CORRUPT/) }]);
    expect(report.rootVerified).toBe(false);
    expect(() => readFileSync(at('newer', 'f'))).toThrow(/ENOENT/);
    expect(progress.at(-1)).toBe(BYTES);
    expect(progress).toEqual([...progress].sort((one, other) => one - other));
  });
});
