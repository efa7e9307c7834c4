/** One large file, written and hashed step by step. */
import { write } from 'node:fs';
import { promisify } from 'node:util';
import { checkAlgo, checkBytes, checkInteger } from './check-arguments.js';
import type { HashAlgo } from './engine.js';
import { type RunningDigest, startDigest } from './twin-hash.js';

/** One call at a time. */
export interface FileWriter {
  /**
   * Writes at `position`, which must not lie before the end of what was written; what is left out counts as zeros.
   * With `direct` as much as possible goes past the page cache; resolves to whether any did. `bytes` must be left alone
   * until it resolves. Rejects with the system error.
   */
  write(position: number, bytes: Uint8Array, direct: boolean): Promise<boolean>;
  /** Digest of the first `size` bytes, not fewer than were written. Ends the writer. */
  finish(size: number): Promise<Buffer>;
}

export interface WriterVerbs {
  /** Writes to an open file. The caller keeps the descriptor open until the last promise has settled, and closes it. */
  openFileWriter(fd: number, algo: HashAlgo): FileWriter;
  /** Zeroed memory whose place suits direct writes, where there are such. */
  alignedBuffer(bytes: number): Buffer;
}

const BUFFER_BYTES_MAX = 2 ** 30;
const ZEROS = Buffer.alloc(1 << 20);
const writeFd = promisify(write);

class TwinWriter implements FileWriter {
  readonly #fd: number;
  readonly #digest: Promise<RunningDigest>;
  #end = 0;

  constructor(fd: number, algo: HashAlgo) {
    this.#fd = fd;
    this.#digest = startDigest(algo);
  }

  async write(position: number, bytes: Uint8Array): Promise<boolean> {
    const digest = await this.#zeros(position);
    digest.update(bytes);
    this.#end += bytes.length;
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await writeFd(this.#fd, bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
    return false;
  }

  async finish(size: number): Promise<Buffer> {
    return (await this.#zeros(size)).digest();
  }

  async #zeros(until: number): Promise<RunningDigest> {
    const digest = await this.#digest;
    while (this.#end < until) {
      const some = ZEROS.subarray(0, Math.min(ZEROS.length, until - this.#end));
      digest.update(some);
      this.#end += some.length;
    }
    return digest;
  }
}

/** The verbs in plain TypeScript: Node cannot write past the page cache. */
export const twinWriter: WriterVerbs = {
  openFileWriter: (fd, algo) => new TwinWriter(fd, algo),
  alignedBuffer: (bytes) => Buffer.alloc(bytes),
};

/** Checks arguments and order, so that neither implementation has to. */
class GuardedWriter implements FileWriter {
  readonly #inner: FileWriter;
  #end = 0;
  #state: 'free' | 'busy' | 'finished' = 'free';

  constructor(inner: FileWriter) {
    this.#inner = inner;
  }

  async write(position: number, bytes: Uint8Array, direct: boolean): Promise<boolean> {
    checkBytes(bytes, 'bytes');
    checkInteger(position, 'position', this.#end, Number.MAX_SAFE_INTEGER);
    return this.#run('free', () => {
      this.#end = position + bytes.length;
      return this.#inner.write(position, bytes, direct);
    });
  }

  async finish(size: number): Promise<Buffer> {
    checkInteger(size, 'size', this.#end, Number.MAX_SAFE_INTEGER);
    return this.#run('finished', () => this.#inner.finish(size));
  }

  async #run<T>(next: 'free' | 'finished', call: () => Promise<T>): Promise<T> {
    if (this.#state !== 'free') throw new TypeError(`this file writer is ${this.#state}`);
    this.#state = 'busy';
    try {
      return await call();
    } finally {
      this.#state = next;
    }
  }
}

/** The verbs with their arguments checked. */
export function guardWriter(inner: WriterVerbs): WriterVerbs {
  return {
    openFileWriter(fd, algo) {
      checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
      checkAlgo(algo);
      return new GuardedWriter(inner.openFileWriter(fd, algo));
    },
    alignedBuffer(bytes) {
      checkInteger(bytes, 'bytes', 1, BUFFER_BYTES_MAX);
      return inner.alignedBuffer(bytes);
    },
  };
}
