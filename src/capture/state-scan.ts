/** Finds what changed in the state directory: stat against the index, never against file contents. */
import {
  type BytePath,
  DiffKeeperError,
  errnoFacts,
  isPathWithinLimits,
  isWithin,
  LIMITS,
  nearestWithinLimits,
  pathParent,
} from '../core/core.js';
import { CHANGE, ENTRY, STAT, STAT_COLUMNS, type StatIndex, type TreeChanges } from '../engine/engine.js';
import { rowAt, rowType, rowValue, sameInode } from './entry-version.js';
import type { IgnoreRules } from './ignore-rules.js';
import type { LinkGroups } from './link-groups.js';

/** Paths looked at again in one call. */
const AGAIN_PATHS = 65536;

export interface ScanFindings {
  /** Added and changed entries with their stat rows (type may be a negative errno). */
  readonly found: Map<BytePath, BigInt64Array>;
  /** Entries that are gone. */
  readonly removed: Set<BytePath>;
  /** Entries whose paths are longer than a store holds, `LIMITS.leftOutEntries` of them at most. */
  readonly tooLong: Set<BytePath>;
  /** Directories that are gone or became something else: everything the store has below them is gone too. */
  readonly droppedTrees: BytePath[];
  /** The whole directory was looked at. */
  readonly full: boolean;
  /** Paths that were asked for: all that is in directories among them was looked at. Empty when `full`. */
  readonly looked: readonly BytePath[];
  scanned: number;
}

export interface StateScanOptions {
  readonly index: StatIndex;
  readonly links: LinkGroups;
  readonly root: string;
  readonly rules: IgnoreRules | null;
  /** Neither reported nor entered. */
  readonly skip: readonly BytePath[];
  /** Device and inode of the store directory, which may also be mounted somewhere below the state directory. */
  readonly store: { readonly dev: bigint; readonly ino: bigint };
}

export class StateScan {
  readonly #options: StateScanOptions;

  constructor(options: StateScanOptions) {
    this.#options = options;
  }

  /** Looks at everything. */
  async full(): Promise<ScanFindings> {
    const findings = emptyFindings(null);
    await this.#enter(findings, [''], true);
    return findings;
  }

  /** Looks at these paths, lists the directories among them and enters what is new below. */
  async marked(marks: readonly BytePath[]): Promise<ScanFindings> {
    const { index, root } = this.#options;
    // Of what is too long to be kept, only the directory it lies in can be asked for.
    const wanted = [...new Set(marks.map(nearestWithinLimits))].filter((path) => !this.#isSkipped(path));
    const findings = emptyFindings(wanted);
    const paths = withParents(wanted);
    if (paths.length > 0) this.#absorb(findings, await index.scanPaths({ root, paths }));
    this.#forgetBelowLeaves(findings);
    if (!(await this.#lookAtOtherNames(findings))) return this.full();
    await this.#enter(findings, this.#newDirectories(findings, { entered: new Set(), replacedToo: true }), true);
    const listed = wanted.filter((path) => path === '' || this.#isKnownDirectory(path, findings));
    if (listed.length > 0) await this.#enter(findings, listed, false);
    return findings;
  }

  /** Other names of the same file are not marked, but changed with it. False when not all of them are known. */
  async #lookAtOtherNames(findings: ScanFindings): Promise<boolean> {
    const { index, links } = this.#options;
    const others = links.others(findings.found);
    if (others.length > 0) await this.lookAgain(findings, withParents(others));
    // What was looked at and is no finding is as the index knows it.
    const rowNow = (path: BytePath) =>
      findings.removed.has(path) ? undefined : (findings.found.get(path) ?? index.get(path));
    return links.whole(findings.found, rowNow);
  }

  /** Lists directories, and level by level those that turn up new and are not ignored. */
  async #enter(findings: ScanFindings, directories: readonly BytePath[], recursive: boolean): Promise<void> {
    const { index, root, rules, skip } = this.#options;
    const entered = new Set<BytePath>();
    for (let level = directories; level.length > 0; ) {
      for (const directory of level) entered.add(directory);
      const first = level === directories;
      const enterAdded = rules === null && (recursive || !first);
      const options = { root, directories: level, recursive: recursive || !first, enterAdded, skip };
      const changes = await this.#withoutFalseRemovals(await index.scan(options));
      this.#absorb(findings, changes);
      const replacedToo = !options.recursive;
      level = this.#newDirectories(findings, { entered, replacedToo, ...(enterAdded && { listed: changes }) });
    }
  }

  /**
   * Looks at these paths again, one by one, and adds those that are there to the findings: a listing made while names
   * are replaced can leave out a name that was there all the time.
   */
  async lookAgain(findings: ScanFindings, paths: readonly BytePath[]): Promise<void> {
    const { index, root } = this.#options;
    for (let first = 0; first < paths.length; first += AGAIN_PATHS) {
      const part = paths.slice(first, first + AGAIN_PATHS);
      this.#absorb(findings, await index.scanPaths({ root, paths: part }));
    }
    this.#forgetBelowLeaves(findings);
  }

  /** Only what is also gone when it is looked at by name was removed. */
  async #withoutFalseRemovals(changes: TreeChanges): Promise<TreeChanges> {
    const { index, root } = this.#options;
    const missing = changes.paths.filter((_, i) => changes.kinds[i] === CHANGE.removed);
    if (missing.length === 0) return changes;
    const again = await index.scanPaths({ root, paths: missing });
    const gone = new Set(again.paths.filter((_, i) => again.kinds[i] === CHANGE.removed));
    if (missing.every((path) => gone.has(path))) return changes;
    const paths: BytePath[] = [];
    const kinds: number[] = [];
    const rows: BigInt64Array[] = [];
    for (const part of [changes, again]) {
      for (const [i, path] of part.paths.entries()) {
        const removed = part.kinds[i] === CHANGE.removed;
        if (removed && (part === again || !gone.has(path))) continue;
        paths.push(path);
        kinds.push(part.kinds[i] ?? CHANGE.changed);
        rows.push(rowAt(part.rows, i));
      }
    }
    return { paths, kinds: Uint8Array.from(kinds), rows: joinRows(rows), scanned: changes.scanned };
  }

  /**
   * Found directories that nobody has listed yet. `listed`: what a scan that enters added directories by itself
   * has just reported, so that only an entry that became a directory is left to enter. `replacedToo`: also those that
   * took the place of another directory, where nothing below has been looked at.
   */
  #newDirectories(
    findings: ScanFindings,
    options: { readonly entered: Set<BytePath>; readonly replacedToo: boolean; readonly listed?: TreeChanges },
  ): BytePath[] {
    const { entered, replacedToo, listed } = options;
    if (listed) {
      for (const [i, path] of listed.paths.entries()) {
        if (listed.kinds[i] === CHANGE.added) entered.add(path);
      }
    }
    const fresh: BytePath[] = [];
    for (const [path, row] of findings.found) {
      if (rowType(row) !== ENTRY.directory || entered.has(path)) continue;
      const known = this.#options.index.get(path);
      if (!known || rowType(known) !== ENTRY.directory || (replacedToo && !sameInode(known, row))) fresh.push(path);
    }
    return fresh;
  }

