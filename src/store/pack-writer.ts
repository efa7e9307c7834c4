/** Packs that a prune writes: apart from the log of commits, and gone again unless the prune is sealed. */
import * as path from 'node:path';
import { AppendFile, fromSystemError, fsyncDirectory, LIMITS } from '../core/core.js';
import type { RecordPlace } from './blob-index.js';
import { COMPACTED_FROM, isCompacted } from './pack-names.js';
import type { Packs } from './packs.js';

/** Numbers of new packs, shared by the writers of one prune. */
export class PackNumbers {
  readonly first: number;
  #next: number;

  constructor(known: readonly number[]) {
    this.first = Math.max(COMPACTED_FROM, ...known.filter(isCompacted).map((pack) => pack + 1));
    this.#next = this.first;
  }

  take(): number {
    this.#next += 1;
    return this.#next - 1;
  }

  /** The pack that was begun last; `first - 1` for none. */
  get last(): number {
    return this.#next - 1;
  }
}

export class PackWriter {
  readonly #packs: Packs;
  readonly #numbers: PackNumbers;
  readonly #written: number[] = [];
  #file: AppendFile | null = null;
  #staged: Buffer[] = [];
  #stagedBytes = 0;
  #bytes = 0;

  constructor(packs: Packs, numbers: PackNumbers) {
    this.#packs = packs;
    this.#numbers = numbers;
  }

  /** Packs written so far, ascending. */
  get written(): readonly number[] {
    return this.#written;
  }

  /** Bytes appended, headers included. */
  get bytes(): number {
    return this.#bytes;
  }

  async append(record: Buffer): Promise<RecordPlace> {
    const length = (this.#file?.length ?? 0) + this.#stagedBytes;
    if (!this.#file || length >= LIMITS.packBytes) await this.next();
    const file = this.#file as unknown as AppendFile;
    const pack = this.#written[this.#written.length - 1] as number;
    const place = { pack, offset: file.length + this.#stagedBytes, recordBytes: record.length };
    // The bytes may belong to a window that moves on.
    this.#staged.push(Buffer.from(record));
    this.#stagedBytes += record.length;
    this.#bytes += record.length;
    if (this.#stagedBytes >= LIMITS.stagedBytes) await this.#flush();
    return place;
  }

  /** Closes the pack in hand and begins another. */
  async next(): Promise<void> {
    await this.close();
    const pack = this.#numbers.take();
    this.#written.push(pack);
    const header = this.#packs.header(pack);
    try {
      this.#file = await AppendFile.create(this.#packs.file(pack));
      await this.#file.append([header]);
      await fsyncDirectory(path.dirname(this.#packs.file(pack)));
    } catch (error) {
      throw fromSystemError(error, 'create', this.#packs.file(pack));
    }
    this.#bytes += header.length;
  }

  async #flush(): Promise<void> {
    const staged = this.#staged;
    this.#staged = [];
    this.#stagedBytes = 0;
    try {
      await this.#file?.append(staged);
    } catch (error) {
      throw fromSystemError(error, 'write to', this.#packs.file(this.#written[this.#written.length - 1] ?? 0));
    }
  }

  /** Everything appended so far is durable once this resolves. */
  async sync(): Promise<void> {
    await this.#flush();
    try {
      await this.#file?.sync();
    } catch (error) {
      throw fromSystemError(error, 'sync', this.#packs.file(this.#written[this.#written.length - 1] ?? 0));
    }
  }

  /** Makes everything durable and closes the pack in hand. */
  async close(): Promise<void> {
    await this.sync();
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  /** Writes no more; what was written stays. */
  async release(): Promise<void> {
    this.#staged = [];
    this.#stagedBytes = 0;
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => {});
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    await this.release();
    await this.#packs.remove(this.#written);
  }
}
