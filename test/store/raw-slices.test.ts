/** Files made of pieces of very many blobs: what is read loosely is what is read with care, and trouble is left to care. */
import { open, rename } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { type Extent, RECORD_HEAD_BYTES, RECORD_MIN_BYTES, type Version } from '../../src/format/format.js';
import type { BlobFetch } from '../../src/store/blob-fetch.js';
import { ExtentTable } from '../../src/store/extent-table.js';
import type { Packs } from '../../src/store/packs.js';
import { RawSlices } from '../../src/store/raw-slices.js';
import type { BlobInfo, Store, VersionReader } from '../../src/store/store.js';
import { codeOf, noise, putExtents, StoreFixture } from './store-fixture.js';

type PackRead = Parameters<Packs['readSlices']>[1];

const fixture = new StoreFixture();
const PAGE = 4096;
const KEY = { encrypt: true, key: { keyBytes: Buffer.alloc(32, 'k') } };

/** Pages of blobs that do not compress, one here and one there; every `coded`-th of a blob that does, some zeros. */
async function keepScattered(store: Store, { pages, coded }: { pages: number; coded: number }): Promise<Version> {
  const transaction = store.begin();
  const inputs = Array.from({ length: 40 }, (_, index) => ({
    bytes: noise(64 * PAGE, index + 1),
    kind: 'blob' as const,
  }));
  const texts = Array.from({ length: 4 }, (_, index) => ({
    bytes: Buffer.alloc(16 * PAGE, `text of blob ${index} `),
    kind: 'blob' as const,
  }));
  const raw = await transaction.storeBlobs(inputs);
  const text = await transaction.storeBlobs(texts);
  const extents: Extent[] = [];
  const content: Buffer[] = [];
  for (let page = 0; page < pages; page += 1) {
    const isText = coded > 0 && page % coded === coded - 1;
    const list = isText ? texts : inputs;
    const blob = (page * 7) % list.length;
    const offset = ((page * 5) % 15) * PAGE + (page % 3);
    if (page % 11 === 10) {
      extents.push({ digest: null, offset: 0, length: PAGE });
      content.push(Buffer.alloc(PAGE));
    } else {
      extents.push({ digest: (isText ? text : raw)[blob] as Buffer, offset, length: PAGE });
      content.push(list[blob]?.bytes.subarray(offset, offset + PAGE) as Buffer);
    }
  }
  const digest = store.engine.digest(store.hashAlgo, Buffer.concat(content));
  await putExtents(transaction, 'f', { extents, digest });
  await transaction.commit();
  return (await store.heads(['f']))[0] as Version;
}

/** Both ways give the same, in any piece. */
async function expectSame(reader: VersionReader): Promise<void> {
  const { size } = reader.version;
  const whole = await reader.read(0, size);
  for (let turn = 0; turn < 60; turn += 1) {
    const offset = turn === 0 ? 0 : (turn * 7919 * 13) % size;
    const length = turn === 0 ? size : Math.min(size - offset, (turn * 104_729) % (20 * PAGE));
    const into = Buffer.alloc(length + 3, 0xee);
    await reader.prefetch(offset, length);
    const bytes = await reader.readLoosely(offset, length, into);
    expect(bytes.equals(whole.subarray(offset, offset + length))).toBe(true);
    expect(into.subarray(length).equals(Buffer.alloc(3, 0xee))).toBe(true);
  }
}

