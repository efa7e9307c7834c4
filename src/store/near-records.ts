/**
 * Short records that stand near each other. The links of a chain of small deltas are found one after the other, and mostly
 * lie within a few kilobytes before the newest one: what is read there at once spares a way to another thread for each.
 */
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';

/** About a hundred commits of a changed configuration. From memory it takes no longer to read than a single record. */
export const WINDOW_BYTES = 64 << 10;
/** Longer records are read by themselves. */
export const RECORD_BYTES_MAX = 16 << 10;
/** Windows of one request at most: they stay as long as it does. */
const WINDOWS_MAX = 16;

/** Bytes of a pack. */
export interface Window {
  readonly pack: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

/** The windows of one request. */
export class NearRecords {
  readonly #packs: Packs;
  readonly #windows: Window[] = [];
  /** How many more may be read. */
  #left = WINDOWS_MAX;

  constructor(packs: Packs) {
    this.#packs = packs;
  }

  /** A window that holds the record; null when it has to be read by itself. It is not checked, and may be read in vain. */
  async find(info: BlobInfo): Promise<Window | null> {
    if (info.recordBytes > RECORD_BYTES_MAX) return null;
    return this.#windows.find((window) => holds(window, info)) ?? this.#read(info);
  }

  async #read({ pack, offset, recordBytes }: BlobInfo): Promise<Window | null> {
    // Of a dense pack each record has to be put together, and what tells of checkpoints from all before it.
    if (this.#left === 0 || (await this.#packs.isOpenDense(pack))) return null;
    this.#left -= 1;
    // What a record is coded against was written before it. What stands behind it may not be committed yet.
    const end = offset + recordBytes;
    const start = Math.max(0, end - WINDOW_BYTES);
    const bytes = Buffer.allocUnsafeSlow(end - start);
    const [got] = await this.#packs.readRuns(pack, Float64Array.of(start, end - start), bytes);
    if (got !== bytes.length) {
      // Some of it may stand where the disk gives nothing, and the record not. To find that out takes a disk seconds.
      this.#left = 0;
      return null;
    }
    const window = { pack, offset: start, bytes };
    this.#windows.push(window);
    return window;
  }
}

function holds({ pack, offset, bytes }: Window, info: BlobInfo): boolean {
  return pack === info.pack && offset <= info.offset && info.offset + info.recordBytes <= offset + bytes.length;
}
