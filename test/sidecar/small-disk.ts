/** A disk that can be filled, freed and made read-only: a tmpfs, where we may mount one. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface SmallDisk {
  readonly path: string;
  /** Takes every byte that is left. */
  fill(): void;
  free(): void;
  /** Gives it another size, bytes. */
  resize(bytes: number): void;
  setReadOnly(on: boolean): void;
  unmount(): void;
}

const mount = (...words: string[]): boolean => spawnSync('mount', words).status === 0;

/** Mounts a disk of this size at `path`; undefined where that is not allowed. */
export function mountSmallDisk(path: string, bytes: number): SmallDisk | undefined {
  mkdirSync(path, { recursive: true });
  if (!mount('-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path)) return undefined;
  const filler = join(path, 'filler');
  return {
    path,
    fill: () => {
      for (const piece of [65_536, 1024, 1]) {
        try {
          for (;;) writeFileSync(filler, Buffer.alloc(piece), { flag: 'a' });
        } catch {
          // No room left for a piece of this size.
        }
      }
    },
    free: () => rmSync(filler, { force: true }),
    resize: (size) => void mount('-o', `remount,size=${size}`, path),
    setReadOnly: (on) => void mount('-o', `remount,${on ? 'ro' : 'rw'}`, path),
    unmount: () => void spawnSync('umount', ['-l', path]),
  };
}

/** Whether this machine lets us mount. */
export function canMount(scratch: string): boolean {
  const disk = mountSmallDisk(scratch, 65_536);
  disk?.unmount();
  return disk !== undefined;
}
