import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packPaths } from '../../src/core/core.js';
import { ENTRY, STAT } from '../../src/engine/engine.js';
import { addon, noise } from './addon-door.js';
import { files, makeTree, NOTHING, readFiles, remember, rowAt, scan, scanPaths, told } from './tree-door.js';

let tree: ReturnType<typeof makeTree>;
beforeEach(() => {
  tree = makeTree();
});
afterEach(() => {
  files.useComponentWalk(false);
  tree.dispose();
});

/** Two files, two directories, one link, one FIFO. */
function fill(): void {
  fs.mkdirSync(tree.at('a/b'), { recursive: true });
  fs.writeFileSync(tree.at('a/b/one'), 'one');
  fs.writeFileSync(tree.at('two'), 'two');
  fs.symlinkSync('a/b/one', tree.at('link'));
  execFileSync('mkfifo', [tree.at('pipe')]);
}
const ALL = ['+', '+a', '+a/b', '+a/b/one', '+link', '+pipe', '+two'];

describe('stat index', () => {
  it('reports everything once, then nothing', async () => {
    fill();
    const index = files.createStatIndex();
    const first = await scan(index, tree.root);
    expect(told(first)).toEqual(ALL);
    expect(Array.from({ length: 7 }, (_, i) => Number(rowAt(first.rows, i)[STAT.type]))).toEqual([2, 2, 2, 1, 3, 4, 1]);
    remember(index, first);
    expect(index.count).toBe(7);
    const second = await scan(index, tree.root);
    expect(told(second)).toEqual([]);
    expect(second.scanned).toBe(7);
  });

  it('tells what changed, came and went, with everything below', async () => {
    fill();
    const index = files.createStatIndex();
    remember(index, await scan(index, tree.root));
    fs.writeFileSync(tree.at('two'), 'deux!');
    fs.rmSync(tree.at('a'), { recursive: true });
    fs.mkdirSync(tree.at('c/d'), { recursive: true });
    fs.writeFileSync(tree.at('c/d/e'), '');
    expect(told(await scan(index, tree.root, { enterAdded: false }))).toEqual([
      '~',
      '-a',
      '-a/b',
      '-a/b/one',
      '+c',
      '~two',
    ]);
    const full = await scan(index, tree.root);
    expect(told(full)).toEqual(['~', '-a', '-a/b', '-a/b/one', '+c', '+c/d', '+c/d/e', '~two']);
    remember(index, full);
    expect(told(await scan(index, tree.root))).toEqual([]);
    expect(index.count).toBe(7);
  });

  it('sees a directory become a file and a file become a directory', async () => {
    fill();
    const index = files.createStatIndex();
    remember(index, await scan(index, tree.root));
    fs.rmSync(tree.at('a/b'), { recursive: true });
    fs.writeFileSync(tree.at('a/b'), 'file now');
    fs.rmSync(tree.at('two'));
    fs.mkdirSync(tree.at('two/x'), { recursive: true });
    const changes = await scan(index, tree.root);
    expect(told(changes)).toEqual(['~', '~a', '~a/b', '-a/b/one', '~two', '+two/x']);
    remember(index, changes);
    expect(told(await scan(index, tree.root))).toEqual([]);
  });

  it('looks again at what is not trusted, and at nothing that is skipped', async () => {
    fill();
    const index = files.createStatIndex();
    const skip = ['a/b', 'pipe'];
    const first = await scan(index, tree.root, { skip });
    expect(told(first)).toEqual(['+', '+a', '+link', '+two']);
    remember(index, first, 0);
    expect(told(await scan(index, tree.root, { skip }))).toEqual(['~', '~a', '~link', '~two']);
    remember(index, await scan(index, tree.root), 1);
    fs.rmSync(tree.at('a'), { recursive: true });
    expect(told(await scan(index, tree.root, { skip }))).toEqual(['~', '-a']);
    expect(told(await scan(index, tree.root, { skip, directories: ['a/b'] }))).toEqual([]);
  });

  it('lists single directories and compares single paths', async () => {
    fill();
    const index = files.createStatIndex();
    remember(index, await scan(index, tree.root));
    fs.writeFileSync(tree.at('a/new'), '');
    fs.writeFileSync(tree.at('a/b/new'), '');
    fs.rmSync(tree.at('two'));
    expect(told(await scan(index, tree.root, { directories: ['a'], recursive: false }))).toEqual([
      '~a',
      '~a/b',
      '+a/new',
    ]);
    expect(told(await scan(index, tree.root, { directories: ['two', 'gone'] }))).toEqual(['-two']);
    const paths = ['a', 'a/b/one', 'a/b/new', 'two', 'never', 'link/x'];
    expect(told(await scanPaths(index, tree.root, paths))).toEqual(['~a', '+a/b/new', '-two']);
  });

  it('keeps names that are not UTF-8, and trees that are deep', async () => {
    const odd = Buffer.from([0x66, 0xff, 0x80, 0x0a]);
    fs.writeFileSync(Buffer.concat([Buffer.from(`${tree.root}/`), odd]), 'x');
    const deep = Array.from({ length: 300 }, (_, i) => `d${i}`).join('/');
    fs.mkdirSync(tree.at(deep), { recursive: true });
    for (const walk of [false, true]) {
      files.useComponentWalk(walk);
      const index = files.createStatIndex();
      const changes = await scan(index, tree.root);
      expect(told(changes)).toContain('+f\xff\x80\n');
      expect(told(changes)).toContain(`+${deep}`);
      remember(index, changes);
      expect(index.get(odd)?.[STAT.size]).toBe(1n);
      expect(told(await scan(index, tree.root))).toEqual([]);
    }
  });

  it('compares a directory of thousands, whose names several threads share', async () => {
    const names = Array.from({ length: 6000 }, (_, i) => `file-with-a-longer-name-${i}`);
    for (const name of names) fs.writeFileSync(tree.at(name), '');
    const index = files.createStatIndex();
    const first = await scan(index, tree.root);
    expect(first.scanned).toBe(6001);
    remember(index, first);
    for (let round = 0; round < 5; round += 1) expect(told(await scan(index, tree.root))).toEqual([]);
    const gone = names.filter((_, i) => i % 7 === 0);
    for (const name of gone) fs.rmSync(tree.at(name));
    expect(told(await scan(index, tree.root))).toEqual(['~', ...gone.map((name) => `-${name}`).toSorted()]);
  });

  it('saves and loads, and refuses damage', async () => {
    fill();
    const index = files.createStatIndex();
    const first = await scan(index, tree.root);
    remember(index, first);
    const saved = index.save();
    const other = files.createStatIndex();
    expect(other.load(saved)).toBe(true);
    expect(other.count).toBe(index.count);
    expect(told(await scan(other, tree.root))).toEqual([]);
    expect(other.save().equals(saved)).toBe(true);
    for (let i = 0; i < saved.length; i += 1) {
      const bad = Buffer.from(saved);
      bad[i] = (bad[i] ?? 0) ^ 0x41;
      expect(other.load(bad), `byte ${i}`).toBe(false);
      expect(other.load(saved.subarray(0, i))).toBe(false);
      expect(other.count).toBe(0);
    }
    // A valid checksum over hostile content: the count, then a path that climbs.
    const forge = (change: (bytes: Buffer) => void): Buffer => {
      const bytes = Buffer.from(saved);
      change(bytes);
      bytes.writeBigUInt64LE(addon.xxh3(bytes.subarray(0, -8)), bytes.length - 8);
      return bytes;
    };
    expect(other.load(forge((bytes) => bytes.writeBigUInt64LE(1n << 60n, 8)))).toBe(false);
    expect(other.load(forge((bytes) => bytes.write('.', saved.indexOf('a', 80), 'latin1')))).toBe(false);
    expect(other.load(forge(() => undefined))).toBe(true);
  });

  it('lets changes happen while a scan runs', async () => {
    fill();
    const index = files.createStatIndex();
    remember(index, await scan(index, tree.root));
    const running = scan(index, tree.root);
    index.remove(packPaths(['']), 1);
    expect(index.count).toBe(0);
    expect(told(await running)).toEqual([]);
    expect(told(await scan(index, tree.root))).toEqual(ALL);
  });

  it('forgets and reuses without growing astray', () => {
    const index = files.createStatIndex();
    const row = new BigInt64Array(11).fill(1n);
    const alive = new Set<string>();
    let state = 7;
    const random = (below: number): number => {
      state = (state * 1103515245 + 12345) & 0x7fffffff;
      return (state >> 8) % below;
    };
    for (let i = 0; i < 20000; i += 1) {
      const name = `d${random(40)}/${'n'.repeat(random(30))}${random(50)}`;
      if (random(3) === 0) {
        index.remove(packPaths([name]), 1);
        alive.delete(name);
      } else {
        index.put(packPaths([name]), 1, row, Uint8Array.of(1));
        alive.add(name);
      }
    }
    expect(index.count).toBe(alive.size);
    for (const name of alive) expect(index.get(packPaths([name]))).toEqual(row);
    const again = files.createStatIndex();
    expect(again.load(index.save())).toBe(true);
    expect(again.count).toBe(alive.size);
  });

  it('refuses wrong arguments and a root that is not there', async () => {
    const index = files.createStatIndex();
    expect(() => index.put(packPaths(['../x']), 1, new BigInt64Array(11), Uint8Array.of(1))).toThrow(RangeError);
    expect(() => index.put(packPaths(['x']), 1, new BigInt64Array(10), Uint8Array.of(1))).toThrow(RangeError);
    expect(() => index.put(packPaths(['x', 'y']), 1, new BigInt64Array(11), Uint8Array.of(1))).toThrow(RangeError);
    await expect(scan(index, tree.at('none'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('readFiles', () => {
  it('reads files and links in order, and opens nothing else', async () => {
    fill();
    const paths = ['a/b/one', 'link', 'pipe', 'two', 'none', 'a', '', '../x', 'link/x'];
    for (const walk of [false, true]) {
      files.useComponentWalk(walk);
      const batch = await readFiles(tree.root, paths);
      expect(batch.done).toBe(paths.length);
      expect([...batch.status.slice(0, 8)]).toEqual([0, 0, 0, 0, -2, 0, 0, -22]);
      expect([-20, -40]).toContain(batch.status[8]);
      expect(batch.data.toString()).toBe('onea/b/onetwo');
      expect([...batch.lengths]).toEqual([3, 7, 0, 3, 0, 0, 0, 0, 0]);
      expect(batch.digests.subarray(96, 128).equals(addon.digest('blake3', Buffer.from('two')))).toBe(true);
      expect(Number(rowAt(batch.rows, 2)[STAT.type])).toBe(ENTRY.special);
    }
  });

  it('never reads through a symbolic link in the path', async () => {
    fill();
    fs.symlinkSync('a', tree.at('sly'));
    for (const walk of [false, true]) {
      files.useComponentWalk(walk);
      const batch = await readFiles(tree.root, ['sly/b/one', 'sly/b']);
      for (const status of batch.status) expect([-20, -40]).toContain(status);
      expect(batch.data.length).toBe(0);
    }
  });

  it('stops at the total, skips what is too large, and gives plain digests', async () => {
    const sizes = [0, 1, 4095, 4096, 65535, 65536, 65537, 131072, (1 << 20) + 1];
    const paths = sizes.map((size) => `f${size}`);
    for (const size of sizes) fs.writeFileSync(tree.at(`f${size}`), noise(size, size));
    for (const algo of ['blake3', 'sha256'] as const) {
      const batch = await readFiles(tree.root, paths, { fileBytesMax: 1 << 20, algo });
      expect([...batch.status]).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 2]);
      sizes.slice(0, -1).forEach((size, i) => {
        const digest = batch.digests.subarray(i * 32, i * 32 + 32);
        expect(digest.equals(addon.digest(algo, noise(size, size))), `${algo} ${size}`).toBe(true);
      });
      expect(rowAt(batch.rows, 8)[STAT.size]).toBe(BigInt((1 << 20) + 1));
    }
    expect((await readFiles(tree.root, paths, { totalBytesMax: 4096 })).done).toBe(3);
    expect((await readFiles(tree.root, ['f65537', 'f1'], { totalBytesMax: 5 })).done).toBe(1);
    expect((await readFiles(tree.root, [])).done).toBe(0);
  });

  it('never mixes two states of a file', async () => {
    const names = Array.from({ length: 64 }, (_, i) => `t${i}`);
    for (const name of names) fs.writeFileSync(tree.at(name), Buffer.alloc(65536, 1));
    const running = readFiles(tree.root, names);
    for (const name of names) fs.writeFileSync(tree.at(name), Buffer.alloc(65536, 2));
    const batch = await running;
    let at = 0;
    batch.status.forEach((status, i) => {
      expect([0, 1]).toContain(status);
      const bytes = batch.data.subarray(at, at + (batch.lengths[i] ?? 0));
      at += bytes.length;
      if (status === 0) expect(new Set(bytes).size).toBeLessThanOrEqual(1);
    });
    await expect(readFiles(tree.at('none'), ['x'])).rejects.toMatchObject({ code: 'ENOENT' });
    expect(() =>
      files.readFiles({
        root: tree.root,
        paths: NOTHING,
        pathCount: 2,
        fileBytesMax: 1,
        totalBytesMax: 1,
        algo: 'blake3',
      }),
    ).toThrow(RangeError);
  });
});
