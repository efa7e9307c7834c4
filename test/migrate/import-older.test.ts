/** Stores of the older system put together value by value: what its own program loses, and imports cut short. */
import { readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { importedStorePath, openStoreOrImport, readMigrationReport } from '../../src/migrate/migrate.js';
import { noise } from '../store/store-fixture.js';
import { writeBolt } from './bolt-writer.js';
import { gzipped, newestFiles, OlderStores, SecondSchema, sha256Hex, versionsOf } from './older-stores.js';

const older = new OlderStores();

async function open(buckets: Parameters<typeof writeBolt>[0]) {
  const file = await older.write('db.bolt', writeBolt(buckets));
  const store = older.keep(await openStoreOrImport(file));
  const report = await readMigrationReport(importedStorePath(file));
  return {
    file,
    store,
    report,
    files: await newestFiles(store),
    damage: report?.damage.map(({ kind, name }) => `${kind} ${name}`),
  };
}

/** Versions of one file, each a few bytes away from the last. */
function steps(count: number, bytes: number): Buffer[] {
  const versions = [noise(bytes, 5)];
  for (let at = 1; at < count; at += 1) {
    const next = Buffer.from(versions.at(-1) as Buffer);
    next.fill(at, at * 10, at * 10 + 8);
    versions.push(next);
  }
  return versions;
}

async function chain(
  schema: SecondSchema,
  name: string,
  versions: readonly Buffer[],
  keepBase = true,
): Promise<string[]> {
  const base = await schema.content(versions[0] as Buffer, name);
  const cids: string[] = [];
  for (let at = 1; at < versions.length; at += 1) {
    const delta = await loadEngine().bsdiffDiff(versions[at - 1] as Buffer, versions[at] as Buffer);
    cids.push(await schema.content(delta, name));
  }
  schema.file(name, versions.at(-1) as Buffer, { cids, base: keepBase ? base : '' });
  return [base, ...cids];
}

describe.each([
  { algo: 'sha256', packed: false },
  { algo: 'blake3', packed: false },
  { algo: 'sha256', packed: true },
  { algo: 'blake3', packed: true },
] as const)('values named by $algo, compressed: $packed', (form) => {
  it('chains, short and empty values, and files in chunks', async () => {
    const schema = new SecondSchema(form);
    const versions = steps(6, 5000);
    await chain(schema, 'sub/chain.bin', versions);
    const short = Buffer.from('short');
    schema.file('short', short, { cids: [await schema.content(short)], base: '', is_snapshot: true });
    const nothing = Buffer.alloc(0);
    schema.file('nothing', nothing, { cids: [await schema.content(nothing)], base: '', is_snapshot: true });
    const big = noise(3 << 20, 9);
    const cuts = [0, 1_000_000, 2_500_000, big.length];
    const chunks = cuts.slice(0, -1).map((start, index) => big.subarray(start, cuts[index + 1]));
    for (const chunk of chunks) await schema.value(sha256Hex(chunk), chunk);
    const manifest = {
      version: 1,
      chunks: chunks.map((chunk, index) => ({
        Hash: [...Buffer.from(sha256Hex(chunk), 'hex')],
        Offset: cuts[index],
        Length: chunk.length,
      })),
    };
    schema.file('big', big, {
      cids: chunks.map(sha256Hex),
      base: '',
      is_snapshot: true,
      is_chunked: true,
      chunk_manifest: manifest,
    });
    // Its metadata lost the list; the bucket beside it still has it.
    schema.file('big-2', big, { cids: chunks.map(sha256Hex), base: '', is_snapshot: true, is_chunked: true });
    schema.chunk_index.set('big-2', Buffer.from(JSON.stringify(manifest)));
    const { store, files, damage } = await open(schema.buckets);
    expect(damage).toEqual([]);
    expect(await versionsOf(store, 'sub/chain.bin')).toEqual(versions.map(sha256Hex));
    expect(files.get('short')?.equals(short)).toBe(true);
    expect(files.get('nothing')?.length).toBe(0);
    expect(files.get('big')?.equals(big)).toBe(true);
    expect(files.get('big-2')?.equals(big)).toBe(true);
    const [head] = await store.heads(['short']);
    expect(head?.mtimeNs).toBe(BigInt(Date.parse('2025-11-20T10:11:12Z')) * 1_000_000n + 123_456_789n);
  });
});

describe('what the older program loses', () => {
  it('a chain whose base its own migration did not name', async () => {
    const schema = new SecondSchema();
    const versions = steps(4, 3000);
    const [base] = await chain(schema, 'kept-as-snapshot', versions, false);
    schema.cas.delete(base as string);
    schema.deltas.set('kept-as-snapshot', gzipped(versions[0] as Buffer));
    const others = steps(3, 2000);
    await chain(schema, 'kept-as-content', others, false);
    const { store, files, damage } = await open(schema.buckets);
    expect(damage).toEqual(['recovered kept-as-content', 'recovered kept-as-snapshot']);
    expect(files.get('kept-as-content')?.equals(others[2] as Buffer)).toBe(true);
    expect(await versionsOf(store, 'kept-as-snapshot')).toEqual(versions.map(sha256Hex));
  });

  it('a file named schema_version, whose metadata is the number of the schema', async () => {
    const schema = new SecondSchema();
    const name = await schema.content(Buffer.from('mine'), 'schema_version');
    schema.hashes.set('schema_version', Buffer.from(sha256Hex(Buffer.from('mine'))));
    expect(name).toMatch(/^Qm/);
    const { files, damage } = await open(schema.buckets);
    expect(files.get('schema_version')?.toString()).toBe('mine');
    expect(damage).toEqual(['recovered schema_version']);
  });

  it('deltas listed in a wrong order', async () => {
    const schema = new SecondSchema();
    const versions = steps(5, 3000);
    // The same place changes every time, so that the order matters.
    for (const [at, bytes] of versions.entries()) bytes.fill(at + 1, 100, 100 + 50 * at);
    const [base, ...cids] = await chain(schema, 'swapped', versions);
    const meta = JSON.parse(schema.meta.get('swapped')?.toString() ?? '');
    meta.cids = [cids[0], cids[2], cids[1], cids[3]];
    schema.meta.set('swapped', Buffer.from(JSON.stringify(meta)));
    expect(base).toBeDefined();
    const { files } = await open(schema.buckets);
    expect(files.get('swapped')?.equals(versions[4] as Buffer)).toBe(true);
  });
});

describe('imports', () => {
  const content = {
    deltas: new Map<string, Buffer>(),
    hashes: new Map<string, Buffer>(),
    meta: new Map<string, Buffer>(),
  };
  for (let at = 0; at < 50; at += 1) {
    const bytes = Buffer.from(`file number ${at}\n`.repeat(at));
    content.deltas.set(`d${at % 7}/f${at}`, gzipped(bytes));
    content.hashes.set(`d${at % 7}/f${at}`, Buffer.from(sha256Hex(bytes)));
  }

  it('are made once; the second opening finds the store and what was captured since', async () => {
    const file = await older.write('db.bolt', writeBolt(content));
    const first = await openStoreOrImport(file);
    const transaction = first.begin();
    transaction.remove('d0/f0');
    await transaction.commit();
    const { sequence } = first.newest as { sequence: number };
    await first.close();
    const second = older.keep(await openStoreOrImport(file));
    expect(second.newest?.sequence).toBe(sequence);
    expect((await newestFiles(second)).size).toBe(49);
    expect((await second.verify()).damage).toEqual([]);
  });

  it('go on after an interruption', async () => {
    const file = await older.write('db.bolt', writeBolt(content));
    const stop = new AbortController();
    let calls = 0;
    const onProgress = (): void => {
      calls += 1;
      if (calls === 2) stop.abort();
    };
    await expect(openStoreOrImport(file, { signal: stop.signal, onProgress })).rejects.toMatchObject({
      code: 'DK_ABORTED',
    });
    expect((await readMigrationReport(importedStorePath(file)))?.state).toBe('running');
    const store = older.keep(await openStoreOrImport(file));
    expect((await newestFiles(store)).size).toBe(50);
    expect((await readMigrationReport(importedStorePath(file)))?.state).toBe('complete');
  });

  it('go on when the report was lost or torn', async () => {
    const file = await older.write('db.bolt', writeBolt(content));
    await (await openStoreOrImport(file)).close();
    await writeFile(path.join(importedStorePath(file), 'migration.json'), '{"format":1,"st');
    const store = older.keep(await openStoreOrImport(file));
    expect((await newestFiles(store)).size).toBe(50);
    expect(store.newest?.sequence).toBe(1);
    expect(JSON.parse(await readFile(path.join(store.path, 'migration.json'), 'utf8')).state).toBe('complete');
  });
});
