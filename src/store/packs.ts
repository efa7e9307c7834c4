/**
 * Pack files on disk: one open for appending, the others read-only. Appended
 * records become readable once flushed and durable once synced.
 */
import { readdir, stat } from 'node:fs/promises';
import * as path from 'node:path';
import {
  AppendFile,
  type DiffKeeperError,
  fromSystemError,
  fsyncDirectory,
  LIMITS,
  truncateDurable,
  unlinkDurable,
} from '../core/core.js';
import type { ChainPlace, FileSlices, HashAlgo, SliceRange } from '../engine/engine.js';
import { type Checksum, encodePackHeader, PACK_HEADER_BYTES } from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import type { PackFacts } from './pack-facts.js';
import { isCompacted, packName } from './pack-names.js';
import { PackReaders } from './pack-readers.js';
import type { RecordCoder } from './record-coder.js';
import { StagedRecords } from './staged-records.js';

export class Packs {
  /** How records stand in these packs. */
  readonly records: RecordCoder;
  readonly #directory: string;
  readonly #storeId: Buffer;
  readonly #checksum: Checksum;
  readonly #readers: PackReaders;
  #writer: AppendFile | null = null;
  #pack = 0;
  /** Length of the open pack that a checkpoint has named: an abort cuts back to here. */
  #committed = { pack: 0, length: 0 };
  /** New packs have larger numbers than this one. */
  #floor = 0;
  readonly #staged = new StagedRecords();
  /** Bytes may stand behind the committed length. Nothing is appended before they are gone. */
  #leftovers = false;
  /** Packs that were begun since the last commit: no other may be removed with an abandoned checkpoint. */
  #begun: number[] = [];
  /** A transaction has begun to append: what it leaves behind is its own until it ends. */
  #appending = false;

  constructor(directory: string, { engine, storeId, checksum, records }: PackFacts) {
    this.records = records;
    this.#directory = directory;
    this.#storeId = storeId;
    this.#checksum = checksum;
    this.#readers = new PackReaders(engine, (pack) => this.file(pack), storeId, checksum);
  }

