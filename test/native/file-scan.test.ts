import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { blake3 } from '@noble/hashes/blake3.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addon, noise } from './addon-door.js';
import { files, makeTree, NO_TABLES, openScan, scanWhole } from './tree-door.js';

let tree: ReturnType<typeof makeTree>;
beforeEach(() => {
  tree = makeTree();
});
afterEach(() => {
  files.useComponentWalk(false);
  tree.dispose();
});

const SIZES = [0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131071, 131072, 131073, 262144, (1 << 20) + 1, 3 << 20];

describe('openFileScan', () => {
  it('gives plain digests and stable tables at every size', async () => {
    for (const size of SIZES) {
      const content = noise(size, size);
      fs.writeFileSync(tree.at('f'), content);
      const first = await scanWhole(tree.root, 'f');
      expect(first.target.equals(content), `content ${size}`).toBe(true);
      expect(first.result.torn).toBe(false);
      expect(first.result.digest.equals(blake3(content)), `blake3 ${size}`).toBe(true);
      expect(first.tables.pages.length).toBe(Math.ceil(size / 4096) * 16);
      expect(first.tables.groups.length).toBe(Math.floor(size / 65536) * 32);
      const again = await scanWhole(tree.root, 'f', { source: content, tables: first.tables });
      expect(again.ranges).toEqual([]);
      expect(again.result.digest.equals(first.result.digest), `kept groups ${size}`).toBe(true);
      expect(again.result.pages.equals(first.result.pages)).toBe(true);
      expect(again.result.groups.equals(first.result.groups)).toBe(true);
      const sha = await scanWhole(tree.root, 'f', { algo: 'sha256', source: content, tables: first.tables });
      expect(sha.result.digest.equals(addon.digest('sha256', content)), `sha256 ${size}`).toBe(true);
      expect(sha.result.groups.length).toBe(0);
      expect(sha.result.pages.equals(first.result.pages)).toBe(true);
    }
  });

  it('follows a file through growing, shrinking and rewriting', async () => {
    let content = noise(200000, 1);
    fs.writeFileSync(tree.at('f'), content);
    let before = await scanWhole(tree.root, 'f');
    for (const [i, size] of [...SIZES, ...SIZES.toReversed()].entries()) {
      const next = Buffer.alloc(size, 0x5a);
      content.copy(next, 0, 0, Math.min(size, content.length));
      for (let at = (i * 7777) % 50000; at < size; at += 77777) next[at] = i;
      fs.writeFileSync(tree.at('f'), next);
      const scan = await scanWhole(tree.root, 'f', { source: content, tables: before.tables });
      expect(scan.target.equals(next), `content at step ${i}`).toBe(true);
      expect(scan.result.digest.equals(addon.digest('blake3', next)), `digest at step ${i}`).toBe(true);
      const fresh = await scanWhole(tree.root, 'f');
      expect(scan.result.pages.equals(fresh.result.pages)).toBe(true);
      expect(scan.result.groups.equals(fresh.result.groups)).toBe(true);
      content = next;
      before = scan;
    }
  });

  it('reports exactly the changed pages, zeros apart', async () => {
    const content = noise(40 * 4096 + 100, 3);
    fs.writeFileSync(tree.at('f'), content);
    const before = await scanWhole(tree.root, 'f');
    content.writeUInt8((content[5000] ?? 0) ^ 1, 5000);
    content.fill(0, 2 * 4096, 4 * 4096);
    content.writeUInt8((content[4 * 4096] ?? 0) ^ 1, 4 * 4096);
    content.fill(0, 40 * 4096);
    fs.writeFileSync(tree.at('f'), content);
    const after = await scanWhole(tree.root, 'f', { source: noise(40 * 4096 + 100, 3), tables: before.tables });
    expect(after.ranges).toEqual([
      [4096, 4096, 0],
      [8192, 8192, 1],
      [16384, 4096, 0],
      [40 * 4096, 100, 1],
    ]);
    expect(after.target.equals(content)).toBe(true);
  });

  it('holds back what would pass the bound of a step', async () => {
    const content = noise(5 << 20, 4);
    fs.writeFileSync(tree.at('f'), content);
    const scanning = await openScan(tree.root, 'f');
    for (let done = false; !done; ) {
      const step = await scanning.next(1 << 20);
      expect(step.data.length).toBeLessThanOrEqual(1 << 20);
      expect(step.done || step.data.length >= (1 << 20) - (256 << 10)).toBe(true);
      done = step.done;
    }
    await scanning.finish();
    await scanning.close();
    const small = await scanWhole(tree.root, 'f', { dataBytesMax: 1 });
    expect(small.steps).toBe(20);
    expect(small.target.equals(content)).toBe(true);
  });

  it('uses the seed, and does not trust tables that are too short', async () => {
    const content = noise(300000, 5);
    fs.writeFileSync(tree.at('f'), content);
    const before = await scanWhole(tree.root, 'f');
    const other = await files.openFileScan({
      root: tree.root,
      path: Buffer.from('f'),
      algo: 'blake3',
      seed: Buffer.alloc(16, 9),
      pages: before.tables.pages,
      groups: before.tables.groups,
      sourceBytes: content.length,
    });
    expect((await other.next(1 << 20)).data.length).toBe(content.length);
    await other.close();
    const tables = {
      pages: before.tables.pages.subarray(0, 33),
      groups: before.tables.groups.subarray(0, 40),
      bytes: 2 ** 50,
    };
    const short = await scanWhole(tree.root, 'f', { source: content, tables });
    expect(short.ranges[0]).toEqual([8192, content.length - 8192, 0]);
    expect(short.result.digest.equals(addon.digest('blake3', content))).toBe(true);
  });

  it('calls a file torn that is written, cut or replaced meanwhile', async () => {
    fs.writeFileSync(tree.at('f'), noise(3 << 20, 6));
    const touch = async (change: () => void): Promise<boolean> => {
      const scanning = await openScan(tree.root, 'f');
      await scanning.next(1 << 20);
      change();
      while (!(await scanning.next(1 << 20)).done);
      const { torn } = await scanning.finish();
      await scanning.close();
      return torn;
    };
    expect(await touch(() => undefined)).toBe(false);
    expect(await touch(() => fs.appendFileSync(tree.at('f'), 'x'))).toBe(true);
    expect(await touch(() => fs.truncateSync(tree.at('f'), 1 << 20))).toBe(true);
    fs.writeFileSync(tree.at('f'), noise(3 << 20, 6));
    // A file of another name took over: what was open is still whole, only its link count moved its ctime.
    expect(await touch(() => fs.renameSync(tree.at('f'), tree.at('g')))).toBe(true);
  });

  it('copies the rest of a stretch unseen where one group after the other differs, mapped or not', async () => {
    const group = 65_536;
    const content = noise(33 * group, 8);
    fs.writeFileSync(tree.at('f'), content);
    const { tables } = await scanWhole(tree.root, 'f');
    // Three in a row, and four: of the second stretch of 16 groups nothing is compared after these.
    for (const at of [1, 2, 3, 18, 19, 20, 21]) content[at * group + 5] = (content[at * group + 5] as number) ^ 1;
    fs.writeFileSync(tree.at('f'), content);
    for (const mapped of [false, true]) {
      files.mapAnywhere(mapped);
      const scan = await openScan(tree.root, 'f', tables);
      if (mapped) expect(await scan.map()).toBe(true);
      const into = Buffer.alloc(content.length);
      expect((await scan.hold(into))?.heldBytes).toBe((3 + 14 + 1) * group);
      const step = await scan.next(4 << 20);
      expect([...step.ranges]).toEqual([1, 2, 3, 18, 19, 20, 21].flatMap((at) => [at * group, 4096]));
      expect((await scan.finish()).digest.equals(addon.digest('blake3', content))).toBe(true);
      await scan.close();
    }
    files.mapAnywhere(false);
  });

  it('guards the order of its calls', async () => {
    fs.writeFileSync(tree.at('f'), noise(1 << 20, 7));
    const scanning = await openScan(tree.root, 'f');
    await expect(scanning.finish()).rejects.toMatchObject({ code: 'EBUSY' });
    const first = scanning.next(1 << 20);
    expect(() => scanning.next(1 << 20)).toThrow(TypeError);
    await first;
    expect(() => scanning.next(0)).toThrow(RangeError);
    await scanning.close();
    await scanning.close();
    expect(() => scanning.next(1 << 20)).toThrow(TypeError);
    const empty = await openScan(tree.root, 'f', { ...NO_TABLES, pages: Buffer.alloc(64) });
    await empty.close();
  });

  it('opens regular files only, and nothing through a link', async () => {
    fs.mkdirSync(tree.at('d'));
    fs.writeFileSync(tree.at('d/f'), 'x');
    fs.symlinkSync('d/f', tree.at('link'));
    fs.symlinkSync('d', tree.at('sly'));
    execFileSync('mkfifo', [tree.at('pipe')]);
    for (const walk of [false, true]) {
      files.useComponentWalk(walk);
      await expect(openScan(tree.root, 'link')).rejects.toMatchObject({ code: 'ELOOP' });
      await expect(openScan(tree.root, 'sly/f')).rejects.toMatchObject({ code: walk ? 'ENOTDIR' : 'ELOOP' });
      await expect(openScan(tree.root, 'd')).rejects.toMatchObject({ code: 'EISDIR' });
      await expect(openScan(tree.root, 'pipe')).rejects.toMatchObject({ code: 'EINVAL' });
      await expect(openScan(tree.root, 'none')).rejects.toMatchObject({ code: 'ENOENT' });
    }
    expect(() => openScan(tree.root, '../x')).toThrow(RangeError);
  });
});
