/** A disk on which some bytes of some files cannot be read any more, whoever asks: Node or the engine. */
import { readlinkSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Engine } from '../../src/engine/engine.js';

type FsPromises = typeof import('node:fs/promises');

interface Stretch {
  readonly from: number;
  readonly to: number;
  /** How often it still fails. */
  times: number;
}

class BadSectors {
  readonly #files = new Map<string, Stretch[]>();
  /** The file system has none. */
  noLinks = false;

  clear(): void {
    this.#files.clear();
    this.noLinks = false;
  }

  /** Bytes `from` to `to` of a file; all of them, for ever, by default. */
  spoil(file: string, from = 0, to = Number.MAX_SAFE_INTEGER, times = Number.MAX_SAFE_INTEGER): void {
    this.#files.set(file, [...(this.#files.get(file) ?? []), { from, to, times }]);
  }

  /** The sectors go along with their file. */
  renamed(from: string, to: string): void {
    const bad = this.#files.get(from);
    this.#files.delete(from);
    this.#files.delete(to);
    if (bad) this.#files.set(to, bad);
  }

  linked(from: string, to: string): void {
    const bad = this.#files.get(from);
    if (bad) this.#files.set(to, bad);
  }

  isBad(file: string, offset: number, length: number): boolean {
    const hit = this.#files
      .get(file)
      ?.find(({ from, to, times }) => times > 0 && offset < to && offset + length > from);
    if (hit) hit.times -= 1;
    return hit !== undefined;
  }
}

export const sectors = new BadSectors();

function eio(): Error {
  return Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', errno: -5, syscall: 'read' });
}

function nameOf(fd: number): string {
  return readlinkSync(`/proc/self/fd/${fd}`);
}

function wrapHandle(handle: FileHandle): FileHandle {
  return new Proxy(handle, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      if (key !== 'read') return value.bind(target);
      return async (buffer: Uint8Array, from: number, length: number, at: number) => {
        if (sectors.isBad(nameOf(target.fd), at, length)) throw eio();
        return target.read(buffer, from, length, at);
      };
    },
  });
}

/** For `vi.mock('node:fs/promises')`. */
export function badFs(real: FsPromises): FsPromises {
  return {
    ...real,
    open: async (...values: Parameters<FsPromises['open']>) => wrapHandle(await real.open(...values)),
    readFile: (async (...values: Parameters<FsPromises['readFile']>) => {
      if (typeof values[0] === 'string' && sectors.isBad(values[0], 0, Number.MAX_SAFE_INTEGER)) throw eio();
      return real.readFile(...values);
    }) as FsPromises['readFile'],
    rename: async (from, to) => {
      await real.rename(from, to);
      sectors.renamed(String(from), String(to));
    },
    link: async (from, to) => {
      if (sectors.noLinks) throw Object.assign(new Error('EPERM: operation not permitted, link'), { code: 'EPERM' });
      await real.link(from, to);
      sectors.linked(String(from), String(to));
    },
  };
}

const EIO_STATUS = -5;

/** An engine whose reads meet the same sectors. */
export function badEngine(real: Engine): Engine {
  const spoilt = (fd: number, runs: Float64Array, done: Float64Array): Float64Array => {
    const file = nameOf(fd);
    for (let run = 0; run < done.length; run += 1) {
      if (sectors.isBad(file, runs[2 * run] as number, runs[2 * run + 1] as number)) done[run] = EIO_STATUS;
    }
    return done;
  };
  return new Proxy(real, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (key === 'readRuns') {
        return async (fd: number, runs: Float64Array, into: Uint8Array) =>
          spoilt(fd, runs, await target.readRuns(fd, runs, into));
      }
      if (key === 'openGroup') {
        return async (...[fd, group, ...how]: Parameters<Engine['openGroup']>) => {
          if (sectors.isBad(nameOf(fd), group.place, group.groupBytes)) throw eio();
          return target.openGroup(fd, group, ...how);
        };
      }
      if (key === 'readSlices') {
        return async (...[fds, slices, range, into]: Parameters<Engine['readSlices']>) => {
          const failed = new Set(await target.readSlices(fds, slices, range, into));
          const bad = Array.from(fds, (fd) => fd >= 0 && sectors.isBad(nameOf(fd), 0, Number.MAX_SAFE_INTEGER));
          for (let index = range.first; index <= range.last; index += 1) {
            if (bad[slices.files[slices.blobs[index] as number] as number]) failed.add(index);
          }
          return Uint32Array.from(failed).sort();
        };
      }
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
