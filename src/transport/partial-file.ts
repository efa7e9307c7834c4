/**
 * The bytes of a file that is being received, in any order. Those of a large one go past the page cache where that is
 * possible: copying them into it costs the receiver more than all else that it does with them, and they must be on the disk
 * before the file counts as received either way.
 */
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { readFully, systemCode, writeFully } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { WriteOut } from './write-out.js';

/** Smaller files are soon read by whoever they were sent to: they belong into the cache. */
const DIRECT_FILE_BYTES_MIN = 128 << 20;
/** Of places in the file, lengths and memory: what every disk takes. */
const UNIT_BYTES = 4096;
/** Written one way before the other is looked at, and before the better one is chosen. */
const PROBE_BYTES = 16 << 20;
/** What a system says that does not take writes past the cache there, or not such ones. */
const REFUSALS: ReadonlySet<string> = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP']);
/** From one look to the next. */
const LOOK_BYTES = 1 << 30;
/**
 * The cache takes bytes as fast as memory, the disk only later. So it is chosen only where it is so many times as fast: there the
 * disk is so slow that the sender had better wait for it with its bytes in our memory.
 */
const CACHE_TIMES = 4;

/**
 * So much is reserved ahead of what is written past the cache: where a file ends, systems take one such write at a time. More
 * would let somebody who only says that a file is large take the disk from others.
 */
const AHEAD_BYTES = 64 << 20;

/** Bytes that went one way, and the time in which some were going. */
class Way {
  #bytes = 0;
  #busyMs = 0;
  #open = 0;
  #sinceMs = 0;

  get rate(): number {
    return this.#bytes / Math.max(this.#busyMs, 0.01);
  }

  begin(nowMs: number): void {
    if (this.#open === 0) this.#sinceMs = nowMs;
    this.#open += 1;
  }

  end(bytes: number, nowMs: number): void {
    this.#open -= 1;
    this.#bytes += bytes;
    this.#busyMs += nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
  }

  /** Older figures count half. */
  fade(): void {
    this.#bytes /= 2;
    this.#busyMs /= 2;
  }
}

/** Which way the next bytes go: both are looked at in turn, then the better one is kept until the next look. */
export class WriteChoice {
  readonly direct = new Way();
  readonly cached = new Way();
  #bytes = 0;

  /** Whether so many bytes should go past the cache. */
  next(bytes: number): boolean {
    const at = this.#bytes;
    this.#bytes += bytes;
    if (this.#bytes >= LOOK_BYTES) {
      this.#bytes = 0;
      this.direct.fade();
      this.cached.fade();
    }
    if (at < 2 * PROBE_BYTES) return at < PROBE_BYTES;
    return this.direct.rate * CACHE_TIMES >= this.cached.rate;
  }
}

export interface PartialFileOptions {
  /** That it will have, bytes. */
  readonly size: number;
  readonly engine: Pick<Engine, 'preallocate'>;
  readonly nowMs?: () => number;
}

export class PartialFile {
  readonly #cached: FileHandle;
  readonly #writeOut: WriteOut;
  /** Undefined where the file is too small for it, or the system has no such way. */
  readonly #direct: FileHandle | undefined;
  #refused = false;
  readonly #choice = new WriteChoice();
  readonly #nowMs: () => number;
  readonly #options: PartialFileOptions;
  /** Where what is reserved ends. */
  #reserved: number;
  /** Settled when the file is as long as that. */
  #extended: Promise<void> = Promise.resolve();
  /** Bytes that it had when it was opened. */
  readonly length: number;
  /** Bytes that went past the cache. */
  directBytes = 0;

  private constructor(
    options: PartialFileOptions,
    file: { readonly cached: FileHandle; readonly direct: FileHandle | undefined; readonly length: number },
  ) {
    const { cached, direct, length } = file;
    this.#cached = cached;
    this.#writeOut = new WriteOut(cached);
    this.#direct = direct;
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#options = options;
    this.#reserved = length;
    this.length = length;
  }

