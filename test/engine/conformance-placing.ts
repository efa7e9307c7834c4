import { closeSync, existsSync, readdirSync, writeSync } from 'node:fs';
import { chmod, lstat, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ENTRY, type Engine, STAT, STAT_COLUMNS } from '../../src/engine/engine.js';
import { lengthsOf, patternBytes } from './samples.js';
import { REFUSED_PARENT, withTree } from './tree.js';

const MTIME_NS = 1_600_000_000_123_456_789n;

interface Item {
  readonly path: string;
  readonly type: number;
  readonly mode?: number;
  readonly data?: Buffer;
  readonly sparse?: boolean;
}

function rowOf(item: Item): BigInt64Array {
  const row = new BigInt64Array(STAT_COLUMNS);
  const size = item.data?.length ?? 0;
  row[STAT.type] = BigInt(item.type);
  row[STAT.mode] = BigInt(item.mode ?? 0o644);
  row[STAT.size] = BigInt(size);
  row[STAT.mtimeNs] = MTIME_NS;
  row[STAT.blocks] = item.sparse ? 0n : BigInt(Math.ceil(size / 512));
  return row;
}

async function place(engine: Engine, root: string, items: Item[]): Promise<number[]> {
  const data = items.map((item) => item.data ?? Buffer.alloc(0));
  const rows = new BigInt64Array(items.length * STAT_COLUMNS);
  for (const [i, item] of items.entries()) rows.set(rowOf(item), i * STAT_COLUMNS);
  const status = await engine.placeFiles({
    root,
    paths: items.map((item) => item.path),
    rows,
    lengths: lengthsOf(data),
    data: Buffer.concat(data),
    xattrLengths: new Uint32Array(items.length),
    xattrs: Buffer.alloc(0),
    owner: false,
  });
  return [...status];
}

function describeBatches(engine: Engine, exactTimes: boolean): void {
  it('makes files, links, directories and missing parents', () =>
    withTree(async (root) => {
      const content = patternBytes(100_000, 3);
      const status = await place(engine, root, [
        { path: 'deep/er/file', type: ENTRY.file, mode: 0o640, data: content },
        { path: 'empty', type: ENTRY.file, mode: 0o4755 },
        { path: 'link', type: ENTRY.symlink, data: Buffer.from('deep/er/file') },
        { path: 'n\xff', type: ENTRY.file, data: Buffer.from('bytes') },
        { path: 'deep/er', type: ENTRY.directory, mode: 0o750 },
        { path: 'deep', type: ENTRY.directory, mode: 0o755 },
      ]);
      expect(status).toEqual([0, 0, 0, 0, 0, 0]);
      expect((await readFile(join(root, 'deep/er/file'))).equals(content)).toBe(true);
      expect(await readlink(join(root, 'link'))).toBe('deep/er/file');
      expect((await stat(join(root, 'deep/er/file'))).mode & 0o7777).toBe(0o640);
      // Set-id bits lend the rights of an owner that was not restored.
      expect((await stat(join(root, 'empty'))).mode & 0o7777).toBe(0o755);
      expect((await stat(join(root, 'deep/er'))).mode & 0o7777).toBe(0o750);
      for (const path of ['deep/er/file', 'link', 'deep/er', 'deep']) {
        const { mtimeNs } = await lstat(join(root, path), { bigint: true });
        if (exactTimes) expect(mtimeNs, path).toBe(MTIME_NS);
        else expect(Math.abs(Number(mtimeNs - MTIME_NS)), path).toBeLessThan(2000);
      }
      expect(readdirSync(root, { encoding: 'latin1' }).sort()).toEqual(['deep', 'empty', 'link', 'n\xff']);
    }));

  it('replaces what is there, but no filled directory', () =>
    withTree(async (root) => {
      await writeFile(join(root, 'file'), 'before');
      await mkdir(join(root, 'bare'));
      await mkdir(join(root, 'filled/inside'), { recursive: true });
      await writeFile(join(root, 'flat'), 'a file where a directory is wanted');
      await symlink('/etc/hostname', join(root, 'link'));
      const status = await place(engine, root, [
        { path: 'file', type: ENTRY.file, data: Buffer.from('after') },
        { path: 'bare', type: ENTRY.file, data: Buffer.from('file') },
        { path: 'filled', type: ENTRY.file, data: Buffer.from('file') },
        { path: 'flat', type: ENTRY.directory, mode: 0o700 },
        { path: 'link', type: ENTRY.file, data: Buffer.from('not followed') },
      ]);
      expect(status).toEqual([0, 0, -constants.errno.EISDIR, 0, 0]);
      expect(await readFile(join(root, 'file'), 'utf8')).toBe('after');
      expect((await lstat(join(root, 'bare'))).isFile()).toBe(true);
      expect((await lstat(join(root, 'flat'))).isDirectory()).toBe(true);
      expect((await lstat(join(root, 'link'))).isFile()).toBe(true);
      expect(readdirSync(root).filter((name) => name.startsWith('.dk-'))).toEqual([]);
    }));

  it('never leaves the root', () =>
    withTree(async (root) => {
      await mkdir(join(root, 'inside'));
      await mkdir(join(root, 'outside'));
      await symlink('../outside', join(root, 'inside/door'));
      await writeFile(join(root, 'inside/plain'), 'x');
      const inside = join(root, 'inside');
      const status = await place(engine, inside, [
        { path: 'door/file', type: ENTRY.file, data: Buffer.from('x') },
        { path: 'plain/file', type: ENTRY.file, data: Buffer.from('x') },
      ]);
      expect(REFUSED_PARENT).toContain(status[0]);
      expect(status[1]).toBe(-constants.errno.ENOTDIR);
      expect(readdirSync(join(root, 'outside'))).toEqual([]);
      for (const path of ['../outside/file', '/tmp/x', 'a/./b']) {
        await expect(place(engine, inside, [{ path, type: ENTRY.file }])).rejects.toMatchObject({
          code: 'DK_UNSAFE_PATH',
        });
      }
      const refused = { code: expect.stringMatching(/^(ELOOP|ENOTDIR)$/) };
      await expect(engine.placeOpen(inside, 'door/file')).rejects.toMatchObject(refused);
      await expect(engine.placeLink(inside, 'door/x', 'y')).rejects.toMatchObject(refused);
      expect(readdirSync(join(root, 'outside'))).toEqual([]);
    }));

  it('keeps holes', () =>
    withTree(async (root) => {
      const data = Buffer.alloc(3 << 20);
      data.write('middle', 1 << 20);
      expect(await place(engine, root, [{ path: 'sparse', type: ENTRY.file, data, sparse: true }])).toEqual([0]);
      expect((await readFile(join(root, 'sparse'))).equals(data)).toBe(true);
      expect((await stat(join(root, 'sparse'))).blocks * 512).toBeLessThan(1 << 20);
    }));

  it('sets the root directory itself', () =>
    withTree(async (root) => {
      await chmod(root, 0o700);
      expect(await place(engine, root, [{ path: '', type: ENTRY.directory, mode: 0o751 }])).toEqual([0]);
      expect((await stat(root)).mode & 0o7777).toBe(0o751);
    }));
}

