/**
 * Metadata in LevelDB. It can lose keys without an error, so every value ends with a checksum over key and value, and
 * everything here can be rebuilt from the packs.
 */
import { rm } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, renameDurable } from '../core/core.js';
import type { Checksum } from '../format/format.js';
import type { IndexCipher } from './index-cipher.js';
import { MetaCiphers } from './meta-ciphers.js';
import { metaError } from './meta-errors.js';
import { EVERYTHING, type KeyRange } from './meta-keys.js';
import { assertUnlocked, type Level, openLevel } from './meta-level.js';
import { type MetaReader, MetaSeal, type RangeOptions } from './meta-reader.js';
import { MetaTables } from './meta-tables.js';
import { MetaView } from './meta-view.js';
import { attempt, walkBatches } from './meta-walk.js';
import type { StoreLock } from './store-lock.js';

export interface MetaChange {
  readonly key: Buffer;
  /** Null deletes. */
  readonly value: Buffer | null;
}

type Batch = ReturnType<Level['batch']>;

/** About 2 MiB: a commit with more changes takes several. */
export const CHANGES_PER_BATCH = 16_384;

/** So few keys are looked up on this thread. */
const FEW_KEYS = 8;
/** After so many keys a lookup goes to another thread: a loop of them must let others have their turn. */
const KEYS_HERE = 64;

export class Meta implements MetaReader {
  readonly #directory: string;
  readonly #checksum: Checksum;
  readonly #seal: MetaSeal;
  readonly #ciphers: MetaCiphers;
  /** Null for a database that was put aside. */
  readonly #tables: MetaTables | null;
  #level: Level;
  /** It was put aside and no new one has been begun yet. */
  #gone = false;
  #isOlder = false;
  #lock: StoreLock | null = null;
  /** Keys looked up here since the last lookup elsewhere. */
  #here = 0;

  private constructor(
    directory: string,
    parts: { checksum: Checksum; ciphers: MetaCiphers; tables: MetaTables | null; level: Level },
  ) {
    this.#directory = directory;
    this.#checksum = parts.checksum;
    this.#seal = new MetaSeal(directory, parts.checksum);
    this.#ciphers = parts.ciphers;
    this.#tables = parts.tables;
    this.#level = parts.level;
  }

  /**
   * Opens the database. Throws DK_STORE_LOCKED when another process owns it, DK_CORRUPT_INDEX when it is damaged
   * or, with `create` false, missing; DK_DISK_FULL or DK_IO when the system refuses, which says nothing about it.
   */
  static async open(
    directory: string,
    options: { readonly create: boolean; readonly checksum: Checksum; readonly tablesFile: string },
  ): Promise<Meta> {
    const { create, checksum, tablesFile } = options;
    const tables = new MetaTables(directory, tablesFile, checksum);
    const damaged = await tables.findDamage();
    if (damaged !== null) {
      await assertUnlocked(directory);
      throw new DiffKeeperError('DK_CORRUPT_INDEX', `table ${damaged} of the metadata is damaged`, { path: directory });
    }
    const level = await openLevel(directory, { create });
    return new Meta(directory, { checksum, ciphers: new MetaCiphers(), tables, level });
  }

