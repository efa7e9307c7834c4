/**
 * Metadata in LevelDB: the only importer of classic-level. LevelDB can lose keys
 * without an error, so every value ends with a checksum over key and value, and
 * everything here can be rebuilt from the packs.
 */
import { ClassicLevel } from 'classic-level';
import { DiffKeeperError, systemCode } from '../core/core.js';
import type { Checksum } from '../format/format.js';
import type { KeyRange } from './meta-keys.js';

export interface MetaChange {
  readonly key: Buffer;
  /** Null deletes. */
  readonly value: Buffer | null;
}

type Level = ClassicLevel<Buffer, Buffer>;
const CHECK_BYTES = 4;

export class Meta {
  readonly #directory: string;
  readonly #checksum: Checksum;
  #level: Level;

  private constructor(directory: string, checksum: Checksum, level: Level) {
    this.#directory = directory;
    this.#checksum = checksum;
    this.#level = level;
  }

  /**
   * Opens the database. Throws DK_STORE_LOCKED when another process owns it, DK_CORRUPT_INDEX when it is damaged
   * or, with `create` false, missing.
   */
  static async open(directory: string, options: { create: boolean; checksum: Checksum }): Promise<Meta> {
    return new Meta(directory, options.checksum, await Meta.#openLevel(directory, options.create));
  }

  static async #openLevel(directory: string, create: boolean): Promise<Level> {
    const level: Level = new ClassicLevel<Buffer, Buffer>(directory, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      createIfMissing: create,
      writeBufferSize: 4 << 20,
      cacheSize: 8 << 20,
    });
    try {
      await level.open();
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      if (systemCode(cause) === 'LEVEL_LOCKED') {
        throw new DiffKeeperError('DK_STORE_LOCKED', `another process uses ${directory}`, { path: directory }, error);
      }
      const reason = cause instanceof Error ? cause.message : String(error);
      throw new DiffKeeperError('DK_CORRUPT_INDEX', `cannot open the metadata: ${reason}`, { path: directory }, error);
    }
    return level;
  }

  /** Closes and opens again: after a failed write nothing is known about what LevelDB kept. */
  async reopen(): Promise<void> {
    await this.#level.close().catch(() => {});
    this.#level = await Meta.#openLevel(this.#directory, false);
  }

  async close(): Promise<void> {
    await this.#level.close();
  }

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
    const sealed = (await this.#level.get(key)) as Buffer | undefined;
    return sealed === undefined ? undefined : this.#unseal(key, sealed);
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    if (keys.length === 0) return [];
    const values = (await this.#level.getMany([...keys])) as (Buffer | undefined)[];
    return values.map((value, index) => (value === undefined ? undefined : this.#unseal(keys[index] as Buffer, value)));
  }

  /** Applies all changes at once; with `durable` it resolves when they are on disk. */
  async write(changes: readonly MetaChange[], durable: boolean): Promise<void> {
    const batch = this.#level.batch();
    for (const { key, value } of changes) {
      if (value === null) batch.del(key);
      else batch.put(key, this.#seal(key, value));
    }
    await batch.write({ sync: durable });
  }

  /** Entries of a key range in order, a batch at a time. */
  async *range(
    range: KeyRange,
    options: { readonly reverse?: boolean; readonly limit?: number } = {},
  ): AsyncGenerator<[Buffer, Buffer][]> {
    const iterator = this.#level.iterator({ ...range, reverse: options.reverse ?? false, limit: options.limit ?? -1 });
    try {
      for (;;) {
        const entries = (await iterator.nextv(1000)) as [Buffer, Buffer][];
        if (entries.length === 0) return;
        yield entries.map(([key, value]) => [key, this.#unseal(key, value)]);
      }
    } finally {
      await iterator.close();
    }
  }

  /** Keys of a range, whatever state their values are in. */
  async *rangeKeys(range: KeyRange): AsyncGenerator<Buffer[]> {
    const iterator = this.#level.keys({ ...range });
    try {
      for (;;) {
        const keys = (await iterator.nextv(1000)) as Buffer[];
        if (keys.length === 0) return;
        yield keys;
      }
    } finally {
      await iterator.close();
    }
  }
}
