/** Very large files are cloned at a freeze point, on a file system that shares blocks (a small btrfs). */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, FileScan } from '../../src/engine/engine.js';
import { canMount } from '../sidecar/small-disk.js';
import { engines, MIB, noise, StateFixture } from './state-fixture.js';

const place = mkdtempSync(join(tmpdir(), 'dk-reflink-'));
const disk = join(place, 'disk');
const MOUNTS = canMount(disk);
const before = process.env.TMPDIR;

function run(program: string, ...words: string[]): void {
  const result = spawnSync(program, words, {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` },
  });
  expect(result.status, `${program} ${result.error ?? ''} ${result.stderr}`).toBe(0);
}

beforeAll(() => {
  if (!MOUNTS) return;
  const image = join(place, 'image');
  writeFileSync(image, '');
  truncateSync(image, 256 * MIB);
  run('mkfs.btrfs', '-q', image);
  run('mount', '-o', 'loop', image, disk);
  process.env.TMPDIR = disk;
});
afterAll(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  if (MOUNTS) spawnSync('umount', ['-l', disk]);
  rmSync(place, { recursive: true, force: true });
});

const NOTHING = { pages: Buffer.alloc(0), groups: Buffer.alloc(0), sourceBytes: 0 };

/** The whole content as a scan hands it out. */
async function contentOf(scan: FileScan): Promise<Buffer> {
  const data: Buffer[] = [];
  for (;;) {
    const step = await scan.next(4 * MIB);
    data.push(step.data);
    if (step.done) return Buffer.concat(data);
  }
}

/** Writes these bytes at a place of a file. */
function overwrite(file: string, bytes: Buffer, at: number): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

function onSharedBlocks(): void {
  it.each(engines())('%s: a clone is scanned as the file was, and leaves no name behind', async (_, engine) => {
    const root = mkdtempSync(join(disk, 'clone-'));
    mkdirSync(join(root, 'clones'));
    const content = noise(3 * MIB + 77, 1);
    writeFileSync(join(root, 'file'), content);
    const seed = Buffer.alloc(16, 7);
    const scan = await engine.openFileScan({ root, path: 'file', algo: 'blake3', seed, ...NOTHING });
    expect(await scan.clone(join(root, 'clones'))).toBe(true);
    expect(readdirSync(join(root, 'clones'))).toEqual([]);
    overwrite(join(root, 'file'), noise(MIB, 2), MIB);
    expect((await contentOf(scan)).equals(content)).toBe(true);
    const { torn, digest, row } = await scan.finish();
    expect([torn, digest.equals(await engine.digestAsync('blake3', content))]).toEqual([false, true]);
    // What is kept with the file is the file's own, not the clone's.
    expect(row).toEqual(scan.row);
    await scan.close();
  });

  it('a freeze point clones a file of a gigabyte', async () => {
    const clones: boolean[] = [];
    const real = engines()[0]?.[1] as Engine;
    const engine: Engine = {
      ...real,
      openFileScan: async (options) => {
        const scan = await real.openFileScan(options);
        const clone = async (directory: string): Promise<boolean> => {
          clones.push(await scan.clone(directory));
          return clones.at(-1) ?? false;
        };
        return { ...scan, clone };
      },
    };
    const fixture = await StateFixture.create(engine);
    fixture.write('large', noise(MIB, 3));
    const file = fixture.path('large');
    // With holes: large, and quickly read.
    truncateSync(file, 1025 * MIB);
    await fixture.capture();
    overwrite(file, noise(2 * MIB, 4), 50 * MIB);
    const report = await fixture.capture({
      freeze: async () => ({
        rescan: [],
        thaw: async () => {
          // The application goes on at once.
          overwrite(file, noise(2 * MIB, 5), 50 * MIB);
          return 1;
        },
      }),
    });
    expect(report.checkpoint?.frozen).toBe(true);
    expect(clones).toEqual([true]);
    const head = await fixture.head('large');
    expect(head && (await fixture.store.reader(head).read(50 * MIB, 2 * MIB)).equals(noise(2 * MIB, 4))).toBe(true);
    await fixture.close();
  });
}

if (MOUNTS) describe('on a file system that shares blocks', onSharedBlocks);
else it('needs to mount one, which is not allowed here', () => expect(MOUNTS).toBe(false));