  /** What `replace` put aside, to be read. Throws as `open`. */
  async openAside(directory: string): Promise<Meta> {
    const level = await openLevel(directory, { create: false });
    const aside = new Meta(directory, { checksum: this.#checksum, ciphers: this.#ciphers, tables: null, level });
    try {
      await aside.#findCipher();
      return aside;
    } catch (error) {
      await level.close().catch(() => {});
      throw error;
    }
  }

  /**
   * Of an encrypted store: before anything is read or written.
   *
   * @param ciphers of its master keys, the newest first: what is begun anew has that, what stands the one that opens it
   */
  useCiphers(ciphers: readonly IndexCipher[]): Promise<void> {
    this.#ciphers.use(ciphers);
    return this.#findCipher();
  }

  async #findCipher(): Promise<void> {
    const cipher = this.#gone
      ? this.#ciphers.newest
      : await this.#ciphers.of({
          get: (key) => this.#level.get(key).catch(this.#readFailed),
          first: (count) => this.#level.iterator({ limit: count }).all().catch(this.#readFailed),
        });
    this.#isOlder = cipher !== this.#ciphers.newest;
    if (cipher) this.#seal.useCipher(cipher);
  }

  /** It is sealed under an older master key than the newest. */
  get isOlder(): boolean {
    return this.#isOlder;
  }

  /** Closes and opens again: after a failed write nothing is known about what LevelDB kept. */
  async reopen(): Promise<void> {
    await this.#level.close().catch(() => {});
    this.#level = await openLevel(this.#directory, { create: this.#gone });
    await this.#findCipher();
    this.#gone = false;
  }

  /**
   * Puts the database aside and begins an empty one: a damaged one cannot even be cleared, because its blocks would be
   * read again and again.
   */
  async replace(aside: string): Promise<void> {
    await this.#level.close().catch(() => {});
    this.#gone = true;
    try {
      await this.#tables?.forget();
      await renameDurable(this.#directory, aside);
    } catch (error) {
      // It may be there or not. Why it could not be put aside is what counts.
      const found = await openLevel(this.#directory, { create: false }).catch(() => null);
      if (found) this.#level = found;
      this.#gone = found === null;
      throw fromSystemError(error, 'put aside', this.#directory);
    }
    await this.reopen();
  }

  /** Begins an empty database in the place of this one, of which nobody needs anything. Throws DK_IO. */
  async renew(): Promise<void> {
    await this.#level.close().catch(() => {});
    this.#gone = true;
    try {
      await this.#tables?.forget();
      await rm(this.#directory, { recursive: true, force: true });
    } catch (error) {
      throw fromSystemError(error, 'begin anew', this.#directory);
    }
    await this.reopen();
  }

  /**
   * Undoes `replace`: the database that was put aside is back, what was begun since is gone. Throws DK_IO, DK_CORRUPT_INDEX.
   *
   * @param half a path for what was begun since, until it is gone
   */
  async restore(aside: string, half: string): Promise<void> {
    await this.#level.close().catch(() => {});
    this.#gone = true;
    try {
      await this.#tables?.forget();
      await renameDurable(this.#directory, half);
      await renameDurable(aside, this.#directory);
    } catch (error) {
      throw fromSystemError(error, 'put back', this.#directory);
    }
    this.#gone = false;
    try {
      await this.reopen();
    } finally {
      await rm(half, { recursive: true, force: true }).catch(() => {});
    }
  }

  /** Lets go of it once it is closed for good: until then nobody else may have the store. */
  keep(lock: StoreLock): void {
    this.#lock = lock;
  }

  async close(): Promise<void> {
    try {
      await this.#level.close();
      // Without the note nothing is compared at the next opening: no reason to fail.
      await this.#tables?.note().catch(() => {});
    } finally {
      await this.#lock?.release();
    }
  }

  readonly #readFailed = (error: unknown): never => {
    throw metaError(error, 'read', this.#directory);
  };

  get isOrdered(): boolean {
    return this.#seal.isOrdered;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.getMany([key]))[0];
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const level = this.#level;
    return this.#seal.values(keys, (stored) => {
      this.#here += stored.length <= FEW_KEYS ? stored.length : KEYS_HERE;
      if (this.#here < KEYS_HERE) return this.#getHere(level, stored);
      this.#here = 0;
      return level.getMany([...stored]).catch(this.#readFailed);
    });
  }

  /** On this thread: to tell another one and to hear of it takes several times as long as to look. */
  async #getHere(level: Level, stored: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    try {
      return stored.map((key) => level.getSync(key));
    } catch (error) {
      return this.#readFailed(error);
    }
  }

  /** Applies all changes at once; with `durable` it resolves when they are on disk. */
  async write(changes: Iterable<MetaChange>, durable: boolean): Promise<void> {
    try {
      const { batch } = this.#fill(changes[Symbol.iterator](), Number.MAX_SAFE_INTEGER);
      await batch.write({ sync: durable });
    } catch (error) {
      throw metaError(error, 'write', this.#directory);
    }
  }

  /**
   * Applies the changes in order, `CHANGES_PER_BATCH` at once, each batch on disk before the next: LevelDB promises
   * nothing about earlier writes when it begins another log in between.
   */
  async writeInBatches(changes: Iterable<MetaChange>): Promise<void> {
    const source = changes[Symbol.iterator]();
    try {
      for (let more = true; more; ) {
        const filled = this.#fill(source, CHANGES_PER_BATCH);
        await filled.batch.write({ sync: true });
        more = filled.more;
      }
    } catch (error) {
      throw metaError(error, 'write', this.#directory);
    }
  }

  /** Changes go to LevelDB's memory one by one: a list of them would be far larger than their bytes. */
  #fill(source: Iterator<MetaChange>, count: number): { readonly batch: Batch; readonly more: boolean } {
    const batch = this.#level.batch();
    for (let filled = 0; filled < count; filled += 1) {
      const next = source.next();
      if (next.done) return { batch, more: false };
      const { key, value } = next.value;
      const stored = this.#seal.stored(key);
      if (value === null) batch.del(stored);
      else batch.put(stored, this.#seal.seal(key, value, stored));
    }
    return { batch, more: true };
  }

  /** Entries of a key range in order, a batch at a time. */
  range(range: KeyRange, options: RangeOptions = {}): AsyncGenerator<[Buffer, Buffer][]> {
    return this.#seal.range(range, options, (stored, how) => this.#entries(stored, how));
  }

  /** All entries, in the order in which they stand there. */
  all(): AsyncGenerator<[Buffer, Buffer][]> {
    return this.#seal.opened(this.#entries(EVERYTHING, {}));
  }

  #entries(range: KeyRange, { reverse = false, limit = -1 }: RangeOptions): AsyncGenerator<[Buffer, Buffer][]> {
    const begin = () => this.#level.iterator({ ...range, reverse, limit });
    return walkBatches(begin, { first: 64, limit }, this.#readFailed) as AsyncGenerator<[Buffer, Buffer][]>;
  }

  /** Keys of a range as they stand there, whatever state their values are in. */
  rangeKeys(range: KeyRange, { reverse = false }: { readonly reverse?: boolean } = {}): AsyncGenerator<Buffer[]> {
    const begin = () => this.#level.keys({ ...range, reverse });
    return walkBatches(begin, { first: 1000, limit: -1 }, this.#readFailed) as AsyncGenerator<Buffer[]>;
  }

  /** The database as it is now, whatever is written later. Throws DK_IO when it is not open. */
  view(): MetaView {
    return attempt(() => new MetaView(this.#level, this.#readFailed), this.#readFailed);
  }
}
