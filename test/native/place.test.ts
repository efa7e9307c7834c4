import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packPaths } from '../../src/core/core.js';
import { ENTRY, STAT, STAT_COLUMNS } from '../../src/engine/engine.js';
import { noise } from './addon-door.js';
import { files, makeTree, NOTHING, readFiles } from './tree-door.js';

let tree: ReturnType<typeof makeTree>;
beforeEach(() => {
  tree = makeTree();
});
afterEach(() => {
  files.useComponentWalk(false);
  tree.dispose();
});

interface Item {
  readonly path: string;
  readonly type?: number;
  readonly mode?: number;
  readonly data?: Uint8Array;
  readonly blocks?: number;
  readonly xattrs?: Uint8Array;
}
const MTIME = 1_600_000_000_123_456_789n;

function rowOf(item: Item): BigInt64Array {
  const row = new BigInt64Array(STAT_COLUMNS);
  row[STAT.type] = BigInt(item.type ?? ENTRY.file);
  row[STAT.mode] = BigInt(item.mode ?? 0o640);
  row[STAT.size] = BigInt(item.data?.length ?? 0);
  row[STAT.mtimeNs] = MTIME;
  row[STAT.blocks] = BigInt(item.blocks ?? Math.ceil((item.data?.length ?? 0) / 512));
  return row;
}

async function place(items: readonly Item[], owner = false): Promise<number[]> {
  const rows = new BigInt64Array(items.length * STAT_COLUMNS);
  for (const [i, item] of items.entries()) rows.set(rowOf(item), i * STAT_COLUMNS);
  const status = await files.placeFiles({
    root: tree.root,
    paths: packPaths(items.map((item) => item.path)),
    pathCount: items.length,
    rows,
    lengths: Uint32Array.from(items, (item) => item.data?.length ?? 0),
    data: Buffer.concat(items.map((item) => item.data ?? NOTHING)),
    xattrLengths: Uint32Array.from(items, (item) => item.xattrs?.length ?? 0),
    xattrs: Buffer.concat(items.map((item) => item.xattrs ?? NOTHING)),
    owner,
  });
  return [...status];
}

const stat = (name: string) => fs.lstatSync(tree.at(name), { bigint: true });
const leftovers = () =>
  fs.readdirSync(tree.root, { recursive: true }).filter((name) => name.toString().endsWith('.tmp'));

