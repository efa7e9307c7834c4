/**
 * Large files that will probably be taken at the freeze point ahead: opened and mapped while the application still runs,
 * so that the standstill has only to compare them. They stay so from one freeze point to the next: mapping a file costs as much
 * as comparing it.
 */
import { totalmem } from 'node:os';
import { type BytePath, LIMITS } from '../core/core.js';
import { ENTRY, type FileScan } from '../engine/engine.js';
import { type Entry, rowSize, rowType, sameInode } from './entry-version.js';
import { type LargePlace, type OpenedLarge, openLarge } from './large-files.js';

/**
 * Bytes mapped at most: an eighth of the memory that this process may use, within these bounds. All of it is read, which what is not
 * mapped would be, too, at twice the cost and while the application stands still; the memory is that of the page cache.
 */
const MAPPED_BYTES_MIN = 256 << 20;
const MAPPED_BYTES_MAX = 1 << 30;
const MEMORY_SHARE = 1 / 8;
/** Files opened at most. */
const FILES_MAX = LIMITS.openScans / 4;
/** Without a freeze point for this long nothing stays open, ms: an idle file must not be in the way of whoever unmounts its disk. */
const IDLE_MS = 10_000;

/**
 * Bytes mapped at most on this machine.
 *
 * @param memoryBytes memory of the machine
 * @param limitBytes what of it the control group may use; 0, or more than there is, where that is no limit
 */
export function mappedBytesMax(memoryBytes = totalmem(), limitBytes = process.constrainedMemory?.() ?? 0): number {
  const bytes = limitBytes > 0 ? Math.min(memoryBytes, limitBytes) : memoryBytes;
  return Math.min(MAPPED_BYTES_MAX, Math.max(MAPPED_BYTES_MIN, Math.floor(MEMORY_SHARE * bytes)));
}

export class MappedAhead {
  readonly #opened = new Map<BytePath, OpenedLarge>();
  /** Worked up, and open for the next freeze point. */
  readonly #parked = new Map<BytePath, FileScan>();
  /** Taken at the last freeze point. */
  #last: readonly BytePath[] = [];
  #idle: NodeJS.Timeout | undefined;
  readonly #bytesMax: number;

  /** @param bytesMax bytes mapped at most */
  constructor(bytesMax = mappedBytesMax()) {
    this.#bytesMax = bytesMax;
  }

  /** Opens what of these paths, and of those taken last, was a large file when it was looked at (`rowOf`). */
  async open(
    place: LargePlace,
    paths: readonly BytePath[],
    rowOf: (path: BytePath) => BigInt64Array | undefined,
  ): Promise<void> {
    clearTimeout(this.#idle);
    let room = this.#bytesMax;
    let tries = 0;
    for (const path of new Set([...paths, ...this.#last])) {
      if (tries === FILES_MAX) break;
      const row = rowOf(path);
      if (!row || rowType(row) !== ENTRY.file) continue;
      if (rowSize(row) <= LIMITS.smallFileBytes || rowSize(row) > room) continue;
      tries += 1;
      const opened = await openLarge(place, { path, row }, this.#unpark(path, row));
      if ('skip' in opened) continue;
      // It may have grown since that row was taken: all that is mapped is also read.
      const size = rowSize(opened.scan.row);
      if (size > room) {
        await opened.scan.close();
        continue;
      }
      if (!(await opened.scan.map())) {
        await opened.scan.close();
        // It is the file system that does not let it: the next file would be no better.
        break;
      }
      this.#opened.set(path, opened);
      room -= size;
    }
    await this.#closeParked();
  }

  /** Hands over the file of this entry, if it is among them. The caller closes its scan, which parks it. */
  take({ path, row }: Entry): OpenedLarge | undefined {
    const opened = this.#opened.get(path);
    // Another file may have taken its place.
    if (!opened || !sameInode(opened.scan.row, row)) return undefined;
    this.#opened.delete(path);
    const { scan } = opened;
    let open = true;
    const close = async (): Promise<void> => {
      if (!open) return;
      open = false;
      this.#parked.set(path, scan);
      // It may have been worked up for longer than that: the time runs from here.
      this.#closeWhenIdle();
    };
    return { ...opened, scan: { ...scan, close } };
  }

  /** After the freeze point: closes what was not taken, and remembers what was. */
  async end(taken: readonly BytePath[]): Promise<void> {
    this.#last = taken;
    const rest = [...this.#opened.values()];
    this.#opened.clear();
    for (const { scan } of rest) await scan.close();
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.#closeParked().catch(() => {}), IDLE_MS).unref();
  }

  /** Closes everything that is not in somebody's hands. */
  async close(): Promise<void> {
    await this.end([]);
    clearTimeout(this.#idle);
    await this.#closeParked();
  }

  #unpark(path: BytePath, row: BigInt64Array): FileScan | undefined {
    const parked = this.#parked.get(path);
    if (!parked || !sameInode(parked.row, row)) return undefined;
    this.#parked.delete(path);
    return parked;
  }

  async #closeParked(): Promise<void> {
    const parked = [...this.#parked.values()];
    this.#parked.clear();
    // One that fails leaves none of the others open.
    const ends = await Promise.allSettled(parked.map((scan) => scan.close()));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }
}