  #absorb(findings: ScanFindings, changes: TreeChanges): void {
    const { index, root, rules, store } = this.#options;
    findings.scanned += changes.scanned;
    const foreign: BytePath[] = [];
    for (const [i, path] of changes.paths.entries()) {
      const row = rowAt(changes.rows, i);
      if (path === '') {
        if (rowType(row) < 0) {
          const { name, text } = errnoFacts(rowType(row));
          throw new DiffKeeperError('DK_STATE_DIR', `cannot list ${root}: ${text} (${name})`, { path: root });
        }
        continue;
      }
      const gone = changes.kinds[i] === CHANGE.removed;
      const directory = !gone && rowType(row) === ENTRY.directory;
      if (!isPathWithinLimits(path)) {
        // Neither the index nor the store has ever heard of it.
        if (!gone && !rules?.ignores(path, directory)) addTooLong(findings, path);
        continue;
      }
      const known = index.get(path);
      if (known && rowType(known) === ENTRY.directory && !directory && (gone || rowType(row) > 0)) {
        findings.droppedTrees.push(path);
      }
      if (gone) {
        findings.removed.add(path);
        findings.found.delete(path);
        continue;
      }
      if (directory && rowValue(row, STAT.ino) === store.ino && rowValue(row, STAT.dev) === store.dev)
        foreign.push(path);
      if (this.#isSkipped(path) || rules?.ignores(path, directory)) {
        if (known) findings.removed.add(path);
        continue;
      }
      findings.found.set(path, row);
      findings.removed.delete(path);
    }
    for (const directory of foreign) {
      for (const path of [...findings.found.keys()]) if (isWithin(path, directory)) findings.found.delete(path);
      for (const path of [...findings.tooLong]) if (isWithin(path, directory)) findings.tooLong.delete(path);
    }
  }

  #isSkipped(path: BytePath): boolean {
    return this.#options.skip.some((skipped) => isWithin(path, skipped));
  }

  #isKnownDirectory(path: BytePath, findings: ScanFindings): boolean {
    const known = this.#options.index.get(path);
    if (!known || rowType(known) !== ENTRY.directory || findings.removed.has(path)) return false;
    const row = findings.found.get(path);
    return row === undefined || rowType(row) === ENTRY.directory;
  }

  /** A mark may lead through a symbolic link that took a directory's place: what lies behind it is not ours. */
  #forgetBelowLeaves(findings: ScanFindings): void {
    for (const path of [...findings.found.keys()]) {
      for (let parent = pathParent(path); parent !== ''; parent = pathParent(parent)) {
        const row = findings.found.get(parent) ?? this.#options.index.get(parent);
        if (row && rowType(row) === ENTRY.directory && !findings.removed.has(parent)) continue;
        findings.found.delete(path);
        break;
      }
    }
  }
}

function joinRows(rows: readonly BigInt64Array[]): BigInt64Array {
  const joined = new BigInt64Array(rows.length * STAT_COLUMNS);
  for (const [i, row] of rows.entries()) joined.set(row, i * STAT_COLUMNS);
  return joined;
}

/** @param looked paths that are asked for; null: everything */
function emptyFindings(looked: readonly BytePath[] | null): ScanFindings {
  const none = { found: new Map(), removed: new Set<BytePath>(), tooLong: new Set<BytePath>(), droppedTrees: [] };
  return { ...none, full: looked === null, looked: looked ?? [], scanned: 0 };
}

/** Remembers one that is too long, as far as there is room: each takes 4 KiB. */
export function addTooLong({ tooLong }: Pick<ScanFindings, 'tooLong'>, path: BytePath): void {
  if (tooLong.size < LIMITS.leftOutEntries) tooLong.add(path);
}

/** The paths and all directories above them: a name that came or went also changed its directory. */
function withParents(paths: readonly BytePath[]): BytePath[] {
  const all = new Set<BytePath>();
  for (const path of paths) {
    for (let at = path; at !== '' && !all.has(at); at = pathParent(at)) all.add(at);
  }
  return [...all];
}
