/** Reads of neighbouring records through one window: one system call for many of them. */
import { type DecodedRecord, decodeRecordHead, RECORD_HEAD_BYTES } from '../format/format.js';
import type { Packs } from './packs.js';

const WINDOW_BYTES = 256 << 10;

export class PackWindow {
  readonly #packs: Packs;
  #pack = -1;
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(packs: Packs) {
    this.#packs = packs;
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
    const { records } = this.#packs;
    const recordBytes = records.length(await this.bytes(pack, offset, records.headBytes), offset);
    const bytes = await this.bytes(pack, offset, recordBytes);
    return { record: records.decode(bytes, offset), bytes };
  }

  /** The digest in a record's head and its context list; unless it is sealed, no more than these is read and checked. */
  async contextList(pack: number, offset: number): Promise<{ readonly digest: Buffer; readonly list: Buffer }> {
    if (this.#packs.records.sealed) {
      const { record } = await this.record(pack, offset);
      return { digest: record.head.digest, list: record.contextList };
    }
    const { contextListBytes, digest } = decodeRecordHead(await this.bytes(pack, offset, RECORD_HEAD_BYTES), offset);
    const bytes = await this.bytes(pack, offset, RECORD_HEAD_BYTES + contextListBytes);
    return { digest, list: bytes.subarray(RECORD_HEAD_BYTES) };
  }
}
