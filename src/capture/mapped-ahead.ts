/**
 * Large files that will probably be taken at the freeze point ahead: opened and mapped while the application still runs,
 * so that the standstill has only to copy them.
 */
import { type BytePath, LIMITS } from '../core/core.js';
import { ENTRY } from '../engine/engine.js';
import { type Entry, rowSize, rowType, sameInode } from './entry-version.js';
import { HOLD_BYTES } from './hold-memory.js';
import { type LargePlace, type OpenedLarge, openLarge } from './large-files.js';

/** Files opened at most. */
const FILES_MAX = 16;

export class MappedAhead {
  readonly #opened = new Map<BytePath, OpenedLarge>();
  /** Taken at the last freeze point. */
  #last: readonly BytePath[] = [];

  /** Opens what of these paths, and of those taken last, was a large file when it was looked at (`rowOf`). */
  async open(
    place: LargePlace,
    paths: readonly BytePath[],
    rowOf: (path: BytePath) => BigInt64Array | undefined,
  ): Promise<void> {
    let room = HOLD_BYTES;
    let tries = 0;
    for (const path of new Set([...paths, ...this.#last])) {
      if (tries === FILES_MAX) break;
      const row = rowOf(path);
      if (!row || rowType(row) !== ENTRY.file) continue;
      if (rowSize(row) <= LIMITS.smallFileBytes || rowSize(row) > room) continue;
      tries += 1;
      const opened = await openLarge(place, { path, row });
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
  }

  /** Hands over the file of this entry, if it is among them. The caller closes its scan. */
  take({ path, row }: Entry): OpenedLarge | undefined {
    const opened = this.#opened.get(path);
    // Another file may have taken its place.
    if (!opened || !sameInode(opened.scan.row, row)) return undefined;
    this.#opened.delete(path);
    return opened;
  }

  /** After the freeze point: closes what was not taken, and remembers what was. */
  async end(taken: readonly BytePath[]): Promise<void> {
    this.#last = taken;
    const rest = [...this.#opened.values()];
    this.#opened.clear();
    for (const { scan } of rest) await scan.close();
  }
}
