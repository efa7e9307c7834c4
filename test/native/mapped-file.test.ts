/** Where files are mapped, and copying out of a mapping whose pages cannot be had: the kernel raises SIGBUS, and nobody may die of it. */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from 'vitest';
import { mountSmallDisk } from '../sidecar/small-disk.js';
import { files, openScan } from './tree-door.js';

/** Type of an overlay in `statfs`. */
const OVERLAY = 0x794c7630;
const place = mkdtempSync(join(tmpdir(), 'dk-mapped-'));
const disk = mountSmallDisk(join(place, 'disk'), 1 << 20);
const over = join(place, 'over');
const NO_SOURCE = { pages: Buffer.alloc(0), groups: Buffer.alloc(0), sourceBytes: 0 };
afterEach(() => files.mapAnywhere(false));
afterAll(() => {
  disk?.unmount();
  spawnSync('umount', ['-l', over]);
  rmSync(place, { recursive: true, force: true });
});

/** The signals that somebody in this process takes care of. */
const caught = (): string | undefined => /SigCgt:\s+(\w+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];

function withDisk(path: string): void {
  it('maps nothing on tmpfs, where reading a hole would fill it', async () => {
    writeFileSync(join(path, 'f'), 'at the start');
    truncateSync(join(path, 'f'), 400_000);
    const { blocks } = statSync(join(path, 'f'));
    const scan = await openScan(path, 'f');
    expect(await scan.map()).toBe(false);
    expect((await scan.hold(Buffer.alloc(400_000)))?.heldBytes).toBe(400_000);
    await scan.close();
    expect(statSync(join(path, 'f')).blocks).toBe(blocks);
  });

  it('maps nothing on overlayfs, where a mapping stays with the file below', async () => {
    for (const name of ['low', 'up', 'work', 'over']) mkdirSync(join(place, name));
    writeFileSync(join(place, 'low/f'), 'below'.repeat(1000));
    const layers = `lowerdir=${join(place, 'low')},upperdir=${join(place, 'up')},workdir=${join(place, 'work')}`;
    const mounted = spawnSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, over]).status === 0;
    // Not on an overlay itself, where a second one cannot be mounted: then its own files tell.
    const root = mounted ? over : join(place, 'low');
    const scan = await openScan(root, 'f');
    const mapped = await scan.map();
    expect(mapped && statfsSync(root).type === OVERLAY).toBe(false);
    writeFileSync(join(place, mounted ? 'over/f' : 'low/f'), 'above'.repeat(1000), { flag: 'r+' });
    const into = Buffer.alloc(5000);
    await scan.hold(into);
    expect(into.toString('latin1', 0, 5)).toBe('above');
    await scan.close();
  });

  it('gives up the copy where a page cannot be had, and leaves the file to be read as ever', async () => {
    writeFileSync(join(path, 'f'), 'at the start');
    truncateSync(join(path, 'f'), 8 << 20);
    disk?.fill();
    files.mapAnywhere(true);
    const before = caught();
    const scan = await openScan(path, 'f');
    expect(await scan.map()).toBe(true);
    expect(await scan.hold(Buffer.alloc(8 << 20))).toBeUndefined();
    expect(caught()).toBe(before);
    const step = await scan.next(4 << 20);
    expect([step.done, [...step.zero], [...step.ranges]]).toEqual([true, [0, 1], [0, 4096, 4096, (8 << 20) - 4096]]);
    expect(step.data.toString('latin1', 0, 12)).toBe('at the start');
    expect((await scan.finish()).torn).toBe(false);
    // Zeros stand in that mapping for what could not be had: it is not used again.
    disk?.free();
    writeFileSync(join(path, 'f'), 'something'.repeat(20_000));
    await scan.renew(NO_SOURCE);
    expect(await scan.map()).toBe(true);
    const into = Buffer.alloc(180_000);
    expect((await scan.hold(into))?.heldBytes).toBe(180_000);
    expect(into.equals(Buffer.from('something'.repeat(20_000)))).toBe(true);
    await scan.close();
  });
}

if (disk) withDisk(disk.path);
else it('needs to mount a small disk, which is not allowed here', () => expect(disk).toBeUndefined());
