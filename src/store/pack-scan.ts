/** Walks the records of a pack in order: for recovery of the tail, rebuild and verification. */
import { DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import { type DecodedRecord, PACK_HEADER_BYTES } from '../format/format.js';
import type { RecordPlace } from './blob-index.js';
import type { Packs } from './packs.js';
import type { RecordCoder } from './record-coder.js';
import { UnreadableBlocks } from './unreadable-blocks.js';

const WINDOW_BYTES = 4 << 20;

/** What is walked through. */
export type ScannedPacks = Pick<Packs, 'read' | 'readPast' | 'records' | 'soundFrom'>;

export type ScannedRecord =
  | { readonly kind: 'record'; readonly place: RecordPlace; readonly record: DecodedRecord }
  /** Bytes that are no record; the next good record (or the end) stands at `offset + bytes`. */
  | {
      readonly kind: 'damage';
      readonly offset: number;
      readonly bytes: number;
      readonly message: string;
      /** So many of them the disk does not give (`loosely` only). */
      readonly unreadable: number;
    };

export interface ScanRange {
  readonly pack: number;
  readonly from: number;
  readonly end: number;
  /** Goes on past bytes that the disk does not give, as past damage. Default false: DK_IO. */
  readonly loosely?: boolean;
}

class Window {
  readonly #packs: ScannedPacks;
  readonly #pack: number;
  readonly #end: number;
  #start = 0;
  #bytes: Buffer = Buffer.alloc(0);
  /** Null when nothing may be missing. */
  readonly blocks: UnreadableBlocks | null = null;

  constructor(packs: ScannedPacks, { pack, end, loosely = false }: ScanRange) {
    this.#packs = packs;
    this.#pack = pack;
    this.#end = end;
    if (!loosely) return;
    const blocks = new UnreadableBlocks((offset, bytes) => packs.readPast(pack, { offset, bytes }, blocks.note));
    this.blocks = blocks;
  }

  async at(offset: number, bytes: number): Promise<Buffer> {
    const inside = offset - this.#start;
    if (inside < 0 || inside + bytes > this.#bytes.length) {
      // Memory for what is there, not for a whole window: most ends are short.
      const ahead = Math.min(WINDOW_BYTES, this.#end - offset);
      const wanted = Math.max(bytes, ahead);
      this.#bytes = await (this.blocks?.read(offset, wanted) ?? this.#packs.read(this.#pack, offset, wanted));
      this.#start = offset;
      return this.#bytes.subarray(0, bytes);
    }
    return this.#bytes.subarray(inside, inside + bytes);
  }
}

/**
 * Every record from `from` to `end`; damaged stretches are reported and skipped by searching for the next record.
 *
 * @throws DK_IO; DK_KEY_LOST, at the end, when what was told as damage is records under a master key of another store
 */
export async function* scanPack(packs: ScannedPacks, range: ScanRange): AsyncGenerator<ScannedRecord> {
  yield* walkPack(packs, range);
  if (packs.records.unopened !== null) await assertKeys(packs, range);
}

/**
 * Records that are whole, and of which none opens under the key of their number: the key files are from a copy of the store
 * whose keys were rotated apart from it. Were they taken for damage, the end of the packs would be cut off. One that
 * opens, here or before, shows that the key is the right one.
 */
async function assertKeys(packs: ScannedPacks, { pack, from }: ScanRange): Promise<void> {
  const before = walkPack(packs, { pack, from: PACK_HEADER_BYTES, end: from, loosely: true });
  while (packs.records.unopened !== null && !(await before.next()).done);
  const number = packs.records.unopened;
  if (number === null) return;
  const message = `the records under master key ${number} are whole, and the key of this number in the key files opens none of them: put back the KEYS that belongs to these packs`;
  throw new DiffKeeperError('DK_KEY_LOST', message, { actual: number });
}

async function* walkPack(packs: ScannedPacks, range: ScanRange): AsyncGenerator<ScannedRecord> {
  const window = new Window(packs, range);
  let offset = range.from;
  while (offset < range.end) {
    const found = await tryRecord(window, offset, range.end, packs.records);
    if (typeof found === 'string') {
      const next = await findNext(window, { from: offset + 1, end: range.end, packs, pack: range.pack });
      const bytes = next - offset;
      const unreadable = window.blocks?.lostOf(offset, bytes) ?? 0;
      const message =
        unreadable > 0 ? `${unreadable} of ${bytes} bytes cannot be read: the disk does not give them` : found;
      yield { kind: 'damage', offset, bytes, message, unreadable };
      offset = next;
      continue;
    }
    const recordBytes = found.head.recordBytes;
    yield { kind: 'record', place: { pack: range.pack, offset, recordBytes }, record: found };
    offset += recordBytes;
  }
}

/** The record at an offset, or why there is none. Throws DK_IO. */
async function tryRecord(
  window: Window,
  offset: number,
  end: number,
  records: RecordCoder,
): Promise<DecodedRecord | string> {
  try {
    const bytes = records.length(await window.at(offset, Math.min(records.headBytes, end - offset)), offset);
    if (bytes > end - offset) return `record at byte ${offset} is cut short`;
    return records.decode(await window.at(offset, bytes), offset);
  } catch (error) {
    // A disk that refuses to read says nothing about the record: it may be there the next time.
    if (isDiffKeeperError(error) && error.code.startsWith('DK_CORRUPT')) return error.message;
    throw error;
  }
}

async function findNext(
  window: Window,
  { from, end, packs, pack }: { from: number; end: number; packs: ScannedPacks; pack: number },
): Promise<number> {
  const { records } = packs;
  const { magic } = records;
  let offset = from;
  for (;;) {
    offset = await packs.soundFrom(pack, offset, window.blocks?.note);
    if (offset + records.headBytes > end) return end;
    const bytes = await window.at(offset, Math.min(1 << 16, end - offset));
    const hit = bytes.indexOf(magic);
    if (hit < 0) {
      offset += Math.max(1, bytes.length - 3);
      continue;
    }
    const found = await tryRecord(window, offset + hit, end, records);
    if (typeof found !== 'string') return offset + hit;
    offset += hit + 1;
  }
}