  file(pack: number): string {
    return path.join(this.#directory, packName(pack));
  }

  /** What a pack begins with. */
  header(pack: number): Buffer {
    return encodePackHeader(pack, this.#storeId, this.#checksum);
  }

  /** Numbers of all packs on disk, ascending. */
  async list(): Promise<number[]> {
    const names = await readdir(this.#directory).catch((error: unknown) => {
      throw fromSystemError(error, 'list', this.#directory);
    });
    return names
      .filter((name) => /^\d{8}\.dkp$/.test(name))
      .map((name) => Number.parseInt(name, 10))
      .sort((one, other) => one - other);
  }

  /** Packs that commits wrote, in the order in which they were written. */
  async commits(): Promise<number[]> {
    return (await this.list()).filter((pack) => !isCompacted(pack));
  }

  /** Numbers up to this one were used before and must not come again. */
  reserve(pack: number): void {
    this.#floor = Math.max(this.#floor, pack);
  }

  async length(pack: number): Promise<number> {
    try {
      return (await stat(this.file(pack))).size;
    } catch (error) {
      throw fromSystemError(error, 'look at', this.file(pack));
    }
  }

  /** Appending continues in `pack` at `length`; a missing pack (0) or a full one means a new pack at the next append. */
  async continueAt(pack: number, length: number): Promise<void> {
    await this.#closeWriter();
    this.#pack = pack;
    this.#committed = { pack, length };
    this.#staged.take();
    this.#begun = [];
    this.#leftovers = false;
    if (pack === 0 || length < PACK_HEADER_BYTES || length >= LIMITS.packBytes) return;
    try {
      this.#writer = await AppendFile.open(this.file(pack), length);
    } catch (error) {
      throw fromSystemError(error, 'open', this.file(pack));
    }
  }

  /** Where the next record goes, unless it begins another pack: that is known once it is there. */
  get position(): { readonly pack: number; readonly length: number } {
    if (!this.#writer) return this.#committed;
    return { pack: this.#pack, length: this.#writer.length + this.#staged.bytes };
  }

  /** Whether anything was appended since the last commit. */
  get appended(): boolean {
    return this.#appending;
  }

  /** Stages a record and says where it will stand. Written out once enough is staged. */
  async append(record: Buffer): Promise<RecordPlace> {
    if (this.#leftovers && !this.#appending) await this.rollBack();
    this.#appending = true;
    if (!this.#writer || this.#writer.length + this.#staged.bytes >= LIMITS.packBytes) await this.#openNext();
    const writer = this.#writer as AppendFile;
    const place = { pack: this.#pack, offset: writer.length + this.#staged.bytes, recordBytes: record.length };
    this.#staged.add(record);
    if (this.#staged.bytes >= LIMITS.stagedBytes) await this.#flush();
    return place;
  }

  async #flush(): Promise<void> {
    if (this.#staged.bytes === 0 || !this.#writer) return;
    const staged = this.#staged.take();
    this.#leftovers = true;
    try {
      await this.#writer.append(staged);
    } catch (error) {
      throw fromSystemError(error, 'write to', this.file(this.#pack));
    }
  }

  async #openNext(): Promise<void> {
    await this.sync();
    await this.#closeWriter();
    const known = await this.commits();
    const next = Math.max(this.#pack, this.#floor, known[known.length - 1] ?? 0) + 1;
    const file = this.file(next);
    this.#leftovers = true;
    this.#begun.push(next);
    try {
      const writer = await AppendFile.create(file);
      this.#writer = writer;
      this.#pack = next;
      await writer.append([this.header(next)]);
      await fsyncDirectory(this.#directory);
    } catch (error) {
      throw fromSystemError(error, 'create', file);
    }
  }

  /** Everything appended so far is durable once this resolves. */
  async sync(): Promise<void> {
    await this.#flush();
    if (!this.#writer) return;
    try {
      await this.#writer.sync();
    } catch (error) {
      throw fromSystemError(error, 'sync', this.file(this.#pack));
    }
  }

  /** The current position is named by a checkpoint now. */
  markCommitted(): void {
    this.#committed = this.position;
    this.#begun = [];
    this.#leftovers = false;
    this.#appending = false;
  }

  /**
   * Cuts the packs back to the last committed position. When that fails it is tried again before the next append:
   * a whole checkpoint that nobody was promised must not stand in front of the next one.
   */
  async rollBack(): Promise<void> {
    this.#staged.take();
    this.#appending = false;
    if (!this.#leftovers) return;
    const { pack, length } = this.#committed;
    try {
      await this.#closeWriter();
      for (const own of this.#begun) {
        await this.#readers.forget(own);
        await unlinkDurable(this.file(own));
      }
      // No commit has ever ended before the first record.
      const known = pack > 0 && length >= PACK_HEADER_BYTES;
      if (known && (await this.length(pack)) > length) await truncateDurable(this.file(pack), length);
    } catch (error) {
      throw fromSystemError(error, 'cut back', this.#directory);
    }
    await this.continueAt(pack, length);
  }

  /** Removes packs without a single byte: an abandoned beginning. */
  async removeEmpty(): Promise<void> {
    for (const pack of await this.commits()) {
      if ((await this.length(pack)) > 0) continue;
      await this.#readers.forget(pack);
      await unlinkDurable(this.file(pack)).catch((error: unknown) => {
        throw fromSystemError(error, 'remove', this.file(pack));
      });
    }
  }

  /** Removes packs that nothing names any more. */
  async remove(packs: readonly number[]): Promise<void> {
    for (const pack of packs) {
      await this.#readers.forget(pack);
      await unlinkDurable(this.file(pack)).catch((error: unknown) => {
        throw fromSystemError(error, 'remove', this.file(pack));
      });
    }
  }

  /** Closes a pack that is about to be moved away. */
  forget(pack: number): Promise<void> {
    return this.#readers.forget(pack);
  }

  /**
   * What is wrong with a pack's header, or null. Throws DK_CORRUPT_PACK for a pack that is another's, and DK_IO for a header
   * that the disk does not give, unless it is looked at `loosely`.
   */
  headerDamage(pack: number, loosely = false): Promise<DiffKeeperError | null> {
    return this.#readers.headerDamage(pack, loosely);
  }

  /** Bytes of a pack, fewer than asked when the pack ends before; in `into` when there is one, of at least `bytes`. */
  read(pack: number, offset: number, bytes: number, into?: Buffer): Promise<Buffer> {
    return this.#readers.read(pack, { offset, bytes }, into);
  }

  /** Many pieces of a pack in one crossing: see `Engine.readRuns`. */
  readRuns(pack: number, runs: Float64Array, into: Buffer): Promise<Float64Array> {
    return this.#readers.readRuns(pack, runs, into);
  }

  /** See `Engine.readChain`. */
  readChain(pack: number, place: ChainPlace, algo: HashAlgo): Promise<Buffer | null> {
    return this.#readers.readChain(pack, place, algo);
  }

  /** See `Engine.readSlices`; without a room, `Engine.prefetchSlices`. @param packs few, null for those left out */
  readSlices(
    packs: readonly (number | null)[],
    what: { readonly slices: FileSlices; readonly range: SliceRange; readonly into?: Buffer },
  ): Promise<Uint32Array> {
    return this.#readers.readSlices(packs, what);
  }

  /** Asks the system to fetch pieces of a pack that will be read soon. */
  prefetch(pack: number, runs: Float64Array): Promise<void> {
    return this.#readers.prefetch(pack, runs);
  }

  async #closeWriter(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    // What matters was synced before: a failing close has nothing to tell.
    await writer?.close().catch(() => {});
  }

  async close(): Promise<void> {
    await this.#closeWriter();
    await this.#readers.close();
  }
}
