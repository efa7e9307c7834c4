import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planRecover, recover } from '../../src/recover/recover.js';
import { engines, Fixture, facts, heldIn, keepings, listTree, MTIME, noise, PIECE, type Tree } from './tree-fixture.js';

const SPARSE = Buffer.concat([noise(8192, 'a'), Buffer.alloc(6 * PIECE), noise(5000, 'b')]);
const SMALL_SPARSE = Buffer.concat([noise(4096, 'c'), Buffer.alloc(65536), noise(4096, 'd')]);
const USER_XATTR = Buffer.concat([Buffer.from([9]), Buffer.from('user.note'), Buffer.from([3, 1, 0, 255])]);

const TREE: Tree = {
  '': { type: 'directory', mode: 0o750 },
  'a.txt': { content: 'hello', mode: 0o640 },
  empty: { mode: 0o444 },
  'not-utf8-\xff\xfe': { content: 'bytes', mtimeNs: 1n },
  link: { type: 'symlink', content: '../nowhere/\xff' },
  run: { content: '#!/bin/sh\n', mode: 0o755, mtimeNs: 1_700_000_000_999_999_999n },
  dir: { type: 'directory', mode: 0o711, mtimeNs: 1_500_000_000_000_000_001n },
  'dir/void': { type: 'directory', mode: 0o500 },
  'dir/deep': { type: 'directory', mode: 0o555, mtimeNs: 5_000_000_000n },
  'dir/deep/er.bin': { content: noise(3 * PIECE + 17) },
  'dir/deep/medium': { content: noise(70_000) },
  one: { content: 'shared', linkId: 7n },
  'dir/two': { content: 'shared', linkId: 7n },
  three: { content: 'shared' },
  sparse: { content: SPARSE, sparse: true },
  'small-sparse': { content: SMALL_SPARSE, sparse: true },
};

/** Files that are written, links among them. */
const KEPT = { 1: 11, 2: 12 };
const PLANNED = {
  1: { entries: 13, directories: 2, files: 11, symlinks: 0 },
  2: { entries: 16, directories: 4, files: 11, symlinks: 1 },
};

