/**
 * Pack files on disk: one open for appending, the others read-only. Appended
 * records become readable once flushed and durable once synced.
 */
import { AppendFile, fromSystemError, fsyncDirectory, LIMITS, truncateDurable, unlinkDurable } from '../core/core.js';
import { encodePackHeader, type GroupHome, PACK_HEADER_BYTES } from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import type { PackFacts } from './pack-facts.js';
import { PackReading } from './pack-reading.js';
import { StagedRecords } from './staged-records.js';

export class Packs extends PackReading {
  readonly #directory: string;
  readonly #facts: PackFacts;
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

  constructor(directory: string, facts: PackFacts) {
    super(directory, facts);
    this.#directory = directory;
    this.#facts = facts;
  }

  /** What a pack begins with. */
  header(pack: number, version?: number): Buffer {
    return encodePackHeader(pack, this.#facts.storeId, this.#facts.checksum, version);
  }

  /** What groups of a dense pack are bound to. */
  home(pack: number): GroupHome {
    const { storeId, checksum } = this.#facts;
    return { storeId, checksum, pack };
  }

  /** Numbers up to this one were used before and must not come again. */
  reserve(pack: number): void {
    this.#floor = Math.max(this.#floor, pack);
  }

  /** Appending continues in `pack` at `length`; a missing pack (0) or a full one means a new pack at the next append. */
  async continueAt(pack: number, length: number): Promise<void> {
    await this.#closeWriter();
    this.#pack = pack;
    this.#committed = { pack, length };
    this.#staged.take();
    this.#begun = [];
    this.#leftovers = false;
    this.#appending = false;
    if (pack === 0 || length < PACK_HEADER_BYTES || length >= LIMITS.packBytes || (await this.isDense(pack))) return;
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
    if (this.#staged.bytes >= LIMITS.stagedBytes) await this.flush();
    return place;
  }

  /** Everything appended so far can be read once this resolves, by whoever knows where it stands. */
  async flush(): Promise<void> {
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
    await this.flush();
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
        await this.readers.forget(own);
        await unlinkDurable(this.file(own));
      }
      // No commit has ever ended before the first record; what is in a dense pack was committed, all of it.
      const known = pack > 0 && length >= PACK_HEADER_BYTES && !(await this.isDense(pack));
      if (known && (await this.fileBytes(pack)) > length) await truncateDurable(this.file(pack), length);
    } catch (error) {
      throw fromSystemError(error, 'cut back', this.#directory);
    }
    await this.continueAt(pack, length);
  }

  /** Removes packs without a single byte: an abandoned beginning. */
  async removeEmpty(): Promise<void> {
    for (const pack of await this.commits()) if ((await this.fileBytes(pack)) === 0) await this.remove([pack]);
  }

  /** Removes packs that nothing names any more. */
  async remove(packs: readonly number[]): Promise<void> {
    for (const pack of packs) {
      await this.readers.forget(pack);
      await unlinkDurable(this.file(pack)).catch((error: unknown) => {
        throw fromSystemError(error, 'remove', this.file(pack));
      });
    }
  }

  /**
   * Commits go on behind this pack: nothing is appended to it any more, and nothing that no commit names is left in it. Only
   * between transactions.
   */
  async leave(pack: number): Promise<void> {
    await this.rollBack();
    if (this.#pack > pack) return;
    await this.#openNext();
    this.markCommitted();
  }

  /** A closed pack has been written anew: what was known of it does not count any more. Only between transactions. */
  async replaced(pack: number): Promise<void> {
    await this.forget(pack);
    if (pack === this.#committed.pack) this.#committed = { pack, length: await this.length(pack) };
  }

  async #closeWriter(): Promise<void> {
    const writer = this.#writer;
    this.#writer = null;
    // What matters was synced before: a failing close has nothing to tell.
    await writer?.close().catch(() => {});
  }

  async close(): Promise<void> {
    await this.#closeWriter();
    await this.readers.close();
  }
}