describe('a scattered file', () => {
  it.each([
    ['of blobs that stand as they are', { pages: 700, coded: 0 }, {}, true],
    ['of blobs of which some are coded', { pages: 700, coded: 3 }, {}, false],
    ['of an encrypted store', { pages: 700, coded: 0 }, KEY, false],
  ])('%s reads loosely as it does with care', async (_, pages, options, scattered) => {
    const store = await fixture.open(options);
    const version = await keepScattered(store, pages);
    const reader = store.reader(version);
    expect(await reader.isScattered()).toBe(scattered);
    await expectSame(reader);
    // Ahead and to read at the same time, as a recover does.
    const fresh = store.reader(version);
    const into = Buffer.alloc(version.size);
    await Promise.all([fresh.prefetch(0, version.size), fresh.readLoosely(0, version.size, into)]);
    expect(into.equals(await reader.read(0, version.size))).toBe(true);
  });

  it('is read from all of its packs, a few of them at once', async () => {
    const packs = 40;
    const bytes = noise(packs, 5);
    const digests = Array.from({ length: packs }, (_, pack) => Buffer.alloc(32, pack + 1));
    const table = ExtentTable.of(digests.map((digest) => ({ digest, offset: 7, length: 1 })));
    const info = (digest: Buffer): BlobInfo => {
      const pack = digest[0] as number;
      return { digest, pack, offset: 100 * pack, recordBytes: 500 + RECORD_MIN_BYTES, decodedBytes: 500, depth: 0 };
    };
    const open: number[] = [];
    const read = vi.fn(async (names: readonly (number | null)[], { slices, range, into }: PackRead) => {
      const mine = names.filter((pack) => pack !== null);
      open.push(mine.length);
      for (let index = range.first; index <= range.last; index += 1) {
        const blob = slices.blobs[index] as number;
        const pack = names[slices.files[blob] as number];
        if (pack === null || pack === undefined) continue;
        expect(slices.begins[blob]).toBe(100 * pack + RECORD_HEAD_BYTES);
        (into as Buffer)[index - range.first] = bytes[pack - 1] as number;
      }
      return new Uint32Array(0);
    });
    const fetch = { infos: async (names: Buffer[]) => names.map(info) } as unknown as BlobFetch;
    const raw = new RawSlices({ records: { sealed: false }, readSlices: read } as unknown as Packs, fetch);
    const into = Buffer.alloc(packs);
    expect(await raw.fill({ table, offset: 0, length: packs }, into)).toEqual([]);
    expect(into.equals(bytes)).toBe(true);
    expect(open).toEqual([16, 16, 8]);
  });

  it('leaves a blob that is wanted whole to care only as long as nobody knows that it is scattered', async () => {
    const names = Array.from({ length: 99 }, (_, blob) => Buffer.alloc(32, blob + 1));
    const whole = names[40] as Buffer;
    const extents = names.map((digest) => ({ digest, offset: digest === whole ? 1 : 7, length: 1 }));
    const table = ExtentTable.of([...extents, { digest: whole, offset: 0, length: 1 }]);
    const info = (digest: Buffer): BlobInfo => {
      const decodedBytes = digest === whole ? 2 : 500;
      const recordBytes = decodedBytes + RECORD_MIN_BYTES;
      return { digest, pack: 1, offset: 1000 * (digest[0] as number), recordBytes, decodedBytes, depth: 0 };
    };
    const fetch = { infos: async (asked: Buffer[]) => asked.map(info) } as unknown as BlobFetch;
    const readSlices = async () => new Uint32Array(0);
    const raw = new RawSlices({ records: { sealed: false }, readSlices } as unknown as Packs, fetch);
    const stretch = { table, offset: 0, length: 100 };
    expect(await raw.fill(stretch, Buffer.alloc(100))).toEqual([
      { digest: whole, offset: 1, length: 1, at: 40 },
      { digest: whole, offset: 0, length: 1, at: 99 },
    ]);
    expect(await raw.isLoose(table)).toBe(true);
    expect(await raw.fill(stretch, Buffer.alloc(100))).toEqual([]);
  });

  it('of few pieces, or stored but once, is none', async () => {
    const store = await fixture.open();
    const transaction = store.begin();
    const [one, two] = await transaction.storeBlobs([
      { bytes: noise(1 << 20, 1), kind: 'blob' },
      { bytes: noise(1 << 20, 2), kind: 'blob' },
    ]);
    const digest = Buffer.alloc(32, 1);
    const halves = [one, two].map((name) => ({ digest: name as Buffer, offset: 0, length: 1 << 19 }));
    await putExtents(transaction, 'halves', { extents: halves, digest });
    const pages = Array.from({ length: 256 }, (_, page) => ({
      digest: one as Buffer,
      offset: page * PAGE,
      length: PAGE,
    }));
    await putExtents(transaction, 'pages', { extents: pages.reverse(), digest });
    await transaction.commit();
    for (const version of await store.heads(['halves', 'pages'])) {
      expect(await store.reader(version as Version).isScattered()).toBe(false);
    }
  });

  it('leaves to care what it cannot read: the pack that is missing is named', async () => {
    const store = await fixture.open();
    const version = await keepScattered(store, { pages: 300, coded: 0 });
    await store.close();
    await rename(fixture.pack(1), `${fixture.pack(1)}-gone`);
    const again = await fixture.open();
    const reader = again.reader(version);
    expect(await codeOf(() => reader.readLoosely(0, version.size, Buffer.alloc(version.size)))).toBe('DK_CORRUPT_PACK');
  });

  it('with a wrong byte reads as other bytes loosely, and as damage with care', async () => {
    const store = await fixture.open();
    const version = await keepScattered(store, { pages: 300, coded: 0 });
    const good = await store.reader(version).read(0, version.size);
    await store.close();
    const handle = await open(fixture.pack(1), 'r+');
    // Inside the first page.
    await handle.write(Buffer.from('damage'), 0, 6, 2000);
    await handle.close();
    const reader = (await fixture.open()).reader(version);
    const loose = await reader.readLoosely(0, version.size, Buffer.alloc(version.size));
    expect(loose.equals(good)).toBe(false);
    expect(await codeOf(() => reader.read(0, version.size))).toBe('DK_CORRUPT_RECORD');
  });
});