describe('placeFiles', () => {
  it('writes files, links and directories with their attributes', async () => {
    const content = noise(70000, 1);
    const items = [
      { path: 'a/b/file', data: content, mode: 0o4751 },
      { path: 'a/link', type: ENTRY.symlink, data: Buffer.from('../\xff/nowhere', 'latin1') },
      { path: 'empty' },
      { path: 'a/b', type: ENTRY.directory, mode: 0o750 },
      { path: 'a', type: ENTRY.directory, mode: 0o555 },
      { path: '', type: ENTRY.directory, mode: 0o711 },
    ];
    for (const walk of [false, true]) {
      files.useComponentWalk(walk);
      expect(await place(items)).toEqual([0, 0, 0, 0, 0, 0]);
      expect(fs.readFileSync(tree.at('a/b/file')).equals(content)).toBe(true);
      expect(fs.readlinkSync(tree.at('a/link'), { encoding: 'buffer' })).toEqual(items[1]?.data);
      // No set-id bits without the owner.
      expect(stat('a/b/file').mode & 0o7777n).toBe(0o751n);
      expect(stat('a').mode & 0o7777n).toBe(0o555n);
      expect(stat('').mode & 0o7777n).toBe(0o711n);
      for (const item of items) expect(stat(item.path).mtimeNs, item.path).toBe(MTIME);
      expect(leftovers()).toEqual([]);
    }
    const own = { path: 'own', mode: 0o4751 };
    const [status] = await place([own], true);
    // Setting the owner needs privilege; with it the bits are kept.
    if (process.getuid?.() === 0) expect([status, stat('own').mode & 0o7777n]).toEqual([0, 0o4751n]);
    else expect(status).toBe(-1);
  });

  it('replaces what is there, but no directory that is not empty', async () => {
    fs.mkdirSync(tree.at('full/x'), { recursive: true });
    fs.mkdirSync(tree.at('hollow'));
    fs.writeFileSync(tree.at('file'), 'old');
    fs.symlinkSync('file', tree.at('link'));
    fs.symlinkSync('full', tree.at('sly'));
    const data = Buffer.from('new');
    const items = [
      { path: 'full', data },
      { path: 'hollow', data },
      { path: 'link', data },
      { path: 'sly', type: ENTRY.directory },
      { path: 'file', type: ENTRY.directory },
      { path: 'file/below', data },
    ];
    expect(await place(items)).toEqual([-21, 0, 0, 0, 0, 0]);
    expect(fs.readFileSync(tree.at('hollow'), 'utf8')).toBe('new');
    expect(stat('link').isFile()).toBe(true);
    expect(stat('sly').isDirectory()).toBe(true);
    expect(fs.readFileSync(tree.at('file/below'), 'utf8')).toBe('new');
    expect(fs.readdirSync(tree.at('full'))).toEqual(['x']);
    expect(leftovers()).toEqual([]);
  });

  it('never leaves the root', async () => {
    const outside = makeTree();
    fs.symlinkSync(outside.root, tree.at('sly'));
    fs.writeFileSync(tree.at('file'), '');
    const data = Buffer.from('x');
    const link = { type: ENTRY.symlink, data };
    for (const walk of [false, true]) {
      files.useComponentWalk(walk);
      const status = await place([
        { path: 'sly/x', data },
        { path: 'sly/x', ...link },
        { path: 'sly/d', type: ENTRY.directory },
        { path: 'sly/new/x', data },
      ]);
      for (const one of status) expect([-20, -40]).toContain(one);
      const paths = ['../x', '/x', 'a/../x', 'a//x', '.', 'x/', '', `${'n'.repeat(256)}`];
      expect(await place(paths.map((path) => ({ path, data })))).toEqual(paths.map(() => -22));
      expect(
        await place([
          { path: 'file/x', data },
          { path: 'l', type: ENTRY.symlink },
          { path: 's', type: ENTRY.special },
        ]),
      ).toEqual([-20, -22, -22]);
    }
    expect(fs.readdirSync(outside.root)).toEqual([]);
    expect(fs.readdirSync(tree.root).toSorted()).toEqual(['file', 'sly']);
    outside.dispose();
  });

  it('leaves holes where the file had them', async () => {
    const data = Buffer.alloc(1 << 20);
    noise(4096, 2).copy(data, 512 << 10);
    const sparse = { path: 'sparse', data, blocks: 8 };
    expect(
      await place([
        sparse,
        { ...sparse, path: 'dense', blocks: 2048 },
        { ...sparse, path: 'zero', data: Buffer.alloc(5000), blocks: 0 },
      ]),
    ).toEqual([0, 0, 0]);
    expect(fs.readFileSync(tree.at('sparse')).equals(data)).toBe(true);
    expect(fs.readFileSync(tree.at('zero')).equals(Buffer.alloc(5000))).toBe(true);
    expect(stat('sparse').blocks).toBeLessThan(stat('dense').blocks);
  });

  it('carries extended attributes as far as the file system has them', async () => {
    const list = Buffer.from('\x06user.a\x01x\x06user.b\x00', 'latin1');
    expect(
      await place([
        { path: 'f', xattrs: list },
        { path: 'd', type: ENTRY.directory, mode: 0o755, xattrs: list },
      ]),
    ).toEqual([0, 0]);
    const batch = await readFiles(tree.root, ['f', 'd']);
    expect([0, list.length]).toContain(batch.xattrLengths[0]);
    if (batch.xattrs.length > 0) expect(batch.xattrs.equals(Buffer.concat([list, list]))).toBe(true);
    const bad = [
      '\x06user',
      '\x06user.a\x05x',
      '\x00\x00',
      '\xff\xff\xff\xff\x01',
      '\x05other\x01x',
      '\x08system.x\x00',
    ];
    const status = await place(bad.map((text, i) => ({ path: `bad${i}`, xattrs: Buffer.from(text, 'latin1') })));
    expect(status).toEqual(bad.map(() => -74));
    expect(leftovers()).toEqual([]);
  });

  it('handles many files in many directories, and refuses lengths that do not add up', async () => {
    const items = Array.from({ length: 3000 }, (_, i) => ({
      path: `d${i % 37}/e${i % 5}/f${i}`,
      data: noise(i % 300, i),
    }));
    expect((await place(items)).every((one) => one === 0)).toBe(true);
    for (const item of items) expect(fs.readFileSync(tree.at(item.path)).equals(item.data)).toBe(true);
    const batch = { root: tree.root, paths: packPaths(['x']), pathCount: 1, rows: rowOf({ path: 'x' }), owner: false };
    const wrong = {
      ...batch,
      lengths: Uint32Array.of(9),
      data: Buffer.alloc(8),
      xattrLengths: Uint32Array.of(0),
      xattrs: NOTHING,
    };
    expect(() => files.placeFiles(wrong)).toThrow(RangeError);
    await expect(
      files.placeFiles({ ...wrong, lengths: Uint32Array.of(8), root: tree.at('none') }),
    ).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('placeOpen, placeCommit, placeLink', () => {
  it('commits a streamed file', async () => {
    const { fd, temporary } = await files.placeOpen(tree.root, Buffer.from('deep/er/f'));
    expect(temporary.toString()).toMatch(/^deep\/er\/\.dk-[0-9a-f]{16}\.tmp$/);
    fs.writeSync(fd, 'streamed');
    const commit = {
      root: tree.root,
      fd,
      temporary,
      path: Buffer.from('deep/er/f'),
      row: rowOf({ path: 'f', mode: 0o600 }),
      xattrs: NOTHING,
      owner: false,
    };
    await files.placeCommit(commit);
    fs.closeSync(fd);
    expect(fs.readFileSync(tree.at('deep/er/f'), 'utf8')).toBe('streamed');
    expect(stat('deep/er/f').mtimeNs).toBe(MTIME);
    expect(leftovers()).toEqual([]);
    const other = { ...commit, temporary: Buffer.from('deep/er/f'), path: Buffer.from('g') };
    await expect(files.placeCommit(other)).rejects.toMatchObject({ code: 'EINVAL' });
    expect(() => files.placeCommit({ ...commit, path: Buffer.from('../g') })).toThrow(RangeError);
  });

  it('cleans up when the commit fails', async () => {
    fs.mkdirSync(tree.at('full/x'), { recursive: true });
    const { fd, temporary } = await files.placeOpen(tree.root, Buffer.from('full'));
    const path = Buffer.from('full');
    const failing = files.placeCommit({
      root: tree.root,
      fd,
      temporary,
      path,
      row: rowOf({ path: '' }),
      xattrs: NOTHING,
      owner: false,
    });
    await expect(failing).rejects.toMatchObject({ code: 'EISDIR' });
    fs.closeSync(fd);
    expect(leftovers()).toEqual([]);
    fs.symlinkSync('full', tree.at('sly'));
    await expect(files.placeOpen(tree.root, Buffer.from('sly/f'))).rejects.toMatchObject({
      code: expect.stringMatching(/ELOOP|ENOTDIR/),
    });
  });

  it('links, also over itself and over others', async () => {
    fs.writeFileSync(tree.at('one'), '1');
    fs.writeFileSync(tree.at('two'), '2');
    for (const path of ['new/link', 'two', 'two', 'one'])
      await files.placeLink(tree.root, Buffer.from('one'), Buffer.from(path));
    expect(stat('one').nlink).toBe(3n);
    expect(stat('two').ino).toBe(stat('one').ino);
    expect(leftovers()).toEqual([]);
    await expect(files.placeLink(tree.root, Buffer.from('none'), Buffer.from('x'))).rejects.toMatchObject({
      code: 'ENOENT',
    });
    expect(() => files.placeLink(tree.root, Buffer.from('../x'), Buffer.from('x'))).toThrow(RangeError);
  });
});
