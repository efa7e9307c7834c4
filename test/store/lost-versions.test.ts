/** Versions whose records are lost: `verify` and `repair` name every one of them, and keep the metadata that knows them. */
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { PACK_HEADER_BYTES, RECORD, RECORD_MIN_BYTES } from '../../src/format/format.js';
import type { DamageReport, Store } from '../../src/store/store.js';
import { flipRecord } from './flip-record.js';
import { commitFiles, noise, putExtents, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const { packBytes } = LIMITS;
afterEach(() => {
  (LIMITS as { packBytes: number }).packBytes = packBytes;
});

function namesOf(damage: readonly DamageReport[]): string[] {
  return [
    ...new Set(damage.flatMap(({ affected }) => affected.map(({ path, sequence }) => `${path} ${sequence}`))),
  ].sort();
}

const kindsOf = (damage: readonly DamageReport[]) => damage.map(({ kind, where }) => `${kind} ${where}`);

async function asideOf(store: Store): Promise<string[]> {
  return (await readdir(store.quarantinePath)).filter((name) => name.startsWith('meta-'));
}

/** Three checkpoints in one pack; of `b` the version of the second is the newest. Closed again. */
async function threeCheckpoints(): Promise<void> {
  const store = await fixture.open();
  await commitFiles(store, { a: noise(300, 1), b: noise(300, 2) });
  await commitFiles(store, { a: noise(300, 3), b: noise(300, 4) });
  await commitFiles(store, { a: noise(300, 5) });
  await store.close();
}

/** Ends of the records of a pack, by kind. */
async function endsOf(kind: number): Promise<number[]> {
  const bytes = await readFile(fixture.pack(1));
  const ends: number[] = [];
  for (let at = PACK_HEADER_BYTES; at < bytes.length; ) {
    const next = at + RECORD_MIN_BYTES + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 16);
    if (bytes[at + 4] === kind) ends.push(next);
    at = next;
  }
  return ends;
}

describe('a damaged record of versions', () => {
  it('is told with the versions in it that nothing else has a copy of', async () => {
    await threeCheckpoints();
    await flipRecord(fixture.pack(1), RECORD.versions, 2);
    const store = await fixture.open();
    const { damage } = await store.verify();
    expect(namesOf(damage)).toEqual(['a 2']);
    expect(damage.find(({ kind }) => kind === 'record')?.affected).toEqual([{ path: 'a', sequence: 2 }]);
  });

  it('is named by a repair with all versions that cannot be had any more; the metadata before is kept', async () => {
    await threeCheckpoints();
    await flipRecord(fixture.pack(1), RECORD.versions, 2);
    const store = await fixture.open();
    const report = await store.rebuildIndex({ check: true });
    expect(namesOf(report.damage)).toEqual(['a 2']);
    expect(await asideOf(store)).toHaveLength(1);
    const file = report.quarantined?.find((name) => name.includes('repair-')) as string;
    const { damage } = JSON.parse(await readFile(file, 'utf8')) as { damage: DamageReport[] };
    expect(damage.find(({ kind }) => kind === 'version')?.affected).toMatchObject([{ path: 'a', sequence: 2 }]);
  });

  it('is named in an encrypted store, too', async () => {
    const options = { encrypt: true, key: { keyBytes: Buffer.alloc(32, 'key') } };
    const store = await fixture.open(options);
    for (let version = 1; version <= 3; version += 1) await commitFiles(store, { a: noise(300, version) });
    await store.close();
    // Records there do not say what they are: everything behind the first is damaged.
    const bytes = await readFile(fixture.pack(1));
    bytes.fill(0x55, bytes.length >> 1, bytes.length - 20);
    await writeFile(fixture.pack(1), bytes);
    const again = await fixture.open({ key: options.key });
    expect(namesOf((await again.verify()).damage)).toContain('a 2');
    expect(namesOf((await again.rebuildIndex({ check: true })).damage)).toEqual(expect.arrayContaining(['a 2', 'a 3']));
  });
});

describe('a missing pack', () => {
  it('is told with the versions whose records stood in it', async () => {
    (LIMITS as { packBytes: number }).packBytes = 50_000;
    const store = await fixture.open();
    await commitFiles(store, { a: noise(300, 1), b: noise(300, 2) });
    await commitFiles(store, { bulk: noise(60_000, 3) });
    await commitFiles(store, { b: noise(300, 4) });
    await commitFiles(store, { bulk: noise(60_000, 5) });
    await commitFiles(store, { b: noise(300, 6) });
    await store.close();
    await rm(fixture.pack(2));
    const again = await fixture.open();
    const { damage } = await again.verify({ readData: false });
    expect(damage.find(({ where }) => where === '00000002.dkp')).toMatchObject({
      kind: 'pack',
      message: 'it is missing',
      affected: [
        { path: 'b', sequence: 3 },
        { path: 'bulk', sequence: 2 },
      ],
    });
    expect(namesOf((await again.rebuildIndex({ check: true })).damage)).toEqual(['b 3', 'bulk 2', 'bulk 4']);
  });

  it('is told when it was the only one, and a rebuild keeps the metadata that knows what was in it', async () => {
    const store = await fixture.open();
    await commitFiles(store, { a: noise(300, 1) });
    await commitFiles(store, { a: noise(300, 2) });
    await store.close();
    await rm(fixture.pack(1));
    const again = await fixture.open();
    const { damage } = await again.verify();
    // The metadata has a copy of the newest version, whose content is gone as well.
    expect(damage.map(({ kind }) => kind)).toEqual(['pack', 'blob']);
    expect(kindsOf(damage)).toContain('pack 00000001.dkp');
    expect(namesOf(damage)).toEqual(['a 1', 'a 2']);
    const rebuilt = await again.rebuildIndex();
    expect(kindsOf(rebuilt.damage)).toEqual(['checkpoint checkpoint 2', 'version the history']);
    expect(namesOf(rebuilt.damage)).toEqual(['a 1', 'a 2']);
    expect(await asideOf(again)).toHaveLength(1);
  });
});