describe.each(keepings())('recover (%s)', (_name, { engine, schema }) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine, schema);
  });
  afterEach(() => fixture.remove());

  test('a second run touches nothing', async () => {
    await fixture.commit(TREE);
    expect((await recover(fixture.store, fixture.target)).written).toBe(KEPT[schema]);
    fixture.expectTree(heldIn(schema, TREE));
    const paths = listTree(fixture.target);
    const before = paths.map((path) => facts(fixture.at(path)).ctimeNs);
    const report = await recover(fixture.store, fixture.target);
    expect(report).toMatchObject({ rootVerified: true, written: 0, kept: KEPT[schema], removed: 0, bytes: 0 });
    const moved = paths.filter((path, index) => facts(fixture.at(path)).ctimeNs !== before[index]);
    expect(moved).toEqual([]);
  });

  test('what differs is written again, also when size and time look right', async () => {
    await fixture.commit(TREE);
    await recover(fixture.store, fixture.target);
    const seconds = schema === 2 ? Number(MTIME) / 1e9 : 0;
    writeFileSync(fixture.at('a.txt'), 'HELLO');
    utimesSync(fixture.at('a.txt'), seconds, seconds);
    chmodSync(fixture.at('run'), 0o600);
    if (schema === 2) rmSync(fixture.at('link'));
    symlinkSync('elsewhere', fixture.at('link'));
    rmSync(fixture.at('dir/two'));
    writeFileSync(fixture.at('dir/two'), 'shared');
    chmodSync(fixture.at('dir/deep/er.bin'), 0o600);
    writeFileSync(fixture.at('dir/deep/er.bin'), noise(3 * PIECE + 17, 'other'));
    const report = await recover(fixture.store, fixture.target);
    expect(report).toMatchObject({ rootVerified: true, damaged: [] });
    expect(report.written).toBe(schema === 2 ? 5 : 4);
    fixture.expectTree(heldIn(schema, TREE));
    if (schema === 2) expect(facts(fixture.at('one')).ino).toBe(facts(fixture.at('dir/two')).ino);
  });

  test('an empty store has nothing to recover', async () => {
    await expect(recover(fixture.store, fixture.target)).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
    expect(existsSync(fixture.target)).toBe(false);
  });

  test('a selection brings back only what it names, and the directories above', async () => {
    await fixture.commit(TREE);
    const report = await recover(fixture.store, fixture.target, { paths: ['./dir/deep/', 'a.txt', 'dir/deep/medium'] });
    expect(report).toMatchObject({ rootVerified: null, damaged: [], entries: 4, removed: 0 });
    expect(listTree(fixture.target)).toEqual(['a.txt', 'dir', 'dir/deep', 'dir/deep/er.bin', 'dir/deep/medium']);
    const { dir } = heldIn(schema, TREE);
    expect(facts(fixture.at('dir')).mode).toBe(dir?.mode ?? 0o755);
    fixture.expectMtime('dir', dir?.mtimeNs ?? MTIME);
    writeFileSync(fixture.at('mine'), 'x');
    await recover(fixture.store, fixture.target, { paths: ['empty'] });
    expect(existsSync(fixture.at('mine'))).toBe(true);
  });

  test('selected paths that the checkpoint lacks are named; none at all is an error', async () => {
    await fixture.commit({ a: { content: 'x' } });
    const report = await recover(fixture.store, fixture.target, { paths: ['a', 'nope'] });
    expect(report.damaged).toMatchObject([{ path: 'nope', code: 'DK_NOT_FOUND' }]);
    await expect(recover(fixture.store, fixture.target, { paths: ['nope'] })).rejects.toMatchObject({
      code: 'DK_NOT_FOUND',
    });
    await expect(recover(fixture.store, fixture.target, { paths: ['../a'] })).rejects.toBeInstanceOf(TypeError);
    await expect(recover(fixture.store, fixture.target, { paths: ['/a'] })).rejects.toBeInstanceOf(TypeError);
  });

  test('extra entries go, are kept on request, and ignored ones stay', async () => {
    await fixture.commit({ a: { content: 'x' }, d: { type: 'directory' }, 'd/b': { content: 'y' } });
    const plant = () => {
      mkdirSync(join(fixture.target, 'd/extra/inner'), { recursive: true });
      mkdirSync(join(fixture.target, 'logs'), { recursive: true });
      writeFileSync(join(fixture.target, 'd/extra/inner/file'), 'x');
      writeFileSync(join(fixture.target, 'logs/keep.log'), 'x');
      chmodSync(join(fixture.target, 'd/extra/inner'), 0o500);
      if (!existsSync(join(fixture.target, 'out'))) symlinkSync(fixture.directory, join(fixture.target, 'out'));
    };
    plant();
    await recover(fixture.store, fixture.target, { removeExtra: false });
    expect(listTree(fixture.target)).toEqual([
      'a',
      'd',
      'd/b',
      'd/extra',
      'd/extra/inner',
      'd/extra/inner/file',
      'logs',
      'logs/keep.log',
      'out',
    ]);
    const report = await recover(fixture.store, fixture.target, { ignore: ['*.log'] });
    expect(report).toMatchObject({ removed: 4, damaged: [] });
    expect(listTree(fixture.target)).toEqual(['a', 'd', 'd/b', 'logs', 'logs/keep.log']);
    fixture.expectMtime('d', schema === 2 ? MTIME : 0n);
    expect(existsSync(join(fixture.directory, 'store'))).toBe(true);
  });

  test('types that changed places: directory to file, file to directory', async () => {
    await fixture.commit({
      x: { content: 'file' },
      y: { type: 'directory' },
      'y/in': { content: 'in' },
      z: { type: 'symlink', content: 'y' },
    });
    mkdirSync(join(fixture.target, 'x/full/of'), { recursive: true });
    mkdirSync(join(fixture.target, 'z/things'), { recursive: true });
    writeFileSync(join(fixture.target, 'x/full/of/stuff'), 'x');
    writeFileSync(join(fixture.target, 'y'), 'x');
    const report = await recover(fixture.store, fixture.target);
    expect(report).toMatchObject({ damaged: [], rootVerified: true });
    expect(listTree(fixture.target)).toEqual(['x', 'y', 'y/in', ...(schema === 2 ? ['z'] : [])]);
    expect(readFileSync(fixture.at('x'), 'utf8')).toBe('file');
  });

  test('a directory in the way is left alone when nothing may be removed', async () => {
    await fixture.commit({ x: { content: 'file' }, y: { content: 'other' } });
    mkdirSync(join(fixture.target, 'x/full'), { recursive: true });
    const report = await recover(fixture.store, fixture.target, { removeExtra: false });
    expect(report.damaged).toMatchObject([{ path: 'x', code: 'DK_IO' }]);
    expect(listTree(fixture.target)).toEqual(['x', 'x/full', 'y']);
  });

  test('a store inside the state directory is never touched', async () => {
    await fixture.commit({ a: { content: 'x' }, 'store/meta/x': { content: 'evil' } });
    const report = await recover(fixture.store, fixture.directory);
    // In schema 1 there are directories above every file.
    const above = schema === 2 ? [] : ['store', 'store/meta'];
    expect(report.damaged).toMatchObject([...above, 'store/meta/x'].map((path) => ({ path, code: 'DK_UNSAFE_PATH' })));
    expect(readFileSync(join(fixture.directory, 'a'), 'utf8')).toBe('x');
    expect(existsSync(join(fixture.directory, 'store/meta/x'))).toBe(false);
    await expect(recover(fixture.store, fixture.store.path)).rejects.toMatchObject({ code: 'DK_STATE_DIR' });
    writeFileSync(join(fixture.directory, 'plain'), '');
    await expect(recover(fixture.store, join(fixture.directory, 'plain'))).rejects.toMatchObject({
      code: 'DK_STATE_DIR',
      message: expect.stringMatching(/plain is not a directory$/),
    });
  });

  test('progress ends at the total; the plan tells it beforehand', async () => {
    await fixture.commit(TREE);
    const plan = await planRecover(fixture.store);
    expect(plan).toMatchObject({ ...PLANNED[schema], damaged: [] });
    for (const run of [0, 1]) {
      const seen: number[] = [];
      await recover(fixture.store, fixture.target, {
        onProgress: (done, total) => {
          expect(total).toBe(plan.bytes);
          seen.push(done);
        },
      });
      expect(seen.at(-1), `run ${run}`).toBe(plan.bytes);
      expect([...seen].sort((one, other) => one - other)).toEqual(seen);
    }
  });
});

