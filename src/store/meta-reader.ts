/** What reading asks of the metadata: of a database of ours, or of one that another process owns. */
import { DiffKeeperError } from '../core/core.js';
import type { Checksum } from '../format/format.js';
import type { KeyRange } from './meta-keys.js';

export interface RangeOptions {
  readonly reverse?: boolean;
  /** Entries at most; -1 (default) for all. */
  readonly limit?: number;
}

/** Throws DK_CORRUPT_INDEX for a damaged value, DK_IO, and DK_STORE_CLOSED when the process that owns it has gone. */
export interface MetaReader {
  get(key: Buffer): Promise<Buffer | undefined>;
  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]>;
  /** Entries of a key range in order, a batch at a time. */
  range(range: KeyRange, options?: RangeOptions): AsyncGenerator<[Buffer, Buffer][]>;
}

const CHECK_BYTES = 4;

/** Checksums over key and value, at the end of each value: LevelDB loses and flips bits without a word. */
export class MetaSeal {
  readonly #directory: string;
  readonly #checksum: Checksum;

  /** @param directory named in errors */
  constructor(directory: string, checksum: Checksum) {
    this.#directory = directory;
    this.#checksum = checksum;
  }

  #check(key: Buffer, value: Uint8Array): number {
    return Number(BigInt.asUintN(32, this.#checksum(Buffer.concat([key, value]))));
  }

  seal(key: Buffer, value: Buffer): Buffer {
    const sealed = Buffer.allocUnsafe(value.length + CHECK_BYTES);
    sealed.set(value);
    sealed.writeUInt32LE(this.#check(key, value), value.length);
    return sealed;
  }

  /** Throws DK_CORRUPT_INDEX. */
  unseal(key: Buffer, sealed: Buffer): Buffer {
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

  /** Of several keys at once; what is not there stays undefined. */
  unsealAll(keys: readonly Buffer[], values: readonly (Buffer | undefined)[]): (Buffer | undefined)[] {
    return values.map((value, index) => (value === undefined ? undefined : this.unseal(keys[index] as Buffer, value)));
  }
}
