import { execFileSync } from 'node:child_process';
import { mkdir, open, readdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ENTRY, type Engine, type FileScan, type HashAlgo, type ScanResult, STAT } from '../../src/engine/engine.js';
import { patternBytes } from './samples.js';
import { REFUSED_PARENT, rowAt, withTree } from './tree.js';

const SEED = patternBytes(16, 77);
const STEP_BYTES = 1 << 20;
const SIZES = [0, 1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 131_072, 262_144, 262_145, (1 << 20) + 1];

/** Everything a whole scan hands out. */
interface Scanned extends ScanResult {
  readonly ranges: [number, number, number][];
  readonly data: Buffer;
}

interface Source {
  readonly pages: Uint8Array;
  readonly groups: Uint8Array;
  readonly sourceBytes: number;
}

const NOTHING: Source = { pages: Buffer.alloc(0), groups: Buffer.alloc(0), sourceBytes: 0 };

export async function scanAll(
  engine: Engine,
  root: string,
  path: string,
  algo: HashAlgo,
  source = NOTHING,
): Promise<Scanned> {
  return scanRest(await engine.openFileScan({ root, path, algo, seed: SEED, ...source }));
}

/** Everything that a scan hands out from now on; closes it, unless it is to be kept. */
async function scanRest(scan: FileScan, keep = false): Promise<Scanned> {
  try {
    const ranges: [number, number, number][] = [];
    const data: Buffer[] = [];
    for (;;) {
      const step = await scan.next(STEP_BYTES);
      for (let i = 0; i < step.zero.length; i += 1) {
        ranges.push([step.ranges[2 * i] as number, step.ranges[2 * i + 1] as number, step.zero[i] as number]);
      }
      data.push(step.data);
      if (step.done) break;
    }
    return { ...(await scan.finish()), ranges, data: Buffer.concat(data) };
  } finally {
    if (!keep) await scan.close();
  }
}

function describeBatches(engine: Engine): void {
  it('reads files and links with their digests', () =>
    withTree(async (root) => {
      await mkdir(join(root, 'd'));
      await writeFile(join(root, 'd/file'), patternBytes(10_000, 1));
      await writeFile(join(root, 'empty'), '');
      await writeFile(join(root, 'large'), patternBytes(30_000, 1));
      await symlink('d/file', join(root, 'link'));
      await symlink('d', join(root, 'dlink'));
      execFileSync('mkfifo', [join(root, 'fifo')]);
      const paths = ['d/file', 'empty', 'large', 'link', 'd', 'fifo', 'none', 'dlink/file'];
      const batch = await engine.readFiles({
        root,
        paths,
        fileBytesMax: 20_000,
        totalBytesMax: 1 << 20,
        algo: 'sha256',
      });
      expect(batch.done).toBe(paths.length);
      expect([...batch.status].slice(0, 7)).toEqual([0, 0, 2, 0, 0, 0, -constants.errno.ENOENT]);
      expect(REFUSED_PARENT).toContain(batch.status[7]);
      expect([...batch.lengths]).toEqual([10_000, 0, 0, 6, 0, 0, 0, 0]);
      expect(batch.data.equals(Buffer.concat([patternBytes(10_000, 1), Buffer.from('d/file')]))).toBe(true);
      const types = paths.map((_, i) => Number(rowAt(batch.rows, i)[STAT.type]));
      expect(types.slice(0, 6)).toEqual([
        ENTRY.file,
        ENTRY.file,
        ENTRY.file,
        ENTRY.symlink,
        ENTRY.directory,
        ENTRY.special,
      ]);
      expect(rowAt(batch.rows, 2)[STAT.size]).toBe(30_000n);
      expect(batch.digests.subarray(0, 32)).toEqual(engine.digest('sha256', patternBytes(10_000, 1)));
      expect(batch.digests.subarray(96, 128)).toEqual(engine.digest('sha256', Buffer.from('d/file')));
    }));

  it('stops at the byte limit after at least one', () =>
    withTree(async (root) => {
      const paths = ['0', '1', '2', '3'];
      for (const path of paths) await writeFile(join(root, path), patternBytes(1000, 1));
      const read = (totalBytesMax: number) =>
        engine.readFiles({ root, paths, fileBytesMax: 5000, totalBytesMax, algo: 'blake3' });
      const some = await read(2500);
      expect(some.done).toBeGreaterThanOrEqual(2);
      expect(some.done).toBeLessThan(4);
      expect(some.lengths.length).toBe(some.done);
      expect((await read(1)).done).toBe(1);
      expect((await read(4000)).done).toBe(4);
    }));

  it('refuses paths that leave the root', () =>
    withTree(async (root) => {
      for (const path of ['../x', '/etc/passwd', 'a/../../x', 'a//b']) {
        const read = engine.readFiles({ root, paths: [path], fileBytesMax: 1, totalBytesMax: 1, algo: 'blake3' });
        await expect(read, path).rejects.toMatchObject({ code: 'DK_UNSAFE_PATH' });
      }
    }));
}

