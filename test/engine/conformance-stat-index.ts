import { execFileSync } from 'node:child_process';
import { chmod, lstat, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pathBytes } from '../../src/core/core.js';
import { ENTRY, type Engine, STAT, type StatIndex, type TreeChanges } from '../../src/engine/engine.js';
import { rowAt, withTree } from './tree.js';

const KIND_NAMES = ['', 'added', 'changed', 'removed'];

function listed(changes: TreeChanges): string[] {
  return changes.paths.map((path, i) => `${KIND_NAMES[changes.kinds[i] as number]} ${path}`);
}

async function fill(root: string): Promise<void> {
  await mkdir(join(root, 'a/b'), { recursive: true });
  await mkdir(join(root, 'c'));
  await writeFile(join(root, 'a/one'), 'one');
  await writeFile(join(root, 'a/b/two'), 'two');
  await writeFile(join(root, 'c/three'), 'three');
  await symlink('c/three', join(root, 'link'));
}

const ALL = { directories: [''], recursive: true, enterAdded: true, skip: [] };

/** Remembers the tree as it is. */
async function remember(index: StatIndex, root: string): Promise<TreeChanges> {
  const changes = await index.scan({ root, ...ALL });
  index.put(changes.paths, changes.rows, new Uint8Array(changes.paths.length).fill(1));
  return changes;
}

function describeScans(engine: Engine): void {
  it('finds everything in a new tree and nothing in a remembered one', () =>
    withTree(async (root) => {
      await fill(root);
      const index = engine.createStatIndex();
      const first = await remember(index, root);
      expect(listed(first)).toEqual(
        ['', 'a', 'a/b', 'a/b/two', 'a/one', 'c', 'c/three', 'link'].map((p) => `added ${p}`),
      );
      expect(index.count).toBe(8);
      const stats = await lstat(join(root, 'a/one'), { bigint: true });
      const row = rowAt(first.rows, first.paths.indexOf('a/one'));
      expect(row[STAT.type]).toBe(BigInt(ENTRY.file));
      expect(row[STAT.mode]).toBe(stats.mode & 0o7777n);
      expect(row[STAT.size]).toBe(3n);
      expect(row[STAT.ctimeNs]).toBe(stats.ctimeNs);
      expect(row[STAT.dev]).toBe(stats.dev);
      const again = await index.scan({ root, ...ALL });
      expect(listed(again)).toEqual([]);
      expect(again.scanned).toBe(8);
    }));

  it('reports changes, additions and removals with everything below', () =>
    withTree(async (root) => {
      await fill(root);
      const index = engine.createStatIndex();
      await remember(index, root);
      await writeFile(join(root, 'c/three'), 'longer than before');
      await chmod(join(root, 'a/one'), 0o600);
      await rm(join(root, 'a/b'), { recursive: true });
      await rm(join(root, 'link'));
      await mkdir(join(root, 'new'));
      await writeFile(join(root, 'new/file'), '');
      const scan = (options: object) => index.scan({ root, ...ALL, ...options });
      const below = [
        'changed ',
        'changed a',
        'removed a/b',
        'removed a/b/two',
        'changed a/one',
        'changed c/three',
        'removed link',
        'added new',
      ];
      expect(listed(await scan({}))).toEqual([...below, 'added new/file']);
      expect(listed(await scan({ enterAdded: false }))).toEqual(below);
      expect(listed(await scan({ directories: ['c'], recursive: false }))).toEqual(['changed c/three']);
      expect(listed(await scan({ skip: ['a', 'new'] }))).toEqual(['changed ', 'changed c/three', 'removed link']);
      const gone = await scan({ directories: ['a/b'] });
      expect(listed(gone)).toEqual(['removed a/b', 'removed a/b/two']);
      expect([...new Set(gone.rows)]).toEqual([0n]);
    }));

  it('reports a file in place of a directory, and what was below', () =>
    withTree(async (root) => {
      await fill(root);
      const index = engine.createStatIndex();
      await remember(index, root);
      await rm(join(root, 'a'), { recursive: true });
      await writeFile(join(root, 'a'), 'file now');
      const changes = await index.scan({ root, ...ALL });
      expect(listed(changes)).toEqual(['changed ', 'changed a', 'removed a/b', 'removed a/b/two', 'removed a/one']);
      expect(listed(await index.scanPaths({ root, paths: ['a/one', 'c/three', 'nothing'] }))).toEqual([
        'removed a/one',
      ]);
    }));

  it('looks at exactly the given paths', () =>
    withTree(async (root) => {
      await fill(root);
      const index = engine.createStatIndex();
      await remember(index, root);
      await writeFile(join(root, 'a/one'), 'changed');
      await writeFile(join(root, 'a/b/two'), 'changed');
      const changes = await index.scanPaths({ root, paths: ['a', 'a/one', 'link/below'] });
      expect(listed(changes)).toEqual(['changed a/one']);
      expect(changes.scanned).toBeGreaterThanOrEqual(2);
    }));

  it('does not follow links, does not trust the untrusted, keeps names that are not UTF-8', () =>
    withTree(async (root) => {
      await fill(root);
      const name = 'a/\xff\xfe';
      await writeFile(Buffer.concat([Buffer.from(`${root}/`), pathBytes(name)]), 'bytes');
      await symlink('a', join(root, 'loop'));
      execFileSync('mkfifo', [join(root, 'fifo')]);
      const index = engine.createStatIndex();
      const first = await remember(index, root);
      expect(first.paths).toContain(name);
      expect(first.paths.filter((path) => path.startsWith('loop'))).toEqual(['loop']);
      expect(rowAt(first.rows, first.paths.indexOf('fifo'))[STAT.type]).toBe(BigInt(ENTRY.special));
      const row = index.get(name);
      expect(row).toEqual(rowAt(first.rows, first.paths.indexOf(name)));
      index.put([name], row as BigInt64Array, Uint8Array.of(0));
      expect(listed(await index.scan({ root, ...ALL }))).toEqual([`changed ${name}`]);
    }));

  it('rejects when there is no root', async () => {
    const index = engine.createStatIndex();
    await expect(index.scan({ root: '/nowhere/at/all', ...ALL })).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(index.scanPaths({ root: '/nowhere/at/all', paths: [] })).rejects.toMatchObject({ code: 'ENOENT' });
  });
}

