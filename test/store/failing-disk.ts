/**
 * A disk that fails: `node:fs/promises` and `classic-level` as the product imports them, counting every call that
 * changes the disk and failing those that the plan names. The product itself has no seam and pays for none.
 *
 * A failing write may have written a part; a failing metadata batch may have been applied or not.
 */
import type { FileHandle } from 'node:fs/promises';

export interface FailurePlan {
  /** The call that fails, counted from 1; 0 = none. */
  readonly at: number;
  /** All later calls fail too. */
  readonly sticky: boolean;
  /** `short`: no error, but a read or write that handles a part only, as POSIX allows. */
  readonly code: keyof typeof TEXTS | 'short';
  /** A failing call takes effect, at least in part, before it fails. */
  readonly partial: boolean;
  /** Which calls are counted; default those that change the disk. */
  readonly calls?: readonly string[];
}

/** The system's words for its codes. */
const TEXTS = {
  ENOSPC: 'no space left on device',
  EIO: 'i/o error',
  EMFILE: 'too many open files',
  EACCES: 'permission denied',
} as const;

/** Calls by what they do. `batch` is LevelDB's own write. */
export const CALLS = {
  write: ['write', 'writev', 'writeFile', 'truncate', 'batch'],
  fsync: ['sync', 'datasync'],
  open: ['open', 'openRead'],
  read: ['read', 'readFile', 'readdir', 'stat'],
  rename: ['rename', 'unlink', 'rm', 'mkdir'],
} as const satisfies Record<string, readonly string[]>;

const CHANGING: readonly string[] = [...CALLS.write, ...CALLS.fsync, ...CALLS.rename, 'open'];

export const NO_FAILURE: FailurePlan = { at: 0, sticky: false, code: 'EIO', partial: false };

class FailingDisk {
  plan: FailurePlan = NO_FAILURE;
  calls = 0;
  failed = 0;
  /** Names of the failed calls, for messages. */
  readonly log: string[] = [];

  begin(plan: FailurePlan): void {
    this.plan = plan;
    this.calls = 0;
    this.failed = 0;
    this.log.length = 0;
  }

  /** Whether the next call fails. */
  #isDoomed(name: string): boolean {
    if (!(this.plan.calls ?? CHANGING).includes(name)) return false;
    this.calls += 1;
    const { at, sticky } = this.plan;
    const doomed = at > 0 && (this.calls === at || (sticky && this.calls > at));
    if (doomed) {
      this.failed += 1;
      this.log.push(`${this.calls} ${name}`);
    }
    return doomed;
  }

  systemError(name: string): Error {
    const { code } = this.plan;
    if (code === 'short') throw new Error(`a short ${name} cannot be made`);
    return Object.assign(new Error(`${code}: ${TEXTS[code]}, ${name}`), { code });
  }

  levelError(): Error {
    const text = this.plan.code === 'ENOSPC' ? 'No space left on device' : 'Input/output error';
    return Object.assign(new Error(`IO error: 000005.log: ${text}`), { code: 'LEVEL_IO_ERROR' });
  }

  /** Runs the call, or fails it; `part` is what a failing call does nevertheless. */
  async run<T>(
    name: string,
    call: () => Promise<T>,
    part: () => Promise<unknown> = async () => {},
    short?: () => Promise<T>,
  ): Promise<T> {
    if (!this.#isDoomed(name)) return call();
    if (this.plan.code === 'short') return (short ?? call)();
    if (this.plan.partial) await part();
    throw name === 'batch' ? this.levelError() : this.systemError(name);
  }
}

export const disk = new FailingDisk();

type FsPromises = typeof import('node:fs/promises');

/** Methods of a file that change it. */
function wrapHandle(handle: FileHandle): FileHandle {
  return new Proxy(handle, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function') return value;
      const call = (...values: unknown[]) => (value as (...all: unknown[]) => Promise<unknown>).apply(target, values);
      switch (key) {
        case 'writev':
          return (buffers: readonly Uint8Array[], at: number) => {
            const half = Buffer.concat(buffers).subarray(0, 100);
            const part = () => target.write(half, 0, half.length, at);
            const short = async () => ({ bytesWritten: (await part()).bytesWritten, buffers });
            return disk.run('writev', () => call(buffers, at), part, short);
          };
        case 'write':
        case 'read':
          return (buffer: Uint8Array, from: number, length: number, at: number) => {
            const less = () => call(buffer, from, Math.ceil(length / 2), at);
            return disk.run(key, () => call(buffer, from, length, at), less, less);
          };
        case 'writeFile':
        case 'truncate':
        case 'sync':
        case 'datasync':
          return (...values: unknown[]) =>
            disk.run(
              String(key),
              () => call(...values),
              () => call(...values),
            );
        default:
          return value.bind(target);
      }
    },
  });
}

export function failingFs(real: FsPromises): FsPromises {
  const wrap =
    <A extends unknown[], R>(name: string, call: (...values: A) => Promise<R>) =>
    (...values: A): Promise<R> =>
      disk.run(
        name,
        () => call(...values),
        () => call(...values),
      );
  const open = async (...values: Parameters<FsPromises['open']>): Promise<FileHandle> => {
    const writes = typeof values[1] === 'string' && values[1] !== 'r';
    return wrapHandle(await disk.run(writes ? 'open' : 'openRead', () => real.open(...values)));
  };
  return {
    ...real,
    open,
    rename: wrap('rename', real.rename),
    unlink: wrap('unlink', real.unlink),
    rm: wrap('rm', real.rm),
    truncate: wrap('truncate', real.truncate),
    mkdir: wrap('mkdir', real.mkdir) as FsPromises['mkdir'],
    readFile: wrap('readFile', real.readFile as (...values: unknown[]) => Promise<unknown>) as FsPromises['readFile'],
    readdir: wrap('readdir', real.readdir as (...values: unknown[]) => Promise<unknown>) as FsPromises['readdir'],
    stat: wrap('stat', real.stat as (...values: unknown[]) => Promise<unknown>) as FsPromises['stat'],
  };
}

type Classic = typeof import('classic-level');

interface Batch {
  write(options?: object): Promise<void>;
}

export function failingLevel(real: Classic): Classic {
  const construct = (target: Classic['ClassicLevel'], values: unknown[]): object => {
    const level: object = Reflect.construct(target, values);
    const open = (Reflect.get(level, 'batch') as () => Batch).bind(level);
    const batch = (): Batch => {
      const own = open();
      const write = own.write.bind(own);
      own.write = (options = {}) =>
        disk.run(
          'batch',
          () => write(options),
          () => write(options),
        );
      return own;
    };
    return Object.assign(level, { batch });
  };
  return { ...real, ClassicLevel: new Proxy(real.ClassicLevel, { construct }) };
}

/** Does something on a disk that fails; after it the disk is whole again. */
export async function onFailingDisk(
  plan: FailurePlan,
  work: () => Promise<unknown>,
): Promise<{ readonly error: unknown; readonly failed: number; readonly log: string }> {
  disk.begin(plan);
  const error = await work().then(
    () => null,
    (reason: unknown) => reason,
  );
  const { failed } = disk;
  const log = disk.log.join(', ');
  disk.begin(NO_FAILURE);
  return { error, failed, log };
}