function describeFirstScans(engine: Engine): void {
  it.each(['blake3', 'sha256'] as const)('hands out a new file whole, at every size (%s)', (algo) =>
    withTree(async (root) => {
      for (const size of SIZES) {
        const content = patternBytes(size, 5);
        await writeFile(join(root, 'file'), content);
        const scanned = await scanAll(engine, root, 'file', algo);
        expect(scanned.torn).toBe(false);
        expect(scanned.data.equals(content), `${size}`).toBe(true);
        expect(scanned.digest.toString('hex'), `${size}`).toBe(
          (await engine.digestAsync(algo, content)).toString('hex'),
        );
        expect(scanned.pages.length).toBe(Math.ceil(size / 4096) * 16);
        expect(scanned.groups.length).toBe(algo === 'blake3' ? Math.floor(size / 65_536) * 32 : 0);
        const again = await scanAll(engine, root, 'file', algo, { ...scanned, sourceBytes: size });
        expect(again.ranges, `${size}`).toEqual([]);
        expect(again.digest.equals(scanned.digest)).toBe(true);
        expect(again.pages.equals(scanned.pages)).toBe(true);
        expect(again.groups.equals(scanned.groups)).toBe(true);
      }
    }),
  );

  it('reports zeros without data', () =>
    withTree(async (root) => {
      const content = Buffer.concat([patternBytes(8192, 1), Buffer.alloc(300_000), patternBytes(5000, 2)]);
      await writeFile(join(root, 'file'), content);
      const scanned = await scanAll(engine, root, 'file', 'blake3');
      const rebuilt = Buffer.alloc(content.length, 1);
      let at = 0;
      for (const [offset, length, zero] of scanned.ranges) {
        if (zero === 1) rebuilt.fill(0, offset, offset + length);
        else at += scanned.data.copy(rebuilt, offset, at, at + length);
      }
      expect(rebuilt.equals(content)).toBe(true);
      expect(scanned.data.length).toBeLessThan(30_000);
    }));
}

