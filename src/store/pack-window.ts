/** Reads of neighbouring records through one window: one system call for many of them. */
import {
  type Checksum,
  type DecodedRecord,
  decodeRecord,
  decodeRecordHead,
  RECORD_HEAD_BYTES,
} from '../format/format.js';
import type { Packs } from './packs.js';

const WINDOW_BYTES = 256 << 10;

export class PackWindow {
  readonly #packs: Packs;
  readonly #checksum: Checksum;
  #pack = -1;
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(packs: Packs, checksum: Checksum) {
    this.#packs = packs;
    this.#checksum = checksum;
  }

  /** Up to `count` bytes, valid until the next call. */
  async bytes(pack: number, offset: number, count: number): Promise<Buffer> {
    const inside = offset - this.#start;
    if (pack !== this.#pack || inside < 0 || inside + count > this.#bytes.length) {
      this.#bytes = await this.#packs.read(pack, offset, Math.max(count, WINDOW_BYTES));
      this.#pack = pack;
      this.#start = offset;
      return this.#bytes.subarray(0, count);
    }
    return this.#bytes.subarray(inside, inside + count);
  }

  /** A whole record and its bytes, valid until the next call. Throws DK_CORRUPT_PACK, DK_CORRUPT_RECORD. */
  async record(pack: number, offset: number): Promise<{ readonly record: DecodedRecord; readonly bytes: Buffer }> {
    const head = decodeRecordHead(await this.bytes(pack, offset, RECORD_HEAD_BYTES), offset);
    const bytes = await this.bytes(pack, offset, head.recordBytes);
    return { record: decodeRecord(bytes, offset, this.#checksum), bytes };
  }

  /** The digest in a record's head and its context list; the payload is not read, the checksum not checked. */
  async contextList(pack: number, offset: number): Promise<{ readonly digest: Buffer; readonly list: Buffer }> {
    const { contextListBytes, digest } = decodeRecordHead(await this.bytes(pack, offset, RECORD_HEAD_BYTES), offset);
    const bytes = await this.bytes(pack, offset, RECORD_HEAD_BYTES + contextListBytes);
    return { digest, list: bytes.subarray(RECORD_HEAD_BYTES) };
  }
}