function describeContent(engine: Engine): void {
  const rows = (types: number[]) =>
    BigInt64Array.from(types.flatMap((type, i) => [BigInt(type), 0o644n, 1n, 2n, BigInt(i), -5n, 7n, 8n, 9n, 1n, 8n]));

  it('saves and loads; damage empties it', () => {
    const index = engine.createStatIndex();
    index.put(['', 'a', 'a/b', 'a-b', 'z\xff'], rows([2, 2, 1, 1, 3]), Uint8Array.of(1, 1, 0, 1, 1));
    const saved = index.save();
    const copy = engine.createStatIndex();
    expect(copy.load(saved)).toBe(true);
    expect(copy.count).toBe(5);
    expect(copy.get('a/b')).toEqual(index.get('a/b'));
    expect(copy.save().equals(saved)).toBe(true);
    for (let at = 0; at < saved.length; at += 1) {
      const bad = Buffer.from(saved);
      bad[at] = (bad[at] as number) ^ 1;
      expect(copy.load(bad)).toBe(false);
      expect(copy.count).toBe(0);
      expect(copy.load(saved.subarray(0, at))).toBe(false);
    }
    expect(engine.createStatIndex().save().length).toBeGreaterThan(0);
  });

  it('removes with everything below, and only that', () => {
    const index = engine.createStatIndex();
    index.put(['a', 'a/b', 'a/b/c', 'ab', 'x/y/z'], rows([2, 2, 1, 1, 1]), new Uint8Array(5).fill(1));
    index.remove(['a/b', 'x']);
    expect(index.count).toBe(2);
    expect(index.get('a/b/c')).toBeUndefined();
    expect(index.get('ab')).toBeDefined();
    index.remove(['']);
    expect(index.count).toBe(0);
  });

  it('forgets what was below a directory that became a file', () => {
    const index = engine.createStatIndex();
    index.put(['a', 'a/b'], rows([2, 1]), Uint8Array.of(1, 1));
    index.put(['a'], rows([1]), Uint8Array.of(1));
    expect(index.count).toBe(1);
  });

  it('refuses unsafe paths and rows that do not fit', () => {
    const index = engine.createStatIndex();
    expect(() => index.put(['../x'], rows([1]), Uint8Array.of(1))).toThrow(/below the root/);
    expect(() => index.put(['x'], rows([1, 1]), Uint8Array.of(1))).toThrow(RangeError);
    expect(() => index.put(['x'], rows([1]), Uint8Array.of(1, 1))).toThrow(RangeError);
  });
}

export function describeStatIndex(engine: Engine): void {
  describe('stat index', () => {
    describeScans(engine);
    describeContent(engine);
  });
}
