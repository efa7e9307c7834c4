/** Both schemas keep files: what schema 1 can hold comes back as it does from schema 2, what it cannot hold is not made up. */
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import * as path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ClassicLevel } from 'classic-level';
import { describe, expect, it } from 'vitest';
import { capture, openCaptureSession } from '../../src/capture/capture.js';
import {
  finalizeMigration,
  type OpenOptions,
  openStoreOrImport,
  readMigrationReport,
} from '../../src/migrate/migrate.js';
import { readFileAt, recover } from '../../src/recover/recover.js';
import type { Store } from '../../src/store/store.js';
import { noise } from '../store/store-fixture.js';
import { newestFiles, OlderStores, sha256Hex, versionsOf } from './older-stores.js';

const older = new OlderStores();

const keep = (): string => path.join(older.base, 'keep');
const state = (): string => path.join(older.base, 'state');

async function open(schema: OpenOptions['schema']): Promise<Store> {
  return openStoreOrImport(keep(), { create: true, ...(schema && { schema }) });
}

async function withStore<T>(schema: OpenOptions['schema'], task: (store: Store) => Promise<T>): Promise<T> {
  const store = await open(schema);
  try {
    return await task(store);
  } finally {
    await store.close();
  }
}

async function put(name: string, content: Buffer | string): Promise<void> {
  const file = path.join(state(), name);
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}

/** Content of every regular file below a directory, by path. */
async function filesOf(directory: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const full = path.join(entry.parentPath, entry.name);
    found[path.relative(directory, full)] = sha256Hex(await readFile(full));
  }
  return found;
}

describe.each([1, 2] as const)('schema %s', (schema) => {
  it('keeps files of all sizes through changes, and recovers them verified', async () => {
    await put('small', 'one');
    await put('empty', '');
    await put('deep/er/large', noise(5_000_001, 1));
    await put('deep/holes', noise(4096, 2));
    await truncate(path.join(state(), 'deep/holes'), 9_000_000);
    await put('schema_version', 'a file');
    await put('deep/日本語', 'names are bytes');
    const check = async (): Promise<void> => {
      await withStore(schema, async (store) => {
        const out = path.join(older.base, `out-${store.newest?.sequence ?? 0}`);
        const report = await recover(store, out);
        expect(report).toMatchObject({ damaged: [], rootVerified: true });
        expect(await filesOf(out)).toEqual(await filesOf(state()));
        expect((await recover(store, out)).written).toBe(0);
        expect((await store.verify()).damage).toEqual([]);
      });
    };
    await withStore(schema, async (store) => expect((await capture(store, state())).checkpoint?.sequence).toBe(1));
    await check();
    const large = await readFile(path.join(state(), 'deep/er/large'));
    large.write('changed in the middle', 2_500_000);
    await put('deep/er/large', large);
    await put('small', 'another');
    await put('copy-of-large', large);
    await withStore(schema, async (store) => expect((await capture(store, state())).checkpoint?.sequence).toBe(2));
    await check();
    await put('deep/er/large', Buffer.concat([Buffer.from('shifted'), large, noise(300_000, 3)]));
    await truncate(path.join(state(), 'copy-of-large'), 1_200_000);
    await withStore(schema, (store) => capture(store, state()));
    await check();
  });

  it('makes no checkpoint when nothing changed, one when it is asked to', async () => {
    await put('a', 'a');
    await withStore(schema, async (store) => {
      const session = await openCaptureSession(store, state());
      expect((await session.capture()).checkpoint?.sequence).toBe(1);
      expect((await session.capture()).checkpoint).toBeNull();
      expect((await session.capture({ tag: 'wanted' })).checkpoint?.tag).toBe('wanted');
      await session.close();
      expect((await store.checkpointAt(2)).tag).toBe('wanted');
    });
  });

  it('streams one file, and names what it does not have', async () => {
    await put('dir/a', noise(3 << 20, 4));
    await withStore(schema, async (store) => {
      await capture(store, state());
      const parts: Buffer[] = [];
      for await (const part of readFileAt(store, 'dir/a')) parts.push(part as Buffer);
      expect(Buffer.concat(parts).equals(noise(3 << 20, 4))).toBe(true);
      await expect(readFileAt(store, 'dir/b').toArray()).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
      await expect(store.checkpointAt(7)).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
      expect(await store.stats()).toMatchObject({ treeBytes: 3 << 20, originalBytes: 3 << 20 });
    });
  });

  it("is one writer's at a time, and unusable once closed", async () => {
    const store = await open(schema);
    await expect(open(schema)).rejects.toMatchObject({ code: 'DK_STORE_LOCKED' });
    await store.close();
    expect(() => store.begin()).toThrow(/closed/);
  });
});

describe('what schema 1 does not hold', () => {
  it('history, removals, modes, times, links and empty directories', async () => {
    await put('changed', 'old');
    await put('removed', 'still here');
    await put('mode', 'm');
    await chmod(path.join(state(), 'mode'), 0o600);
    await utimes(path.join(state(), 'mode'), 1_000_000_000, 1_000_000_000);
    await mkdir(path.join(state(), 'nothing-in-it'));
    await symlink('mode', path.join(state(), 'link'));
    await withStore(1, async (store) => {
      await capture(store, state());
      await put('changed', 'new');
      await rm(path.join(state(), 'removed'));
      await capture(store, state());
      const out = path.join(older.base, 'out');
      const report = await recover(store, out);
      expect(report.rootVerified).toBe(true);
      expect(Object.keys(await filesOf(out)).sort()).toEqual(['changed', 'mode', 'removed']);
      expect(await readdir(out)).not.toContain('nothing-in-it');
      expect(Number((await stat(path.join(out, 'mode'))).mode & 0o777)).toBe(0o644);
      expect(await versionsOf(store, 'changed')).toEqual([sha256Hex(Buffer.from('new'))]);
      await expect(recover(store, out, { at: 1 })).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
    });
  });
});

