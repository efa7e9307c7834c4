/** BoltDB files built at random are read back whole; damaged at random they are read as far as they go, or refused. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { BoltFile } from '../../src/migrate/bolt-file.js';
import { BoltSource } from '../../src/migrate/bolt-source.js';
import { BoltBucket, PageSet } from '../../src/migrate/bolt-tree.js';
import { type BoltShape, type Entries, sorted, writeBolt } from './bolt-writer.js';

const RUNS = Number(process.env.DIFFKEEPER_BOLT_RUNS ?? 60);

let directory = '';
let files = 0;
beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dk-bolt-'));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function fileOf(bytes: Buffer): Promise<string> {
  files += 1;
  const file = path.join(directory, `${files}.bolt`);
  await writeFile(file, bytes);
  return file;
}

const key = fc.uint8Array({ minLength: 1, maxLength: 24 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const value = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.nat({ max: 40_000 }).map((length) => Buffer.alloc(length, length & 255)) },
);
const bucket: fc.Arbitrary<Entries> = fc.array(fc.tuple(key, value), { maxLength: 60 }).map((list) => new Map(list));
const shape: fc.Arbitrary<BoltShape> = fc.record({
  pageBytes: fc.constantFrom(1024, 4096, 16384, 65536),
  inline: fc.boolean(),
  freelist: fc.boolean(),
  newest: fc.constantFrom(0, 1),
  fanOut: fc.constantFrom(2, 5, 1000),
});
const buckets = fc.record({ deltas: bucket, hashes: bucket, meta: bucket });

/** Everything in a file, bucket by bucket; damage apart. */
async function readAll(
  file: string,
): Promise<{ readonly found: Map<string, Map<string, Buffer>>; readonly damage: string[] }> {
  const bolt = await BoltFile.open(file);
  try {
    const damage: string[] = [];
    const found = new Map<string, Map<string, Buffer>>();
    const [meta] = bolt.facts.metas;
    if (!meta) return { found, damage };
    const seen = new PageSet();
    const inside = await new BoltBucket(bolt, meta.root, null).buckets(seen, (message) => damage.push(message));
    for (const [name, tree] of inside) {
      const entries = new Map<string, Buffer>();
      for await (const item of tree.walk(seen)) {
        if (item.kind === 'damage') damage.push(item.message);
        else entries.set(item.key.toString('latin1'), await item.value.read(1 << 20));
      }
      found.set(name, entries);
    }
    return { found, damage };
  } finally {
    await bolt.close();
  }
}

describe('whole files', () => {
  it('come back entry by entry, in order, by walking and by asking', async () => {
    await fc.assert(
      fc.asyncProperty(buckets, shape, async (content, form) => {
        const file = await fileOf(writeBolt(content, form));
        const { found, damage } = await readAll(file);
        expect(damage).toEqual([]);
        const bolt = await BoltFile.open(file);
        const root = bolt.facts.metas[0]?.root ?? 0;
        const trees = await new BoltBucket(bolt, root, null).buckets(new PageSet(), () => {});
        for (const [name, entries] of Object.entries(content)) {
          const got = found.get(name) ?? new Map();
          expect([...got.keys()]).toEqual(sorted(entries).map(([bytes]) => bytes.toString('latin1')));
          for (const [text, bytes] of entries) {
            expect(got.get(text)?.equals(bytes)).toBe(true);
            const asked = await trees.get(name)?.get(Buffer.from(text, 'latin1'));
            expect((await asked?.read(1 << 20))?.equals(bytes)).toBe(true);
          }
          expect(await trees.get(name)?.get(Buffer.from('no such key, and longer than any'))).toBeNull();
        }
        await bolt.close();
      }),
      { numRuns: RUNS, seed: 8 },
    );
  });

  it('stream long values in bounded pieces', async () => {
    const long = Buffer.alloc(3 << 20, 7);
    const file = await fileOf(
      writeBolt({
        deltas: new Map([
          ['a', Buffer.from('x')],
          ['long', long],
          ['z', Buffer.from('y')],
        ]),
      }),
    );
    const bolt = await BoltFile.open(file);
    const trees = await new BoltBucket(bolt, bolt.facts.metas[0]?.root ?? 0, null).buckets(new PageSet(), () => {});
    const found = await trees.get('deltas')?.get(Buffer.from('long'));
    let bytes = 0;
    for await (const piece of found?.stream() ?? []) {
      expect(piece.length).toBeLessThanOrEqual(256 << 10);
      bytes += piece.length;
    }
    expect(bytes).toBe(long.length);
    await bolt.close();
  });
});

/** Opens a damaged file every way there is; anything but an error of ours fails. */
async function survive(file: string): Promise<void> {
  for (const look of [readAll, surveyAll]) {
    try {
      await look(file);
    } catch (error) {
      if (!isDiffKeeperError(error)) throw error;
      expect(['DK_CORRUPT_BOLT', 'DK_NO_STORE']).toContain(error.code);
    }
  }
}

async function surveyAll(file: string): Promise<void> {
  const source = await BoltSource.open(file);
  try {
    for await (const item of source.items()) {
      if (item.kind === 'entry') for (const gzip of item.entry.gzips) await gzip.read(1 << 30);
    }
  } finally {
    await source.close();
  }
}

