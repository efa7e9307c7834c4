/** Copying out of a file mapping whose pages cannot be had: the kernel raises SIGBUS, and nobody may die of it. */
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { mountSmallDisk } from '../sidecar/small-disk.js';
import { openScan } from './tree-door.js';

const place = join(tmpdir(), `dk-mapped-${process.pid}`);
// On a full tmpfs a mapped hole cannot be read: each page of it would take room.
const disk = mountSmallDisk(place, 1 << 20);
afterAll(() => {
  disk?.unmount();
  rmSync(place, { recursive: true, force: true });
});

/** The signals that somebody in this process takes care of. */
const caught = (): string | undefined => /SigCgt:\s+(\w+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];

if (disk) {
  it('gives up the copy and leaves the file to be read as ever', async () => {
    writeFileSync(join(disk.path, 'f'), 'at the start');
    truncateSync(join(disk.path, 'f'), 8 << 20);
    disk.fill();
    const before = caught();
    const scan = await openScan(disk.path, 'f');
    expect(await scan.map()).toBe(true);
    expect(await scan.hold(Buffer.alloc(8 << 20))).toBeUndefined();
    expect(caught()).toBe(before);
    const step = await scan.next(4 << 20);
    expect([step.done, [...step.zero], [...step.ranges]]).toEqual([true, [0, 1], [0, 4096, 4096, (8 << 20) - 4096]]);
    expect(step.data.toString('latin1', 0, 12)).toBe('at the start');
    expect((await scan.finish()).torn).toBe(false);
    await scan.close();
  });
} else it('needs to mount a small disk, which is not allowed here', () => expect(disk).toBeUndefined());
