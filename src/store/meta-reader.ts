/** What reading asks of the metadata: of a database of ours, or of one that another process owns. */
import { DiffKeeperError } from '../core/core.js';
import type { Checksum } from '../format/format.js';
import type { IndexCipher } from './index-cipher.js';
import type { KeyRange } from './meta-keys.js';
import { sortedEntries } from './sorted-entries.js';

export interface RangeOptions {
  readonly reverse?: boolean;
  /** Entries at most; -1 (default) for all. */
  readonly limit?: number;
}

/** Throws DK_CORRUPT_INDEX for a damaged value, DK_IO, and DK_STORE_CLOSED when the process that owns it has gone. */
export interface MetaReader {
  /** Whether any part of a range costs as much as it holds: the keys of an encrypted store stand in another order. */
  readonly isOrdered: boolean;
  get(key: Buffer): Promise<Buffer | undefined>;
  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]>;
  /** Entries of a key range in order, a batch at a time. */
  range(range: KeyRange, options?: RangeOptions): AsyncGenerator<[Buffer, Buffer][]>;
}

const CHECK_BYTES = 4;

/** Most values of the metadata have less. */
const JOINED_BYTES = 1024;

type Entry = [Buffer, Buffer];

/**
 * How keys and values stand in the database. Checksums over key and value, at the end of each value: LevelDB loses and
 * flips bits without a word. In an encrypted store a cipher takes their place.
 */
export class MetaSeal {
  readonly #directory: string;
  readonly #checksum: Checksum;
  #cipher: IndexCipher | null = null;
  /** Where key and value stand side by side for their checksum: a list of thousands of blobs has as many of them. */
  readonly #joined = Buffer.allocUnsafeSlow(JOINED_BYTES);

  /** @param directory named in errors */
  constructor(directory: string, checksum: Checksum) {
    this.#directory = directory;
    this.#checksum = checksum;
  }

  /** From now on, for a database in which everything was written with it. */
  useCipher(cipher: IndexCipher): void {
    this.#cipher = cipher;
  }

  get isOrdered(): boolean {
    return this.#cipher === null;
  }

  /** The key as it stands in the database. */
  stored(key: Buffer): Buffer {
    return this.#cipher?.key(key) ?? key;
  }

  #check(key: Buffer, value: Uint8Array): number {
    const bytes = key.length + value.length;
    if (bytes > JOINED_BYTES) return low32(this.#checksum(Buffer.concat([key, value])));
    this.#joined.set(key);
    this.#joined.set(value, key.length);
    return low32(this.#checksum(this.#joined.subarray(0, bytes)));
  }

  /** @param stored as `stored` gave it */
  seal(key: Buffer, value: Buffer, stored: Buffer): Buffer {
    if (this.#cipher) return this.#cipher.seal(stored, key, value);
    const sealed = Buffer.allocUnsafe(value.length + CHECK_BYTES);
    sealed.set(value);
    sealed.writeUInt32LE(this.#check(key, value), value.length);
    return sealed;
  }

  /** Key and value as they were put. Throws DK_CORRUPT_INDEX. */
  #entry(stored: Buffer, sealed: Buffer): Entry {
    if (!this.#cipher) return [stored, this.#unseal(stored, sealed)];
    const entry = this.#cipher.open(stored, sealed);
    if (!entry) throw this.#damaged(stored);
    return entry;
  }

  #damaged(key: Buffer): DiffKeeperError {
    const letter = key.toString('latin1', 0, 1);
    const message = `metadata value of ${letter}-key is damaged: run \`diffkeeper repair\``;
    return new DiffKeeperError('DK_CORRUPT_INDEX', message, { path: this.#directory });
  }

  #unseal(key: Buffer, sealed: Buffer): Buffer {
    const end = sealed.length - CHECK_BYTES;
    const value = sealed.subarray(0, Math.max(0, end));
    if (end < 0 || sealed.readUInt32LE(end) !== this.#check(key, value)) throw this.#damaged(key);
    return value;
  }

  /** Values of several keys at once; `read` is given the keys as they stand there. What is not there stays undefined. */
  async values(
    keys: readonly Buffer[],
    read: (stored: readonly Buffer[]) => Promise<readonly (Buffer | undefined)[]>,
  ): Promise<(Buffer | undefined)[]> {
    if (keys.length === 0) return [];
    if (!this.#cipher) {
      const found = await read(keys);
      return found.map((sealed, index) => (sealed ? this.#unseal(keys[index] as Buffer, sealed) : undefined));
    }
    const stored = keys.map((key) => this.stored(key));
    const found = await read(stored);
    return found.map((sealed, index) => {
      if (sealed === undefined) return undefined;
      const [key, value] = this.#entry(stored[index] as Buffer, sealed);
      if (!key.equals(keys[index] as Buffer)) throw this.#damaged(key);
      return value;
    });
  }

  /** Entries of a range in order; `read` gives them as they stand there. */
  range(
    range: KeyRange,
    options: RangeOptions,
    read: (range: KeyRange, options: RangeOptions) => AsyncIterable<readonly Entry[]>,
  ): AsyncGenerator<Entry[]> {
    const cipher = this.#cipher;
    if (!cipher) return this.opened(read(range, options));
    const stored = cipher.range(range);
    if (cipher.keepsKeys(range)) return this.opened(read(stored, options));
    // Others may stand in between, so that a limit counts what is asked for only.
    const { reverse = false, limit = -1 } = options;
    if (cipher.keepsOrder(range) && limit < 0) return this.#within(range, read(stored, { reverse }));
    return sortedEntries(this.#within(range, read(stored, {})), options);
  }

  /** Only what the range asks for: tokens are any bytes, so that others may stand between them in the database. */
  async *#within({ gte, lt }: KeyRange, source: AsyncIterable<readonly Entry[]>): AsyncGenerator<Entry[]> {
    for await (const entries of this.opened(source)) {
      const asked = entries.filter(([key]) => key.compare(gte) >= 0 && key.compare(lt) < 0);
      if (asked.length > 0) yield asked;
    }
  }

  /** Keys and values as they were put, in the order in which they stand there. */
  async *opened(source: AsyncIterable<readonly Entry[]>): AsyncGenerator<Entry[]> {
    for await (const entries of source) yield entries.map(([stored, sealed]) => this.#entry(stored, sealed));
  }
}

function low32(checksum: bigint): number {
  return Number(BigInt.asUintN(32, checksum));
}
