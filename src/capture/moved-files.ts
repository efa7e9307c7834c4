/**
 * Large files that have another name than when they were captured last: a log whose oldest segment becomes its newest, say.
 * Of these, too, little may have changed since.
 */
import { type BytePath, LIMITS } from '../core/core.js';
import { ENTRY, STAT } from '../engine/engine.js';
import { type Entry, rowSize, rowType, rowValue, sameInode } from './entry-version.js';
import type { ScanFindings } from './state-scan.js';

export class MovedFiles {
  readonly #findings: Pick<ScanFindings, 'found' | 'removed'>;
  readonly #rowOf: (path: BytePath) => BigInt64Array | undefined;
  /** Paths at the last capture, by inode. Made when it is asked for: most captures find no name that is new. */
  #paths: Map<string, BytePath> | undefined;

  /** @param rowOf what was known of a path at the last capture */
  constructor(findings: Pick<ScanFindings, 'found' | 'removed'>, rowOf: (path: BytePath) => BigInt64Array | undefined) {
    this.#findings = findings;
    this.#rowOf = rowOf;
  }

  /** The path that this file had at the last capture; undefined when that is the same one, or not known. */
  pathBefore({ path, row }: Entry): BytePath | undefined {
    const known = this.#rowOf(path);
    if (known && sameInode(known, row)) return undefined;
    this.#paths ??= this.#collect();
    return this.#paths.get(inodeOf(row));
  }

  #collect(): Map<string, BytePath> {
    const paths = new Map<string, BytePath>();
    const add = (path: BytePath): void => {
      const row = this.#rowOf(path);
      if (row && isLarge(row)) paths.set(inodeOf(row), path);
    };
    for (const path of this.#findings.removed) add(path);
    // Names that were exchanged are all still there.
    for (const [path, row] of this.#findings.found) if (isLarge(row)) add(path);
    return paths;
  }
}

function isLarge(row: BigInt64Array): boolean {
  return rowType(row) === ENTRY.file && rowSize(row) > LIMITS.smallFileBytes;
}

function inodeOf(row: BigInt64Array): string {
  return `${rowValue(row, STAT.dev)}:${rowValue(row, STAT.ino)}`;
}