describe.each(engines())('recover from schema 2 with the %s engine', (_name, engine) => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await Fixture.create(engine);
  });
  afterEach(() => fixture.remove());

  test('every type and attribute comes back bit by bit', async () => {
    const checkpoint = await fixture.commit(TREE);
    const report = await recover(fixture.store, fixture.target);
    expect(report.damaged).toEqual([]);
    expect(report).toMatchObject({ rootVerified: true, entries: 16, written: 12, kept: 0, removed: 0 });
    expect(report.checkpoint.sequence).toBe(checkpoint.sequence);
    fixture.expectTree(TREE);
    expect(listTree(fixture.target)).toEqual(
      Object.keys(TREE)
        .filter((path) => path !== '')
        .sort(),
    );
    expect(facts(fixture.target).mode).toBe(0o750);
    expect(facts(fixture.at('one')).ino).toBe(facts(fixture.at('dir/two')).ino);
    expect(facts(fixture.at('one')).ino).not.toBe(facts(fixture.at('three')).ino);
    expect(facts(fixture.at('sparse')).blocks).toBeLessThan(64);
    if (engine.info.kind === 'native') expect(facts(fixture.at('small-sparse')).blocks).toBeLessThan(64);
  });

  test('past checkpoints, by number and by time; removed files do not come back', async () => {
    const first = await fixture.commit({ a: { content: 'one' }, b: { content: 'keep' } });
    await new Promise((resolve) => setTimeout(resolve, 5));
    await fixture.commit({ a: { content: 'two' }, b: null, c: { content: 'new' } });
    await recover(fixture.store, fixture.target);
    expect(listTree(fixture.target)).toEqual(['a', 'c']);
    const past = await recover(fixture.store, fixture.target, { at: first.sequence });
    expect(past).toMatchObject({ rootVerified: true, removed: 1, written: 2 });
    expect(listTree(fixture.target)).toEqual(['a', 'b']);
    expect(readFileSync(fixture.at('a'), 'utf8')).toBe('one');
    await recover(fixture.store, join(fixture.directory, 'other'), { at: new Date(first.timeMs) });
    expect(listTree(join(fixture.directory, 'other'))).toEqual(['a', 'b']);
    await expect(recover(fixture.store, fixture.target, { at: 99 })).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
  });

  test('extended attributes', async () => {
    await fixture.commit({
      a: { content: 'x', xattrs: USER_XATTR },
      d: { type: 'directory', xattrs: USER_XATTR },
      'd/b': { content: noise(2 * PIECE), xattrs: USER_XATTR },
    });
    await recover(fixture.store, fixture.target);
    const read = async () => {
      const batch = await engine.readFiles({
        root: fixture.target,
        paths: ['a', 'd'],
        fileBytesMax: 100,
        totalBytesMax: 1000,
        algo: 'blake3',
      });
      return batch.xattrs;
    };
    // The twin cannot set them and does not take that for a difference.
    const wanted = engine.info.kind === 'native' ? [USER_XATTR, USER_XATTR] : [];
    expect((await read()).equals(Buffer.concat(wanted))).toBe(true);
    const again = await recover(fixture.store, fixture.target);
    expect(again).toMatchObject({ written: 0, kept: 2 });
  });

  test('extended attributes that a checkpoint does not have leave the directories that were there', async () => {
    await fixture.commit({
      '': { type: 'directory', xattrs: USER_XATTR },
      d: { type: 'directory', xattrs: USER_XATTR },
    });
    await recover(fixture.store, fixture.target);
    await fixture.commit({ '': { type: 'directory' }, d: { type: 'directory' } });
    await recover(fixture.store, fixture.target);
    const name = basename(fixture.target);
    const read = { root: dirname(fixture.target), fileBytesMax: 100, totalBytesMax: 1000, algo: 'blake3' } as const;
    expect((await engine.readFiles({ ...read, paths: [name, `${name}/d`] })).xattrs.length).toBe(0);
  });

  test('set-id bits come back only when that is asked for, and together with the owner', async () => {
    await fixture.commit({ s: { content: 'x', mode: 0o4755 } });
    const report = await recover(fixture.store, fixture.target, { owner: false, setuid: true });
    expect(facts(fixture.at('s')).mode).toBe(0o755);
    expect(report.identityDropped).toBe(1);
    if (process.getuid?.() !== 0) return;
    const again = await recover(fixture.store, fixture.target, { owner: true });
    expect([again.kept, again.identityDropped, facts(fixture.at('s')).mode]).toEqual([1, 1, 0o755]);
    const given = await recover(fixture.store, fixture.target, { owner: true, setuid: true });
    expect([given.written, given.identityDropped, facts(fixture.at('s')).mode]).toEqual([1, 0, 0o4755]);
    const taken = await recover(fixture.store, fixture.target, { owner: true });
    expect([taken.written, facts(fixture.at('s')).mode]).toEqual([1, 0o755]);
  });
});