function describeSingles(engine: Engine): void {
  it('writes a large file through a descriptor', () =>
    withTree(async (root) => {
      const { fd, temporary } = await engine.placeOpen(root, 'd/large');
      expect(temporary).toMatch(/^d\/\.dk-[0-9a-f]+\.tmp$/);
      writeSync(fd, 'content');
      engine.preallocate(fd, 0, 1 << 16);
      const row = rowOf({ path: '', type: ENTRY.file, mode: 0o600, data: Buffer.from('content') });
      await engine.placeCommit({ root, fd, temporary, path: 'd/large', row, xattrs: Buffer.alloc(0), owner: false });
      closeSync(fd);
      expect(await readFile(join(root, 'd/large'), 'utf8')).toBe('content');
      expect((await stat(join(root, 'd/large'))).mode & 0o7777).toBe(0o600);
      expect(readdirSync(join(root, 'd'))).toEqual(['large']);
    }));

  it('makes hard links, also over another name of the same file', () =>
    withTree(async (root) => {
      await writeFile(join(root, 'one'), 'x');
      await writeFile(join(root, 'other'), 'y');
      await engine.placeLink(root, 'one', 'd/two');
      await engine.placeLink(root, 'one', 'd/two');
      await engine.placeLink(root, 'one', 'other');
      const { ino } = await stat(join(root, 'one'));
      expect((await stat(join(root, 'd/two'))).ino).toBe(ino);
      expect((await stat(join(root, 'other'))).ino).toBe(ino);
      expect(readdirSync(join(root, 'd'))).toEqual(['two']);
      await expect(engine.placeLink(root, 'none', 'z')).rejects.toMatchObject({ code: 'ENOENT' });
      expect(existsSync(join(root, 'z'))).toBe(false);
    }));
}

export function describePlacing(engine: Engine, exactTimes: boolean): void {
  describe('placing', () => {
    describeBatches(engine, exactTimes);
    describeSingles(engine);
  });
}
