/**
 * Large files that will probably be taken at the freeze point ahead: opened and mapped while the application still runs,
 * so that the standstill has only to copy them.
 */
import { type BytePath, LIMITS } from '../core/core.js';
import { ENTRY, STAT } from '../engine/engine.js';
import type { CaptureWork } from './capture-work.js';
import { type Entry, rowSize, rowType } from './entry-version.js';
import { HOLD_BYTES } from './hold-memory.js';
import { type OpenedLarge, openLarge } from './large-files.js';

/** Files opened at most. */
const FILES_MAX = 16;

export class MappedAhead {
  readonly #opened = new Map<BytePath, OpenedLarge>();
  /** Taken at the last freeze point. */
  #last: readonly BytePath[] = [];

  /** Opens what of these paths, and of those taken last, was a large file when it was looked at (`rowOf`). */
  async open(
    work: CaptureWork,
    paths: readonly BytePath[],
    rowOf: (path: BytePath) => BigInt64Array | undefined,
  ): Promise<void> {
    let room = HOLD_BYTES;
    let tries = 0;
    for (const path of new Set([...paths, ...this.#last])) {
      if (tries === FILES_MAX) break;
      const row = rowOf(path);
      if (!row || rowType(row) !== ENTRY.file) continue;
      const size = rowSize(row);
      if (size <= LIMITS.smallFileBytes || size > room) continue;
      tries += 1;
      const opened = await openLarge(work, { path, row });
      if ('skip' in opened) continue;
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
    const known = opened?.scan.row;
    // Another file may have taken its place.
    if (!known || known[STAT.ino] !== row[STAT.ino] || known[STAT.dev] !== row[STAT.dev]) return undefined;
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
