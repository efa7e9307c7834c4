/**
 * Which names a file with several of them has. A change through one name is announced for that name alone, and the others
 * have changed with it: they are looked at by name, so that not the whole directory has to be.
 */
import type { BytePath } from '../core/core.js';
import { ENTRY, STAT } from '../engine/engine.js';
import { rowType, rowValue } from './entry-version.js';

/** Names remembered at most; with more, all are forgotten and found again by looking at everything. */
const NAMES_MAX = 65_536;

type Rows = ReadonlyMap<BytePath, BigInt64Array>;

function keyOf(row: BigInt64Array): string {
  return `${rowValue(row, STAT.dev)}:${rowValue(row, STAT.ino)}`;
}

function* linked(found: Rows): Generator<readonly [BytePath, BigInt64Array]> {
  for (const entry of found) {
    if (rowType(entry[1]) === ENTRY.file && rowValue(entry[1], STAT.nlink) > 1n) yield entry;
  }
}

export class LinkGroups {
  /** Names by device and inode; some may have gone since. */
  readonly #groups = new Map<string, Set<BytePath>>();
  #names = 0;

  /** Remembers the names of what was found. */
  learn(found: Rows): void {
    for (const [path, row] of linked(found)) {
      const key = keyOf(row);
      const names = this.#groups.get(key) ?? new Set();
      if (names.has(path)) continue;
      if (this.#names === NAMES_MAX) {
        this.#groups.clear();
        this.#names = 0;
      }
      this.#groups.set(key, names.add(path));
      this.#names += 1;
    }
  }

  /** Other names of what was found, as far as they are known. */
  others(found: Rows): BytePath[] {
    const others = new Set<BytePath>();
    for (const [, row] of linked(found)) {
      for (const name of this.#groups.get(keyOf(row)) ?? []) if (!found.has(name)) others.add(name);
    }
    return [...others];
  }

  /**
   * Whether as many names of what was found have been looked at as there are. Names outside the directory are missing for
   * ever. `rowNow`: the row of a name as it is now; undefined when it is gone.
   */
  whole(found: Rows, rowNow: (path: BytePath) => BigInt64Array | undefined): boolean {
    const seen = new Map<string, Set<BytePath>>();
    for (const [path, row] of linked(found)) {
      const key = keyOf(row);
      if (seen.has(key)) seen.get(key)?.add(path);
      else seen.set(key, new Set([path]));
    }
    for (const [key, names] of seen) for (const name of this.#groups.get(key) ?? []) names.add(name);
    for (const [key, names] of seen) {
      const rows = [...names].map(rowNow).filter((row) => row !== undefined && keyOf(row) === key);
      const links = BigInt(rows.length);
      if (!rows.every((row) => row && rowValue(row, STAT.nlink) === links)) return false;
    }
    return true;
  }
}