describe('damaged files', () => {
  const hit = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    byte: fc.nat({ max: 255 }),
  });

  it('end in entries, reported damage or an error of ours: bytes hit anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(buckets, shape, fc.array(hit, { minLength: 1, maxLength: 40 }), async (content, form, hits) => {
        const bytes = writeBolt(content, form);
        for (const { at, byte } of hits) bytes[Math.floor(at * bytes.length)] = byte;
        await survive(await fileOf(bytes));
      }),
      { numRuns: RUNS, seed: 88 },
    );
  });

  it('the same where it hurts: page headers and elements', async () => {
    await fc.assert(
      fc.asyncProperty(buckets, shape, fc.array(hit, { minLength: 1, maxLength: 12 }), async (content, form, hits) => {
        const bytes = writeBolt(content, form);
        const pages = bytes.length / form.pageBytes;
        for (const { at, byte } of hits) {
          const place = 2 + at * (pages - 2);
          bytes[Math.floor(place) * form.pageBytes + Math.floor((place % 1) * 80)] = byte;
        }
        await survive(await fileOf(bytes));
      }),
      { numRuns: RUNS, seed: 888 },
    );
  });

  it('cut off anywhere', async () => {
    const content = { deltas: new Map([...Array(200).keys()].map((n) => [`k${n}`, Buffer.alloc(100, n)] as const)) };
    const whole = writeBolt(content, { pageBytes: 1024, inline: false });
    for (let length = 1; length < whole.length; length += 997) await survive(await fileOf(whole.subarray(0, length)));
  });

  it('a loop of pages ends, and says so', async () => {
    const content = { deltas: new Map([...Array(50).keys()].map((n) => [`key-${n}`, Buffer.alloc(60, n)] as const)) };
    const bytes = writeBolt(content, { pageBytes: 1024, inline: false, fanOut: 4 });
    // Every branch leads to the first branch page there is.
    const pages = bytes.length / 1024;
    const branches = [...Array(pages).keys()].filter((id) => id > 1 && bytes.readUInt16LE(id * 1024 + 8) === 1);
    for (const id of branches) {
      const count = bytes.readUInt16LE(id * 1024 + 10);
      for (let n = 0; n < count; n += 1)
        bytes.writeBigUInt64LE(BigInt(branches.at(-1) ?? 0), id * 1024 + 16 + n * 16 + 8);
    }
    expect(branches.length).toBeGreaterThan(1);
    const { damage } = await readAll(await fileOf(bytes));
    expect(damage.join()).toContain('reached twice');
    const bolt = await BoltFile.open(path.join(directory, `${files}.bolt`));
    const tree = new BoltBucket(bolt, branches.at(-1) ?? 0, null);
    await expect(tree.get(Buffer.from('key-1'))).rejects.toMatchObject({ code: 'DK_CORRUPT_BOLT' });
    await bolt.close();
  });

  it('counts and lengths beyond the page are refused before anything is reserved', async () => {
    const bytes = writeBolt({ deltas: new Map([['a', Buffer.alloc(2000)]]) }, { inline: false });
    const at = (id: number): number => id * 4096;
    const leaf =
      [...Array(bytes.length / 4096).keys()].find((id) => id > 2 && bytes.readUInt16LE(at(id) + 8) === 2) ?? 0;
    bytes.writeUInt32LE(0xfffffff0, at(leaf) + 12);
    const overflow = await readAll(await fileOf(bytes));
    expect(overflow.damage.join()).toContain('leave the file');
    bytes.writeUInt32LE(0, at(leaf) + 12);
    bytes.writeUInt32LE(0x7fffffff, at(leaf) + 16 + 12);
    const long = await readAll(await fileOf(bytes));
    expect(long.damage.join()).toContain('leaves its page');
  });
});

describe('meta pages', () => {
  const content = { deltas: new Map([['a', Buffer.from('1')]]) };

  it.each([0, 1] as const)('either one is enough (%s is damaged), at any page size', async (damaged) => {
    for (const pageBytes of [1024, 4096, 65536]) {
      const bytes = writeBolt(content, { pageBytes });
      bytes.fill(0xff, damaged * pageBytes + 20, damaged * pageBytes + 60);
      const { found } = await readAll(await fileOf(bytes));
      expect(found.get('deltas')?.get('a')?.toString()).toBe('1');
    }
  });

  it('the newer one counts', async () => {
    for (const newest of [0, 1] as const) {
      const bolt = await BoltFile.open(await fileOf(writeBolt(content, { newest })));
      expect(bolt.facts.metas[0]?.transaction).toBe(8n);
      await bolt.close();
    }
  });

  it('both damaged is an error; so is a file of another kind', async () => {
    const bytes = writeBolt(content);
    bytes[60] = (bytes[60] ?? 0) ^ 1;
    bytes[4096 + 60] = (bytes[4096 + 60] ?? 0) ^ 1;
    await expect(BoltFile.open(await fileOf(bytes))).rejects.toMatchObject({ code: 'DK_CORRUPT_BOLT' });
    await expect(BoltFile.open(await fileOf(Buffer.from('SQLite format 3')))).rejects.toMatchObject({
      code: 'DK_NO_STORE',
    });
  });
});
