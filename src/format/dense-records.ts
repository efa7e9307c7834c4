/**
 * What a group of a dense pack holds, before it is compressed: records without what can be told from the rest. Of a record
 * that is stored as it is, that is its head and its checksum; of every record, digests of records before it.
 *
 *   folded := varint table bytes, table, rows, bodies
 *   table  := per record: u8 kind + 16 * form, varint body bytes, varint cuts, (varint skip, varint back) * cuts
 *
 * Form 0: the record has codec 0, no context, and the digest of its payload; its matter is the payload. Form 1: its matter
 * is the record without its checksum. Body: the matter without the digests that were cut out of it; each stood `skip`
 * bytes of the body behind the one before, and is that of the record `back` places before. Rows: short bodies of form 0
 * that tell versions and checkpoints, those of one kind and length as columns, each byte less that of the one before.
 * Bodies: all others. See docs/format.md, section 12.
 */
import { ByteWriter } from './bytes.js';
import { RECORD_CHECK_BYTES, RECORD_HEAD_BYTES, RECORD_MIN_BYTES } from './record.js';
import { RECORD, type RecordKind } from './types.js';

export const FORM = { plain: 0, whole: 1 } as const;
export const DIGEST_BYTES = 32;
/** Longer bodies are not laid out as columns. */
export const ROW_BODY_BYTES = 4096;
/** Rows that are laid out together: to read one of them, those before it are added up. */
export const CLASS_ROWS = 64;

/** Whether the body of such a record is a row. */
export function isRow(form: number, kind: number, bodyBytes: number): boolean {
  return form === FORM.plain && kind >= RECORD.versions && bodyBytes <= ROW_BODY_BYTES;
}

/** Rows of one kind and length are laid out together, up to `CLASS_ROWS` of them. */
export function rowClass(kind: number, bodyBytes: number): number {
  return kind * (ROW_BODY_BYTES + 1) + bodyBytes;
}

/** Gathers the records of one group. */
export class RecordFolder {
  readonly #table = new ByteWriter(1 << 14);
  readonly #bodies: Uint8Array[] = [];
  /** Classes of rows, in the order in which they were begun. */
  readonly #classes: Uint8Array[][] = [];
  /** The one that is not full yet, by `rowClass`. */
  readonly #open = new Map<number, Uint8Array[]>();
  /** First four bytes of a digest -> the records that have such a one. */
  readonly #digests = new Map<number, { readonly digest: Buffer; readonly record: number }[]>();
  #records = 0;
  /** Bytes of the plain records. */
  #bytes = 0;

  get records(): number {
    return this.#records;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A record that is stored as it is: its digest is that of the payload. The payload must stay as it is until `finish`. */
  addPlain(kind: RecordKind, payload: Buffer, digest: Buffer): void {
    // Content of files names no records.
    const searched = kind === RECORD.blob ? 0 : payload.length;
    this.#add({ form: FORM.plain, kind, matter: payload, searched, digest });
    this.#bytes += RECORD_MIN_BYTES + payload.length;
  }

  /** Any record. @param contextListBytes as its head has it */
  addWhole(kind: RecordKind, record: Buffer, { digest, contextListBytes }: WholeFacts): void {
    const matter = record.subarray(0, record.length - RECORD_CHECK_BYTES);
    const searched = contextListBytes > 0 ? RECORD_HEAD_BYTES + contextListBytes : 0;
    this.#add({ form: FORM.whole, kind, matter, searched, digest });
    this.#bytes += record.length;
  }

  #add({ form, kind, matter, searched, digest }: FoldedRecord): void {
    const cuts = this.#findDigests(matter.subarray(0, searched));
    const body = withoutCuts(matter, cuts);
    this.#table
      .u8(kind + 16 * form)
      .varint(body.length)
      .varint(cuts.length);
    let end = 0;
    for (const { at, record } of cuts) {
      this.#table.varint(at - end).varint(this.#records - record);
      end = at + DIGEST_BYTES;
    }
    if (isRow(form, kind, body.length)) {
      const key = rowClass(kind, body.length);
      const rows = this.#open.get(key) ?? [];
      if (rows.length === 0) {
        this.#open.set(key, rows);
        this.#classes.push(rows);
      }
      rows.push(body);
      if (rows.length === CLASS_ROWS) this.#open.delete(key);
    } else this.#bodies.push(body);
    const first = digest.readUInt32LE(0);
    const known = this.#digests.get(first);
    const entry = { digest: Buffer.from(digest), record: this.#records };
    if (known) known.push(entry);
    else this.#digests.set(first, [entry]);
    this.#records += 1;
  }

  #findDigests(bytes: Buffer): Cut[] {
    const cuts: Cut[] = [];
    for (let at = 0; at + DIGEST_BYTES <= bytes.length; ) {
      const known = this.#digests.get(bytes.readUInt32LE(at));
      const found = known?.findLast(
        ({ digest }) => bytes.compare(digest, 0, DIGEST_BYTES, at, at + DIGEST_BYTES) === 0,
      );
      if (found) cuts.push({ at, record: found.record });
      at += found ? DIGEST_BYTES : 1;
    }
    return cuts;
  }

  /** The folded bytes. The folder is empty afterwards. */
  finish(): Buffer {
    const table = this.#table.finish();
    const head = new ByteWriter(8).varint(table.length).finish();
    const rows = this.#classes.map(toColumns);
    // What tells where everything stands comes first: to read some bodies, what follows them need not be decoded.
    const folded = Buffer.concat([head, table, ...rows, ...this.#bodies]);
    this.#table.restart();
    this.#bodies.length = 0;
    this.#classes.length = 0;
    this.#open.clear();
    this.#digests.clear();
    this.#records = 0;
    this.#bytes = 0;
    return folded;
  }
}

export interface WholeFacts {
  readonly digest: Buffer;
  readonly contextListBytes: number;
}

interface FoldedRecord {
  readonly form: number;
  readonly kind: RecordKind;
  readonly matter: Buffer;
  /** So many of its first bytes may hold digests. */
  readonly searched: number;
  readonly digest: Buffer;
}

interface Cut {
  readonly at: number;
  /** Whose digest stands there. */
  readonly record: number;
}

function withoutCuts(matter: Buffer, cuts: readonly Cut[]): Buffer {
  if (cuts.length === 0) return matter;
  const parts: Buffer[] = [];
  let end = 0;
  for (const { at } of cuts) {
    parts.push(matter.subarray(end, at));
    end = at + DIGEST_BYTES;
  }
  return Buffer.concat([...parts, matter.subarray(end)]);
}

function toColumns(rows: readonly Uint8Array[]): Buffer {
  const length = rows[0]?.length ?? 0;
  const columns = Buffer.allocUnsafe(length * rows.length);
  let at = 0;
  for (let column = 0; column < length; column += 1) {
    let before = 0;
    for (const row of rows) {
      const byte = row[column] as number;
      columns[at] = byte - before;
      before = byte;
      at += 1;
    }
  }
  return columns;
}
