/** Gives the records of a group of a dense pack back, each when somebody asks for it. See `dense-records.ts`. */
import { LIMITS } from '../core/core.js';
import { ByteReader } from './bytes.js';
import { CLASS_ROWS, DIGEST_BYTES, FORM, isRow, rowClass } from './dense-records.js';
import {
  type Checksum,
  encodeRecord,
  RECORD_BYTES_MAX,
  RECORD_CHECK_BYTES,
  RECORD_HEAD_BYTES,
  RECORD_MIN_BYTES,
} from './record.js';
import { type Digest, RECORD, type RecordKind } from './types.js';

/** Codec of bytes that are stored as they are. */
const RAW = 0;
const NONE = Buffer.alloc(0);

export interface UnfoldFacts {
  readonly records: number;
  /** Bytes of the plain records. */
  readonly bytes: number;
  /** Digest of bytes, with the store's algorithm. */
  readonly digestOf: (bytes: Uint8Array) => Digest;
  readonly checksum: Checksum;
}

/** Rows of one kind and length. */
interface RowClass {
  readonly bytes: number;
  count: number;
  /** Where its columns begin in the folded bytes. */
  at: number;
  /** The bodies one after the other; null until somebody needs one. */
  bodies: Buffer | null;
}

export class UnfoldedGroup {
  readonly #facts: UnfoldFacts;
  readonly #folded: Buffer;
  readonly #kinds: Uint8Array;
  readonly #forms: Uint8Array;
  readonly #bodyBytes: Uint32Array;
  /** Where the body begins in the folded bytes; of a row, its class and how many of that stand before it. */
  readonly #bodyAt: Uint32Array;
  /** In the order in which they begin. */
  readonly #classes: RowClass[] = [];
  /** First cut of each record, and one more. */
  readonly #firstCut: Uint32Array;
  /** Skip and back of each cut. */
  readonly #cuts: number[] = [];
  /** First byte of each plain record, and their end. */
  readonly #starts: Uint32Array;
  readonly #digests: (Digest | undefined)[];

  /** Throws DK_CORRUPT_PACK. */
  constructor(folded: Buffer, facts: UnfoldFacts) {
    const { records } = facts;
    this.#facts = facts;
    this.#folded = folded;
    this.#kinds = new Uint8Array(records);
    this.#forms = new Uint8Array(records);
    this.#bodyBytes = new Uint32Array(records);
    this.#bodyAt = new Uint32Array(records);
    this.#firstCut = new Uint32Array(records + 1);
    this.#starts = new Uint32Array(records + 1);
    this.#digests = new Array<Digest | undefined>(records);
    const reader = new ByteReader(folded, 'DK_CORRUPT_PACK', 'group of a dense pack');
    const tableBytes = reader.varint(folded.length);
    if (tableBytes > reader.left) reader.fail(`a table of ${tableBytes} bytes`);
    const tableEnd = reader.offset + tableBytes;
    this.#readTable(folded.subarray(reader.offset, tableEnd));
    const end = this.#placeBodies(tableEnd);
    if (end !== folded.length) reader.fail(`rows and bodies up to byte ${end}, expected ${folded.length}`);
  }

