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
  readonly code: 'ENOSPC' | 'EIO';
  /** A failing call takes effect, at least in part, before it fails. */
  readonly partial: boolean;
}

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
    const text = this.plan.code === 'ENOSPC' ? 'no space left on device' : 'i/o error';
    return Object.assign(new Error(`${this.plan.code}: ${text}, ${name}`), { code: this.plan.code });
  }

  levelError(): Error {
    const text = this.plan.code === 'ENOSPC' ? 'No space left on device' : 'Input/output error';
    return Object.assign(new Error(`IO error: 000005.log: ${text}`), { code: 'LEVEL_IO_ERROR' });
  }

  /** Runs the call, or fails it; `part` is what a failing call does nevertheless. */
  async run<T>(name: string, call: () => Promise<T>, part: () => Promise<unknown> = async () => {}): Promise<T> {
    if (!this.#isDoomed(name)) return call();
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
            return disk.run(
              'writev',
              () => call(buffers, at),
              () => target.write(half, 0, half.length, at),
            );
          };
        case 'write':
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
    const handle = writes ? await disk.run('open', () => real.open(...values)) : await real.open(...values);
    return wrapHandle(handle);
  };
  return {
    ...real,
    open,
    rename: wrap('rename', real.rename),
    unlink: wrap('unlink', real.unlink),
    rm: wrap('rm', real.rm),
    truncate: wrap('truncate', real.truncate),
    mkdir: wrap('mkdir', real.mkdir) as FsPromises['mkdir'],
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
