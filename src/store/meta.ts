/**
 * Metadata in LevelDB: the only importer of classic-level. LevelDB can lose keys
 * without an error, so every value ends with a checksum over key and value, and
 * everything here can be rebuilt from the packs.
 */
import { ClassicLevel } from 'classic-level';
import { DiffKeeperError, fromSystemError, fsyncDirectory, isDiffKeeperError, renameDurable } from '../core/core.js';
import type { Checksum } from '../format/format.js';
import { metaError } from './meta-errors.js';
import type { KeyRange } from './meta-keys.js';
import { MetaTables } from './meta-tables.js';

export interface MetaChange {
  readonly key: Buffer;
  /** Null deletes. */
  readonly value: Buffer | null;
}

type Level = ClassicLevel<Buffer, Buffer>;
type Batch = ReturnType<Level['batch']>;

/** About 2 MiB. A commit with more changes takes several batches. */
export const CHANGES_PER_BATCH = 16_384;
const CHECK_BYTES = 4;

export class Meta {
  readonly #directory: string;
  readonly #checksum: Checksum;
  readonly #tables: MetaTables;
  #level: Level;

  private constructor(directory: string, parts: { checksum: Checksum; tables: MetaTables; level: Level }) {
    this.#directory = directory;
    this.#checksum = parts.checksum;
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
      await Meta.#assertUnlocked(directory);
      throw new DiffKeeperError('DK_CORRUPT_INDEX', `table ${damaged} of the metadata is damaged`, { path: directory });
    }
    return new Meta(directory, { checksum, tables, level: await Meta.#openLevel(directory, { create }) });
  }

  /** Throws DK_STORE_LOCKED when another process owns the database; looks at nothing else of it. */
  static async #assertUnlocked(directory: string): Promise<void> {
    try {
      // The lock is taken first, then this fails because the database exists.
      const level = await Meta.#openLevel(directory, { create: true, fail: true });
      await level.close();
    } catch (error) {
      if (isDiffKeeperError(error, 'DK_STORE_LOCKED')) throw error;
    }
  }

  static async #openLevel(directory: string, how: { create: boolean; fail?: boolean }): Promise<Level> {
    const level: Level = new ClassicLevel<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      createIfMissing: how.create,
      errorIfExists: how.fail ?? false,
      writeBufferSize: 4 << 20,
      cacheSize: 8 << 20,
    });
    try {
      await level.open();
    } catch (error) {
      throw metaError(error, 'open', directory);
    }
    try {
      // LevelDB renames CURRENT and never syncs the directory after it: should the old one come back after a crash, it
      // would begin with old tables and go on with new logs, and what is between them would be missing without a word.
      await fsyncDirectory(directory);
    } catch (error) {
      await level.close().catch(() => {});
      throw fromSystemError(error, 'sync', directory);
    }
    return level;
  }

  /** Closes and opens again: after a failed write nothing is known about what LevelDB kept. */
  async reopen(): Promise<void> {
    await this.#level.close().catch(() => {});
    this.#level = await Meta.#openLevel(this.#directory, { create: false });
  }

  /**
   * Puts the database aside and begins an empty one: a damaged one cannot even be cleared, because its blocks would be
   * read again and again.
   */
  async replace(aside: string): Promise<void> {
    await this.#level.close().catch(() => {});
    try {
      await this.#tables.forget();
      await renameDurable(this.#directory, aside);
    } catch (error) {
      this.#level = await Meta.#openLevel(this.#directory, { create: false });
      throw fromSystemError(error, 'put aside', this.#directory);
    }
    this.#level = await Meta.#openLevel(this.#directory, { create: true });
  }

  async close(): Promise<void> {
    await this.#level.close();
    // Without the note nothing is compared at the next opening: no reason to fail.
    await this.#tables.note().catch(() => {});
  }

  readonly #readFailed = (error: unknown): never => {
    throw metaError(error, 'read', this.#directory);
  };

  #check(key: Buffer, value: Uint8Array): number {
    return Number(BigInt.asUintN(32, this.#checksum(Buffer.concat([key, value]))));
  }

  #seal(key: Buffer, value: Buffer): Buffer {
    const sealed = Buffer.allocUnsafe(value.length + CHECK_BYTES);
    sealed.set(value);
    sealed.writeUInt32LE(this.#check(key, value), value.length);
    return sealed;
  }

  #unseal(key: Buffer, sealed: Buffer): Buffer {
    const end = sealed.length - CHECK_BYTES;
    const value = sealed.subarray(0, Math.max(0, end));
    if (end < 0 || sealed.readUInt32LE(end) !== this.#check(key, value)) {
      throw new DiffKeeperError(
        'DK_CORRUPT_INDEX',
        `metadata value of ${key.subarray(0, 1).toString()}-key is damaged: run \`diffkeeper repair\``,
        { path: this.#directory },
      );
    }
    return value;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    const sealed = (await this.#level.get(key).catch(this.#readFailed)) as Buffer | undefined;
    return sealed === undefined ? undefined : this.#unseal(key, sealed);
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    if (keys.length === 0) return [];
    const values = (await this.#level.getMany([...keys]).catch(this.#readFailed)) as (Buffer | undefined)[];
    return values.map((value, index) => (value === undefined ? undefined : this.#unseal(keys[index] as Buffer, value)));
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
      if (value === null) batch.del(key);
      else batch.put(key, this.#seal(key, value));
    }
    return { batch, more: true };
  }

  /** Entries of a key range in order, a batch at a time. */
  async *range(
    range: KeyRange,
    options: { readonly reverse?: boolean; readonly limit?: number } = {},
  ): AsyncGenerator<[Buffer, Buffer][]> {
    const iterator = this.#level.iterator({ ...range, reverse: options.reverse ?? false, limit: options.limit ?? -1 });
    try {
      for (;;) {
        const entries = (await iterator.nextv(1000).catch(this.#readFailed)) as [Buffer, Buffer][];
        if (entries.length === 0) return;
        yield entries.map(([key, value]) => [key, this.#unseal(key, value)]);
      }
    } finally {
      await iterator.close();
    }
  }

  /** Keys of a range, whatever state their values are in. */
  async *rangeKeys(range: KeyRange, options: { readonly reverse?: boolean } = {}): AsyncGenerator<Buffer[]> {
    const iterator = this.#level.keys({ ...range, reverse: options.reverse ?? false });
    try {
      for (;;) {
        const keys = (await iterator.nextv(1000).catch(this.#readFailed)) as Buffer[];
        if (keys.length === 0) return;
        yield keys;
      }
    } finally {
      await iterator.close();
    }
  }
}