describe('the layout of schema 1', () => {
  it('is that of sublevels: gzip as the older program wrote it, SHA-256 in hex', async () => {
    await put('dir/a', 'content'.repeat(100));
    await withStore(1, (store) => capture(store, state()));
    const level = new ClassicLevel<Buffer, Buffer>(path.join(keep(), 'snapshots'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    const deltas = level.sublevel<string, Buffer>('deltas', { valueEncoding: 'buffer' });
    const hashes = level.sublevel<string, Buffer>('hashes', { valueEncoding: 'buffer' });
    // Every value ends with a checksum of four bytes.
    const value = ((await deltas.get('dir/a')) as Buffer).subarray(0, -4);
    expect(value.subarray(0, 10).toString('hex')).toBe('1f8b08000000000000ff');
    expect(gunzipSync(value).toString()).toBe('content'.repeat(100));
    expect(((await hashes.get('dir/a')) as Buffer).subarray(0, -4).toString()).toBe(
      sha256Hex(Buffer.from('content'.repeat(100))),
    );
    await level.close();
  });

  it('a damaged value costs one file, which is named', async () => {
    await put('a', 'a'.repeat(1000));
    await put('b', 'b'.repeat(1000));
    await withStore(1, (store) => capture(store, state()));
    const level = new ClassicLevel<Buffer, Buffer>(path.join(keep(), 'snapshots'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    await level.put(Buffer.from('!deltas!a'), Buffer.from('no gzip and no checksum'));
    await level.close();
    await withStore(1, async (store) => {
      expect((await store.verify()).damage.map(({ affected }) => affected[0]?.path)).toEqual(['a']);
      const report = await recover(store, path.join(older.base, 'out'));
      expect(report.damaged.map((damage) => damage.path)).toEqual(['a']);
    });
    const store = older.keep(await open(2));
    expect([...(await newestFiles(store)).keys()]).toEqual(['b']);
    const migrated = await readMigrationReport(keep());
    expect(migrated).toMatchObject({ state: 'with damage', damage: [{ kind: 'lost', name: 'a' }] });
  });
});

describe('migration to schema 2', () => {
  async function makeFirst(): Promise<void> {
    for (let at = 0; at < 20; at += 1) await put(`d${at % 3}/f${at}`, `file ${at} `.repeat(at));
    await put('large', noise(3 << 20, 6));
    await withStore(1, (store) => capture(store, state()));
  }

  it('happens at the first opening with deltas, once, and leaves the snapshots', async () => {
    await makeFirst();
    const looked = older.keep(await open('asFound'));
    expect(looked.hashAlgo).toBe('sha256');
    await looked.close();
    await withStore(2, async (store) => {
      expect(store.hashAlgo).toBe('blake3');
      expect(store.newest?.tag).toContain('imported');
      const out = path.join(older.base, 'out');
      expect(await recover(store, out)).toMatchObject({ damaged: [], rootVerified: true });
      expect(await filesOf(out)).toEqual(await filesOf(state()));
    });
    expect(await readMigrationReport(keep())).toMatchObject({ state: 'complete', source: { kind: 'v1', schema: 1 } });
    await withStore(2, async (store) => expect(store.newest?.sequence).toBe(1));
    await withStore('asFound', async (store) => expect(store.hashAlgo).toBe('blake3'));
  });

  it('can be rolled back until it is finalized, and done again', async () => {
    await makeFirst();
    await withStore(2, async (store) => {
      await put('only-in-2', 'two');
      await capture(store, state());
    });
    await rm(path.join(state(), 'only-in-2'));
    await withStore(1, async (store) => {
      expect((await newestFiles(store)).has('only-in-2')).toBe(false);
      await put('d0/f0', 'written after the way back');
      await capture(store, state(), { deltaEngine: 'none' });
    });
    await expect(finalizeMigration(keep())).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
    await withStore(2, async (store) => {
      const files = await newestFiles(store);
      expect(files.get('d0/f0')?.toString()).toBe('written after the way back');
      // What schema 2 knew beyond that is still in it.
      expect(files.get('only-in-2')?.toString()).toBe('two');
    });
    expect((await finalizeMigration(keep())).finalized).toBe(true);
    expect((await readdir(keep())).filter((name) => name.toLowerCase().startsWith('snapshots'))).toEqual([]);
    // The way back is gone: schema 2 goes on, without deltas.
    await withStore(1, async (store) => expect(store.hashAlgo).toBe('blake3'));
    expect((await finalizeMigration(keep())).finalized).toBe(true);
  });

  it('is refused for a store that never was of schema 1', async () => {
    await put('a', 'a');
    await withStore(2, (store) => capture(store, state()));
    await expect(finalizeMigration(keep())).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
  });

  it('a file renamed between two captures is there under both names, since removals are not kept', async () => {
    await makeFirst();
    await rename(path.join(state(), 'large'), path.join(state(), 'renamed'));
    await withStore(1, (store) => capture(store, state()));
    await withStore(2, async (store) => {
      const files = await newestFiles(store);
      expect(files.get('large')?.equals(files.get('renamed') as Buffer)).toBe(true);
    });
  });
});