describe('a pack without a trace of damage', () => {
  it('of which a commit was cut out: a rebuild says so, names its versions and keeps the metadata', async () => {
    await threeCheckpoints();
    const bytes = await readFile(fixture.pack(1));
    const [first, second] = await endsOf(RECORD.checkpoint);
    await writeFile(fixture.pack(1), Buffer.concat([bytes.subarray(0, first), bytes.subarray(second)]));
    const store = await fixture.open();
    const { damage } = await store.rebuildIndex();
    expect(kindsOf(damage)).toEqual(expect.arrayContaining(['checkpoint checkpoint 3', 'version the history']));
    expect(namesOf(damage)).toEqual(['a 2', 'b 2']);
    expect(await asideOf(store)).toHaveLength(1);
  });

  it('that ends earlier: verify and rebuild say what is lost', async () => {
    await threeCheckpoints();
    const [first] = await endsOf(RECORD.checkpoint);
    await truncate(fixture.pack(1), first);
    const store = await fixture.open();
    const { damage } = await store.verify();
    expect(damage[0]).toMatchObject({ kind: 'pack', message: 'records that the metadata names are not in it' });
    expect(namesOf(damage)).toContain('a 2');
    const rebuilt = await store.rebuildIndex();
    expect(kindsOf(rebuilt.damage)).toEqual(['checkpoint checkpoint 3', 'version the history']);
    expect(namesOf(rebuilt.damage)).toEqual(['a 2', 'a 3', 'b 2']);
  });

  it('after prunes, with commits before, between and after: nothing is called damaged, nothing is kept', async () => {
    const store = await fixture.open();
    for (let version = 1; version <= 9; version += 1) {
      await commitFiles(store, { a: noise(300, version), [`b${version}`]: noise(300, -version) });
      if (version % 3 === 0) await store.prune({ keepLast: 2 }, { compactBelow: 1 });
      expect((await store.verify()).damage).toEqual([]);
      expect((await store.rebuildIndex()).damage).toEqual([]);
      expect((await store.rebuildIndex({ check: true })).damage).toEqual([]);
    }
    expect(await asideOf(store)).toEqual([]);
  });
});

describe('a blob that others stand on', () => {
  /** Each version of a file is a delta against the one before. */
  async function keepChain(store: Store, name: string, count: number): Promise<void> {
    let bytes = noise(20_000, 1);
    let digest: Buffer | undefined;
    for (let version = 1; version <= count; version += 1) {
      const transaction = store.begin();
      const next = Buffer.from(bytes);
      noise(200, version).copy(next, 100 * version);
      const extents = digest && [{ digest, offset: 0, length: bytes.length }];
      const context = extents && { bytes, extents, aligned: false };
      const input = { bytes: next, kind: 'blob' as const, ...(context && { context }) };
      [digest] = (await transaction.storeBlobs([input])) as [Buffer];
      await putExtents(transaction, name, { extents: [{ digest, offset: 0, length: next.length }], digest });
      await transaction.commit();
      bytes = next;
    }
  }

  it.each([{ readData: false }, { sample: 0.000001 }, {}])(
    'is named with all versions that need it, whatever was decoded (%o)',
    async (options) => {
      const store = await fixture.open();
      await keepChain(store, 'chain', 4);
      await commitFiles(store, { other: noise(20_000, 9) });
      await store.close();
      await flipRecord(fixture.pack(1), RECORD.blob, 2);
      const again = await fixture.open();
      const names = namesOf((await again.verify(options)).damage);
      expect(names).toEqual(['chain 2', 'chain 3', 'chain 4']);
      expect(namesOf((await again.rebuildIndex({ check: true, ...options })).damage)).toEqual(names);
    },
  );

  it('is named when no version is left that has it itself', async () => {
    const store = await fixture.open();
    await keepChain(store, 'chain', 4);
    await store.prune({ keepLast: 1 }, { compactBelow: 1 });
    const { damage } = await store.verify();
    expect(damage).toEqual([]);
    await store.close();
    const packs = (await readdir(`${fixture.root}/packs`)).map((name) => Number.parseInt(name, 10)).sort();
    for (const pack of packs) {
      const done = await flipRecord(fixture.pack(pack), RECORD.blob).then(
        () => true,
        () => false,
      );
      if (done) break;
    }
    const again = await fixture.open();
    expect(namesOf((await again.verify({ readData: false })).damage)).toEqual(['chain 4']);
  });
});