function describeLaterScans(engine: Engine): void {
  it('finds exactly the changed pages, also when the file grew or shrank', () =>
    withTree(async (root) => {
      const content = patternBytes(1_000_000, 6);
      await writeFile(join(root, 'file'), content);
      const first = await scanAll(engine, root, 'file', 'blake3');
      const source = { ...first, sourceBytes: content.length };
      const file = await open(join(root, 'file'), 'r+');
      await file.write(Buffer.from('x'), 0, 1, 500_000);
      await file.close();
      content[500_000] = 120;
      const second = await scanAll(engine, root, 'file', 'blake3', source);
      expect(second.ranges).toEqual([[499_712, 4096, 0]]);
      expect(second.data.equals(content.subarray(499_712, 503_808))).toBe(true);
      expect(second.digest.equals(await engine.digestAsync('blake3', content))).toBe(true);
      for (const size of [1_200_000, 700_001, 65_536, 5]) {
        await truncate(join(root, 'file'), size);
        const resized = Buffer.concat([content, Buffer.alloc(200_000)]).subarray(0, size);
        const scanned = await scanAll(engine, root, 'file', 'blake3', { ...second, sourceBytes: content.length });
        expect(scanned.digest.equals(await engine.digestAsync('blake3', resized)), `${size}`).toBe(true);
        expect(scanned.pages.length).toBe(Math.ceil(size / 4096) * 16);
        const fresh = await scanAll(engine, root, 'file', 'blake3');
        expect(scanned.pages.equals(fresh.pages)).toBe(true);
        expect(scanned.groups.equals(fresh.groups)).toBe(true);
        await writeFile(join(root, 'file'), content);
      }
    }));

  it('notices a change during the scan', () =>
    withTree(async (root) => {
      await writeFile(join(root, 'file'), patternBytes(100_000, 6));
      const scan = await engine.openFileScan({ root, path: 'file', algo: 'blake3', seed: SEED, ...NOTHING });
      expect((await scan.next(STEP_BYTES)).done).toBe(true);
      await writeFile(join(root, 'file'), patternBytes(100_001, 7));
      expect((await scan.finish()).torn).toBe(true);
      await scan.close();
    }));

  it('opens regular files only, and follows no link', () =>
    withTree(async (root) => {
      await mkdir(join(root, 'd'));
      await writeFile(join(root, 'd/file'), 'x');
      await symlink('d/file', join(root, 'link'));
      await symlink('d', join(root, 'dlink'));
      execFileSync('mkfifo', [join(root, 'fifo')]);
      for (const path of ['d', 'link', 'dlink/file', 'fifo', 'none']) {
        const opened = engine.openFileScan({ root, path, algo: 'blake3', seed: SEED, ...NOTHING });
        await expect(opened, path).rejects.toMatchObject({ code: expect.stringMatching(/^E[A-Z]+$/) });
      }
    }));
}

