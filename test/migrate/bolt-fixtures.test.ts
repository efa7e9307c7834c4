/** Files that the original library wrote, whole and damaged: what must come over does, and the rest is named. */
import { readFile, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { importedStorePath, openStoreOrImport, readMigrationReport } from '../../src/migrate/migrate.js';
import { recover } from '../../src/recover/recover.js';
import { fixtureVersions, newestFiles, OlderStores, sha256Hex, versionsOf } from './older-stores.js';

const older = new OlderStores();

async function open(name: string) {
  const file = await older.fixture(name);
  const before = sha256Hex(await readFile(file));
  const store = older.keep(await openStoreOrImport(file));
  expect(sha256Hex(await readFile(file)), 'the file is only read').toBe(before);
  const report = await readMigrationReport(importedStorePath(file));
  const damage = (report?.damage ?? []).map(({ kind, name: entry }) => `${kind} ${entry}`).sort();
  return { file, store, report, damage, files: await newestFiles(store) };
}

function textOf(name: string): string {
  return `content of ${name}\n`.repeat(40);
}

describe('first schema', () => {
  it('v1-corrupt: ten files come over, every damaged one is named', async () => {
    const { files, damage, report } = await open('v1-corrupt');
    const good = 'good-1.txt hash-garbage.txt hash-mismatch.txt hash-uppercase.txt no-hash.txt stored-level0.txt'.split(
      ' ',
    );
    good.push('sub/good-2.txt', 'two-members.txt', 'with-header-fields.txt');
    expect([...files.keys()].sort()).toEqual(['bomb-64MiB-zero.bin', ...good].sort());
    for (const name of good) expect(files.get(name)?.toString(), name).toBe(textOf(name));
    expect(files.get('bomb-64MiB-zero.bin')?.equals(Buffer.alloc(64 << 20))).toBe(true);
    const lost = 'bad-crc bad-isize bad-magic bitflip-deflate empty-value orphan-hash trailing-garbage trailing-zeros';
    const cut = 'truncated-half truncated-header truncated-trailer';
    expect(damage).toEqual(
      [
        ...`${lost} ${cut}`.split(' ').map((name) => `lost ${name}.txt`),
        'doubtful hash-mismatch.txt',
        'unverified hash-garbage.txt',
        'unverified no-hash.txt',
      ].sort(),
    );
    expect(report?.state).toBe('with damage');
  });

  it('keeps what is damaged in quarantine, as it was found', async () => {
    const { store, report } = await open('v1-corrupt');
    const bad = report?.damage.find(({ name }) => name === 'bad-magic.txt');
    const place = path.join(store.quarantinePath, bad?.quarantine ?? 'none');
    expect(await readFile(path.join(place, 'name'), 'utf8')).toBe('bad-magic.txt');
    expect(sha256Hex(await readFile(path.join(place, 'content-0.gz')))).toBe(
      'f2846ebc4e65bcde2f826b283100bc56c6ec69149b5f469f891d312da91d7290',
    );
    const doubtful = report?.damage.find(({ name }) => name === 'hash-mismatch.txt');
    expect(doubtful?.quarantine).toBeDefined();
  });

  it('v1-hostile-keys and v1-traversal: nothing outside the state directory, usable names all come over', async () => {
    for (const [name, unusable, count] of [
      ['v1-hostile-keys', 11, 18],
      ['v1-traversal', 5, 6],
    ] as const) {
      const { store, files, damage } = await open(name);
      expect(damage.length).toBe(unusable);
      expect(files.size).toBe(count);
      for (const odd of ['schema_version', '__proto__', 'new\nline.txt', 'win\\back\\slash.txt']) {
        expect(files.get(odd)?.toString().startsWith('content of'), odd).toBe(true);
      }
      const state = path.join(older.base, `${name}-out`, 'a', 'b', 'state');
      const recovered = await recover(store, state);
      expect([recovered.damaged, recovered.rootVerified]).toEqual([[], true]);
      expect(await readFile(path.join(state, 'ok.txt'), 'utf8')).toBe(files.get('ok.txt')?.toString());
      for (const up of ['..', '../..', '../../..']) {
        await expect(stat(path.join(state, up, 'escape-1up.txt'))).rejects.toThrow('ENOENT');
        await expect(stat(path.join(state, up, 'escape-2.txt'))).rejects.toThrow('ENOENT');
      }
      await expect(stat('/abs/path.txt')).rejects.toThrow('ENOENT');
    }
  });

  it.each(['v1-nofreelist', 'v1-page16k'])('%s: 300 files', async (name) => {
    const { files, damage } = await open(name);
    expect(damage).toEqual([]);
    expect(files.size).toBe(300);
    for (const [file, bytes] of files) expect(bytes.toString()).toContain(file);
  });

  it('v1-meta-oldest-corrupt: the other meta page serves', async () => {
    const { files, damage } = await open('v1-meta-oldest-corrupt');
    expect([...files.keys()]).toEqual(['f1.txt', 'f2.txt', 'f3.txt']);
    expect(damage).toEqual(['structure ']);
  });

  it('cut files: what can be read comes over, the rest is said to be missing', async () => {
    const half = await open('v1-truncated-data');
    expect(half.files.size).toBe(260);
    for (const [file, bytes] of half.files) expect(bytes.toString()).toContain(file);
    expect(half.damage).toContain('structure ');
    const start = await open('v1-truncated-16k');
    expect(start.files.size).toBe(4);
    expect(start.report?.state).toBe('with damage');
  });

  it('what is no BoltDB file at all is refused, and no store is made', async () => {
    for (const [name, code] of [
      ['not-a-bolt', 'DK_NO_STORE'],
      ['v1-truncated-100b', 'DK_CORRUPT_BOLT'],
    ] as const) {
      const file = await older.fixture(name);
      await expect(openStoreOrImport(file)).rejects.toMatchObject({ code });
      await expect(stat(importedStorePath(file))).rejects.toThrow('ENOENT');
    }
  });

  it.each(['zero-length', 'bolt-no-buckets'])('%s: an empty store', async (name) => {
    const { files, report } = await open(name);
    expect([files.size, report?.state]).toEqual([0, 'complete']);
  });
});

describe('second schema', () => {
  it('v2-chain: every file, and every version whose order was kept', async () => {
    const { store, files, damage } = await open('v2-chain');
    const expected = await fixtureVersions('v2-chain');
    expect(damage).toEqual([]);
    expect([...files.keys()].sort()).toEqual(Object.keys(expected).sort());
    let versions = 0;
    for (const [name, all] of Object.entries(expected)) {
      expect(sha256Hex(files.get(name) as Buffer), name).toBe(all.at(-1));
      const got = await versionsOf(store, name);
      expect(
        got.every((digest) => all.includes(digest)),
        name,
      ).toBe(true);
      // Since the last snapshot: in order and without a gap.
      const since = all.slice(-(((all.length - 1) % 10) + 1)).filter((digest, at, list) => digest !== list[at - 1]);
      expect(got.slice(-since.length), name).toEqual(since);
      versions += got.length;
    }
    expect(versions).toBe(44);
  });

  it('v2-corrupt-soft: nine of nine files whose bytes exist, and none that is silently wrong', async () => {
    const { store, files, damage } = await open('v2-corrupt-soft');
    const expected = await fixtureVersions('v2-chain');
    const lost = ['deep/x/y/e-v25.txt', 'grow.log', 'shrink.log', 'sub/b-v5.txt'];
    expect([...files.keys()].sort()).toEqual(
      Object.keys(expected)
        .filter((name) => !lost.includes(name))
        .sort(),
    );
    for (const [name, bytes] of files) expect(sha256Hex(bytes), name).toBe(expected[name]?.at(-1));
    expect(damage).toEqual(
      [
        ...lost.map((name) => `lost ${name}`),
        'doubtful a-v1.txt',
        'doubtful sub/c-v10.bin',
        'doubtful unicode/日本語-δ.txt',
        'recovered dup-of-a.txt',
        'recovered sub/d-v11.txt',
      ].sort(),
    );
    // Versions before the damage are there; the state after it is not made up.
    const grown = expected['grow.log'] ?? [];
    expect(await versionsOf(store, 'grow.log')).toEqual([...grown.slice(0, 2), 'removed']);
    expect(await versionsOf(store, 'sub/b-v5.txt')).toEqual([
      ...(expected['sub/b-v5.txt'] ?? []).slice(0, 3),
      'removed',
    ]);
  });
});