  /** Opens the file, which is made when it is missing. Throws system errors. */
  static async open(path: string, options: PartialFileOptions): Promise<PartialFile> {
    const noLink = constants.O_NOFOLLOW ?? 0;
    const cached = await open(path, constants.O_RDWR | constants.O_CREAT | noLink, 0o666);
    try {
      const length = (await cached.stat()).size;
      const past: number | undefined = constants.O_DIRECT;
      const large = options.size >= DIRECT_FILE_BYTES_MIN && past !== undefined;
      // Which file systems refuse shows when they are asked.
      const opened = large ? open(path, constants.O_WRONLY | past | noLink).catch(() => undefined) : undefined;
      return new PartialFile(options, { cached, direct: await opened, length });
    } catch (error) {
      await cached.close();
      throw error;
    }
  }

  /** Makes room up to a place of the file and somewhat beyond. Throws system errors, for example that the disk is full. */
  async #reserve(end: number): Promise<void> {
    if (end > this.#reserved) {
      const from = this.#reserved;
      const to = Math.min(this.#options.size, (Math.floor(end / AHEAD_BYTES) + 1) * AHEAD_BYTES);
      this.#options.engine.preallocate(this.#cached.fd, from, to - from);
      this.#reserved = to;
      // One after the other: a shorter length that comes later would cut off what is there.
      const before = this.#extended;
      this.#extended = before.then(() => this.#cached.truncate(to));
    }
    await this.#extended;
  }

  /** Fills `into`; behind the end there are zeros. */
  async read(offset: number, into: Buffer): Promise<void> {
    into.fill(0, await readFully(this.#cached, into, offset));
  }

  async write(offset: number, bytes: Buffer): Promise<void> {
    const direct = this.#direct;
    const fits = offset % UNIT_BYTES === 0 && bytes.length % UNIT_BYTES === 0;
    const past = direct !== undefined && !this.#refused && fits && this.#choice.next(bytes.length);
    if (past && (await this.#writeDirect(direct, offset, bytes))) return;
    await this.#writeCached(offset, bytes);
  }

  async #writeCached(offset: number, bytes: Buffer): Promise<void> {
    const way = this.#choice.cached;
    way.begin(this.#nowMs());
    try {
      if (this.#direct !== undefined) {
        // Room that is reserved later begins behind it, and what is being reserved is there first: the file is made longer for
        // that, and what stands behind such an end would be cut off.
        this.#reserved = Math.max(this.#reserved, offset + bytes.length);
        await this.#extended;
      }
      await writeFully(this.#cached, bytes, offset);
    } finally {
      way.end(bytes.length, this.#nowMs());
    }
    this.#writeOut.wrote(bytes.length);
  }

  /** Whether the bytes are written; false when the system does not take such writes. */
  async #writeDirect(handle: FileHandle, offset: number, bytes: Buffer): Promise<boolean> {
    const way = this.#choice.direct;
    way.begin(this.#nowMs());
    let done = 0;
    try {
      await this.#reserve(offset + bytes.length);
      done = (await handle.write(bytes, 0, bytes.length, offset)).bytesWritten;
      this.directBytes += done;
      // Where it stops in the middle, the other way goes on, or tells why.
      if (done < bytes.length) await this.#writeCached(offset + done, bytes.subarray(done));
      return true;
    } catch (error) {
      if (!REFUSALS.has(systemCode(error))) throw error;
      this.#refused = true;
      return false;
    } finally {
      way.end(done, this.#nowMs());
    }
  }

  /** Cuts it to a size, makes it durable and gives its facts. */
  async finish(size: number): Promise<BigIntStats> {
    await this.#cached.truncate(size);
    await this.#writeOut.finish();
    return this.#cached.stat({ bigint: true });
  }

  /** To be called once nothing is being written. */
  async close(): Promise<void> {
    try {
      await this.#writeOut.settled();
      await this.#direct?.close();
    } finally {
      await this.#cached.close();
    }
  }
}