function describeHeldScans(engine: Engine): void {
  it('a file that was taken is scanned as it was, whatever becomes of it', () =>
    withTree(async (root) => {
      for (const algo of ['blake3', 'sha256'] as const) {
        for (const size of [1, 65_536, 262_145, (5 << 20) + 3]) {
          const content = patternBytes(size, 8);
          await writeFile(join(root, 'file'), content);
          const plain = await scanAll(engine, root, 'file', algo);
          const scan = await engine.openFileScan({ root, path: 'file', algo, seed: SEED, ...NOTHING });
          await scan.map();
          expect(await scan.hold(Buffer.alloc(size + 5)), `${size}`).toEqual({ row: scan.row, heldBytes: size });
          // Once is enough.
          expect(await scan.hold(Buffer.alloc(size))).toBeUndefined();
          await writeFile(join(root, 'file'), 'something else');
          const data: Buffer[] = [];
          for (;;) {
            const step = await scan.next(STEP_BYTES);
            data.push(step.data);
            if (step.done) break;
          }
          const { torn, digest, pages, groups, row } = await scan.finish();
          await scan.close();
          expect(torn).toBe(false);
          expect(Buffer.concat(data).equals(content)).toBe(true);
          expect([digest.equals(plain.digest), pages.equals(plain.pages), groups.equals(plain.groups)]).toEqual(
            Array(3).fill(true),
          );
          expect(row[STAT.size]).toBe(BigInt(size));
        }
      }
    }));

  it('is taken as it is by then, however it moved since it was opened and mapped', () =>
    withTree(async (root) => {
      const file = join(root, 'file');
      for (const algo of ['blake3', 'sha256'] as const) {
        for (const size of [1, 700_000, (1 << 20) - 1, 2 << 20, (3 << 20) + 5]) {
          await writeFile(file, patternBytes(2 << 20, 12));
          const scan = await engine.openFileScan({ root, path: 'file', algo, seed: SEED, ...NOTHING });
          await scan.map();
          await truncate(file, Math.floor(size / 2));
          const content = patternBytes(size, 13);
          await writeFile(file, content, { flag: 'r+' });
          const { row, heldBytes } = (await scan.hold(Buffer.alloc(4 << 20))) ?? {};
          expect([row?.[STAT.size], heldBytes], `${size}`).toEqual([BigInt(size), size]);
          await writeFile(file, 'something else');
          const data: Buffer[] = [];
          for (let done = false; !done; ) {
            const step = await scan.next(STEP_BYTES);
            data.push(step.data);
            done = step.done;
          }
          const result = await scan.finish();
          await scan.close();
          expect([result.torn, result.row]).toEqual([false, row]);
          expect(Buffer.concat(data).equals(content)).toBe(true);
          expect(result.digest.equals(await engine.digestAsync(algo, content))).toBe(true);
        }
      }
    }));

  it('only what the page table does not know is copied, and the last group; what comes of it is the same', () =>
    withTree(async (root) => {
      const file = join(root, 'file');
      const [before, more] = [patternBytes(1_000_000, 14), patternBytes(1_000_000, 15)];
      // Of 15.3 groups: two pages of one, a page of another, and what was cut off or added.
      const cases: [number, number[], number][] = [
        [1_000_000, [], 16_960],
        [1_000_000, [70_000, 130_000, 800_000], 2 * 65_536 + 16_960],
        [983_040, [70_000], 2 * 65_536],
        [1_200_000, [70_000], 4 * 65_536 + 20_352],
        [65_536, [], 65_536],
        [2_000_000, [0, 131_072], (2 + 15) * 65_536 + 33_920],
        // Three in a row, and four: then the rest of that MiB is copied without a look.
        [1_000_000, [0, 65_536, 131_072], 3 * 65_536 + 16_960],
        [1_000_000, [0, 65_536, 131_072, 196_608], 1_000_000],
      ];
      for (const [size, touched, copied] of cases) {
        await writeFile(file, before);
        const first = await scanAll(engine, root, 'file', 'blake3');
        const content = Buffer.concat([before, more]).subarray(0, size);
        for (const at of touched) content[at] = (content[at] as number) ^ 1;
        await writeFile(file, content);
        const source = { pages: first.pages, groups: first.groups, sourceBytes: before.length };
        const plain = await scanAll(engine, root, 'file', 'blake3', source);
        const scan = await engine.openFileScan({ root, path: 'file', algo: 'blake3', seed: SEED, ...source });
        if (touched.length % 2 === 1) await scan.map();
        expect(await scan.hold(Buffer.alloc(copied - 1)), `${size}`).toBeUndefined();
        expect(await scan.hold(Buffer.alloc(copied)), `${size}`).toEqual({ row: scan.row, heldBytes: copied });
        await writeFile(file, 'something else');
        const rest = await scanRest(scan);
        expect([rest.ranges, rest.torn, rest.row]).toEqual([plain.ranges, false, plain.row]);
        for (const name of ['data', 'digest', 'pages', 'groups'] as const) {
          expect(rest[name].equals(plain[name]), `${name} of ${size}`).toBe(true);
        }
      }
    }));

  it('begins anew with the file as it is now and other tables, as a scan that is opened then', () =>
    withTree(async (root) => {
      const file = join(root, 'file');
      for (const algo of ['blake3', 'sha256'] as const) {
        await writeFile(file, patternBytes(500_000, 17));
        let scan: FileScan = await engine.openFileScan({ root, path: 'file', algo, seed: SEED, ...NOTHING });
        let mapped = await scan.map();
        let taken = false;
        let source = NOTHING;
        // Longer, shorter, empty and longer again; taken, or left half way.
        for (const [round, size] of [600_001, 400_000, 0, 2_000_000, 2_000_000].entries()) {
          await writeFile(file, patternBytes(Math.max(size, 9000), 18).fill(round, 5000, 9000), { flag: 'r+' });
          await truncate(file, size);
          const plain = await scanAll(engine, root, 'file', algo, source);
          for (const halfWay of round === 3 ? [true, false] : [false]) {
            const renewed = await scan.renew(source);
            // What was taken and is not mapped is no longer open.
            expect(renewed === undefined).toBe(taken && !mapped);
            if (!renewed) await scan.close();
            scan = renewed ?? (await engine.openFileScan({ root, path: 'file', algo, seed: SEED, ...source }));
            taken = false;
            if (halfWay) expect((await scan.next(STEP_BYTES)).done).toBe(false);
          }
          expect(scan.row).toEqual(plain.row);
          mapped = await scan.map();
          taken = size > 0;
          expect((await scan.hold(Buffer.alloc(2_000_000)))?.row).toEqual(taken ? plain.row : undefined);
          const rest = await scanRest(scan, true);
          expect([rest.ranges, rest.torn]).toEqual([plain.ranges, false]);
          for (const name of ['data', 'digest', 'pages', 'groups'] as const) {
            expect(rest[name].equals(plain[name]), `${name} of ${size}`).toBe(true);
          }
          source = { pages: rest.pages, groups: rest.groups, sourceBytes: size };
        }
        await scan.close();
      }
    }));

  it('all of it is copied for SHA-256, and without all of its tables', () =>
    withTree(async (root) => {
      const content = patternBytes(300_000, 16);
      await writeFile(join(root, 'file'), content);
      for (const algo of ['blake3', 'sha256'] as const) {
        const { pages, groups } = await scanAll(engine, root, 'file', algo);
        const shortened = algo === 'blake3' ? [pages.subarray(0, 500), groups.subarray(0, 32)] : [pages, groups];
        const source = { pages: shortened[0] as Buffer, groups: shortened[1] as Buffer, sourceBytes: content.length };
        const scan = await engine.openFileScan({ root, path: 'file', algo, seed: SEED, ...source });
        const held = await scan.hold(Buffer.alloc(content.length));
        // With one group value and 31 page hashes, one group is known.
        expect(held?.heldBytes).toBe(algo === 'blake3' ? 300_000 - 65_536 : 300_000);
        const { digest, ranges } = await scanRest(scan);
        expect(digest.equals(await engine.digestAsync(algo, content))).toBe(true);
        expect(ranges).toEqual(algo === 'blake3' ? [[126_976, 300_000 - 126_976, 0]] : []);
      }
    }));

  it('is not taken when it does not fit, is empty, or is being read; then it is scanned as ever', () =>
    withTree(async (root) => {
      const content = patternBytes(600_000, 9);
      const file = join(root, 'file');
      const open = async () => {
        await writeFile(file, content);
        return engine.openFileScan({ root, path: 'file', algo: 'blake3', seed: SEED, ...NOTHING });
      };
      const small = await open();
      expect(await small.hold(Buffer.alloc(content.length - 1))).toBeUndefined();
      expect((await small.next(STEP_BYTES)).data.equals(content)).toBe(true);
      expect(await small.hold(Buffer.alloc(content.length))).toBeUndefined();
      expect((await small.finish()).torn).toBe(false);
      await small.close();
      for (const size of [0, 600_001]) {
        const moved = await open();
        await writeFile(file, patternBytes(size, 10));
        expect(await moved.hold(Buffer.alloc(content.length))).toBeUndefined();
        await moved.next(STEP_BYTES);
        expect((await moved.finish()).torn).toBe(true);
        await moved.close();
      }
    }));

  it('a clone that the file system cannot make is refused and leaves nothing behind', () =>
    withTree(async (root) => {
      await writeFile(join(root, 'file'), patternBytes(300_000, 11));
      await mkdir(join(root, 'clones'));
      const scan = await engine.openFileScan({ root, path: 'file', algo: 'blake3', seed: SEED, ...NOTHING });
      expect(await scan.clone(join(root, 'none'))).toBe(false);
      // True where temporary files lie on a file system that shares blocks: test/capture/reflink.test.ts has one of its own.
      await scan.clone(join(root, 'clones'));
      expect(await readdir(join(root, 'clones'))).toEqual([]);
      expect((await scan.next(STEP_BYTES)).data.equals(patternBytes(300_000, 11))).toBe(true);
      expect((await scan.finish()).torn).toBe(false);
      await scan.close();
    }));
}

export function describeReading(engine: Engine): void {
  describe('reading', () => {
    describeBatches(engine);
    describeFirstScans(engine);
    describeLaterScans(engine);
    describeHeldScans(engine);
  });
}