  /** One short loop for all numbers and one for what they say: these are often the first groups that a process reads. */
  #readTable(table: Buffer): void {
    const { records, bytes } = this.#facts;
    const reader = new ByteReader(table, 'DK_CORRUPT_PACK', 'table of a group');
    let count = 0;
    for (let at = 0; at < table.length; at += 1) if ((table[at] as number) < 128) count += 1;
    const numbers = new Float64Array(count);
    reader.varints(numbers, 0xffffffff);
    reader.expectEnd();
    const { length } = this.#folded;
    let at = 0;
    let start = 0;
    for (let record = 0; record < records; record += 1) {
      if (at + 3 > count) reader.fail(`${record} of ${records} records`);
      const first = numbers[at] as number;
      const kind = first & 15;
      const form = first >>> 4;
      if (kind < RECORD.blob || kind > RECORD.prune || form > FORM.whole) reader.fail(`unknown record ${first}`);
      const bodyBytes = numbers[at + 1] as number;
      const cuts = numbers[at + 2] as number;
      at += 3;
      const matter = bodyBytes + cuts * DIGEST_BYTES;
      if (bodyBytes > length || matter > RECORD_BYTES_MAX || at + 2 * cuts > count) {
        reader.fail(`a body of ${bodyBytes} bytes with ${cuts} cuts`);
      }
      let left = bodyBytes;
      for (const end = at + 2 * cuts; at < end; at += 2) {
        const skip = numbers[at] as number;
        const back = numbers[at + 1] as number;
        left -= skip;
        if (left < 0 || back < 1 || back > record)
          reader.fail(`a cut after ${skip} bytes for the record ${back} before`);
        this.#cuts.push(skip, back);
      }
      if (form === FORM.whole ? matter < RECORD_HEAD_BYTES : matter > LIMITS.payloadBytes) {
        reader.fail(`a record of ${matter} bytes`);
      }
      const recordBytes = matter + (form === FORM.plain ? RECORD_MIN_BYTES : RECORD_CHECK_BYTES);
      start += recordBytes;
      if (recordBytes > RECORD_BYTES_MAX || start > bytes) reader.fail(`a record of ${recordBytes} bytes`);
      this.#kinds[record] = kind;
      this.#forms[record] = form;
      this.#bodyBytes[record] = bodyBytes;
      this.#firstCut[record + 1] = this.#cuts.length / 2;
      this.#starts[record + 1] = start;
    }
    if (at !== count) reader.fail(`${count - at} numbers more than records`);
    if (start !== bytes) reader.fail(`records of ${start} bytes, expected ${bytes}`);
  }

  #isRow(record: number): boolean {
    return isRow(this.#forms[record] as number, this.#kinds[record] as number, this.#bodyBytes[record] as number);
  }

  /** Where each body stands. @param first where the rows begin @returns where the bodies end */
  #placeBodies(first: number): number {
    const open = new Map<number, number>();
    for (let record = 0; record < this.#facts.records; record += 1) {
      const bytes = this.#bodyBytes[record] as number;
      if (!this.#isRow(record)) continue;
      const key = rowClass(this.#kinds[record] as number, bytes);
      let index = open.get(key) ?? this.#classes.length;
      if (this.#classes[index]?.count === CLASS_ROWS) index = this.#classes.length;
      open.set(key, index);
      const own = this.#classes[index] ?? { bytes, count: 0, at: 0, bodies: null };
      this.#classes[index] = own;
      this.#bodyAt[record] = index * CLASS_ROWS + own.count;
      own.count += 1;
    }
    let end = first;
    for (const one of this.#classes) {
      one.at = end;
      end += one.count * one.bytes;
    }
    for (let record = 0; record < this.#facts.records; record += 1) {
      if (this.#isRow(record)) continue;
      this.#bodyAt[record] = end;
      end += this.#bodyBytes[record] as number;
    }
    return end;
  }

  #body(record: number): Buffer {
    const bytes = this.#bodyBytes[record] as number;
    const at = this.#bodyAt[record] as number;
    if (!this.#isRow(record)) return this.#folded.subarray(at, at + bytes);
    const own = this.#classes[Math.floor(at / CLASS_ROWS)] as RowClass;
    own.bodies ??= fromColumns(this.#folded, own);
    const first = (at % CLASS_ROWS) * bytes;
    return own.bodies.subarray(first, first + bytes);
  }

  /** The matter of a record; the digests that were cut out of it must be known. */
  #matter(record: number): Buffer {
    const body = this.#body(record);
    const first = this.#firstCut[record] as number;
    const end = this.#firstCut[record + 1] as number;
    if (first === end) return body;
    const matter = Buffer.allocUnsafe(body.length + (end - first) * DIGEST_BYTES);
    let taken = 0;
    let at = 0;
    for (let cut = first; cut < end; cut += 1) {
      const skip = this.#cuts[2 * cut] as number;
      body.copy(matter, at, taken, taken + skip);
      taken += skip;
      at += skip;
      matter.set(this.#digests[this.#named(record, cut)] as Digest, at);
      at += DIGEST_BYTES;
    }
    body.copy(matter, at, taken);
    return matter;
  }

  /** Makes the digest of a record known, and all that it follows from: checkpoints name one another, so there may be many. */
  #learn(record: number): void {
    const waiting = [record];
    // Which of its cuts each of these is at: each is looked at once.
    const cuts = [this.#firstCut[record] as number];
    while (waiting.length > 0) {
      const top = waiting[waiting.length - 1] as number;
      const end = this.#firstCut[top + 1] as number;
      let cut = cuts[cuts.length - 1] as number;
      while (cut < end && this.#digests[this.#named(top, cut)] !== undefined) cut += 1;
      cuts[cuts.length - 1] = cut;
      if (cut < end) {
        const named = this.#named(top, cut);
        waiting.push(named);
        cuts.push(this.#firstCut[named] as number);
        continue;
      }
      const matter = this.#matter(top);
      this.#digests[top] =
        this.#forms[top] === FORM.plain
          ? this.#facts.digestOf(matter)
          : Buffer.from(matter.subarray(RECORD_HEAD_BYTES - DIGEST_BYTES, RECORD_HEAD_BYTES));
      waiting.pop();
      cuts.pop();
    }
  }

  /** The record whose digest was cut out there. */
  #named(record: number, cut: number): number {
    return record - (this.#cuts[2 * cut + 1] as number);
  }

  #record(record: number): Buffer {
    if (this.#digests[record] === undefined) this.#learn(record);
    const matter = this.#matter(record);
    if (this.#forms[record] === FORM.whole) {
      const bytes = Buffer.allocUnsafe(matter.length + RECORD_CHECK_BYTES);
      bytes.set(matter);
      bytes.writeBigUInt64LE(this.#facts.checksum(matter), matter.length);
      return bytes;
    }
    const kind = this.#kinds[record] as RecordKind;
    const digest = this.#digests[record] as Digest;
    const facts = { kind, codec: RAW, depth: 0, digest, decodedBytes: matter.length, contextList: NONE };
    return encodeRecord({ ...facts, payload: matter }, this.#facts.checksum);
  }

  /** Copies bytes of the plain records, from the one at `from` on, until `into` is full or they end. */
  copy(from: number, into: Buffer): void {
    const end = Math.min(this.#facts.bytes, from + into.length);
    for (let record = this.#find(from); record < this.#facts.records; record += 1) {
      const start = this.#starts[record] as number;
      if (start >= end) return;
      const bytes = this.#record(record);
      bytes.copy(into, Math.max(0, start - from), Math.max(0, from - start), end - start);
    }
  }

  /** The record that a byte is of. */
  #find(at: number): number {
    let low = 0;
    let high = this.#facts.records;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#starts[middle + 1] as number) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function fromColumns(folded: Buffer, { bytes, count, at }: RowClass): Buffer {
  const bodies = Buffer.allocUnsafe(bytes * count);
  let from = at;
  for (let column = 0; column < bytes; column += 1) {
    let byte = 0;
    for (let to = column; to < bodies.length; to += bytes) {
      byte = (byte + (folded[from] as number)) & 255;
      bodies[to] = byte;
      from += 1;
    }
  }
  return bodies;
}
