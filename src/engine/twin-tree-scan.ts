/** Comparing directories with what a stat index remembers (`StatIndex.scan` and `scanPaths` of the twin). */
import { readdir } from 'node:fs/promises';
import { type BytePath, inGroups, isWithin, pathJoin, systemCode } from '../core/core.js';
import { CHANGE, ENTRY, STAT, STAT_COLUMNS, type StatIndex, type TreeChanges } from './engine.js';
import { type EntryStats, failedRow, fullPath, lookAt, ParentCheck, statRow } from './twin-beneath.js';
import type { Remembered } from './twin-stat-file.js';

/** The read side of an index. */
export interface RememberedTree {
  find(path: BytePath): Remembered | undefined;
  /** Names below a directory; some may be only parents of remembered entries. */
  children(directory: BytePath): ReadonlySet<BytePath>;
}

/** Entries looked at side by side: the libuv pool has four threads by default. */
const SIDE_BY_SIDE = 32;
const COMPARED = [
  STAT.type,
  STAT.mode,
  STAT.uid,
  STAT.gid,
  STAT.size,
  STAT.mtimeNs,
  STAT.ctimeNs,
  STAT.ino,
  STAT.dev,
  STAT.nlink,
];

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error));
}

class TreeScan {
  readonly #changes = new Map<BytePath, { kind: number; row: BigInt64Array }>();
  readonly #queue: BytePath[] = [];
  readonly #listed = new Set<BytePath>();
  readonly #parents: ParentCheck;
  #scanned = 0;

  constructor(
    readonly tree: RememberedTree,
    readonly root: string,
    readonly skip: ReadonlySet<BytePath>,
    readonly enter: { readonly recursive: boolean; readonly added: boolean },
  ) {
    this.#parents = new ParentCheck(root);
  }

  /** Compares one entry that may be anywhere; true when it is a directory. */
  async compareAt(path: BytePath): Promise<boolean> {
    this.#scanned += 1;
    try {
      await this.#parents.check(path);
      const stats = await lookAt(this.root, path);
      this.#compare(path, stats);
      return stats.isDirectory();
    } catch (error) {
      if (!isGone(error)) this.#report(path, failedRow(error));
      else this.#gone(path);
      return false;
    }
  }

  async listAll(directories: readonly BytePath[]): Promise<void> {
    for (const directory of directories) {
      if ([...this.skip].some((skipped) => isWithin(directory, skipped))) continue;
      if (await this.compareAt(directory)) this.#enqueue(directory);
    }
    for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) await this.#list(next);
  }

  result(): TreeChanges {
    const paths = [...this.#changes.keys()].sort();
    const kinds = new Uint8Array(paths.length);
    const rows = new BigInt64Array(paths.length * STAT_COLUMNS);
    for (const [i, path] of paths.entries()) {
      const change = this.#changes.get(path);
      if (change === undefined) continue;
      kinds[i] = change.kind;
      rows.set(change.row, i * STAT_COLUMNS);
    }
    return { paths, kinds, rows, scanned: this.#scanned };
  }

  #enqueue(directory: BytePath): void {
    if (this.#listed.has(directory)) return;
    this.#listed.add(directory);
    this.#queue.push(directory);
  }

  async #list(directory: BytePath): Promise<void> {
    let names: BytePath[];
    try {
      names = (await readdir(fullPath(this.root, directory), { encoding: 'buffer' })).map((name) =>
        name.toString('latin1'),
      );
    } catch (error) {
      if (isGone(error)) this.#gone(directory);
      else this.#report(directory, failedRow(error));
      return;
    }
    const missing = new Set(this.tree.children(directory));
    await inGroups(names, SIDE_BY_SIDE, (name) => this.#compareChild(directory, name, missing));
    for (const name of missing) this.#gone(pathJoin(directory, name));
  }

  /** Takes the name off `missing` unless the entry vanished in the meantime. */
  async #compareChild(directory: BytePath, name: BytePath, missing: Set<BytePath>): Promise<void> {
    const path = pathJoin(directory, name);
    if (this.skip.has(path)) {
      missing.delete(name);
      return;
    }
    this.#scanned += 1;
    try {
      const stats = await lookAt(this.root, path);
      missing.delete(name);
      const known = this.tree.find(path)?.row[STAT.type] === BigInt(ENTRY.directory);
      this.#compare(path, stats);
      if (stats.isDirectory() && (known ? this.enter.recursive : this.enter.added)) this.#enqueue(path);
    } catch (error) {
      if (isGone(error)) return;
      missing.delete(name);
      this.#report(path, failedRow(error));
    }
  }

  #compare(path: BytePath, stats: EntryStats): void {
    const row = statRow(stats);
    const before = this.tree.find(path);
    if (before?.trusted && COMPARED.every((column) => before.row[column] === row[column])) return;
    this.#report(path, row);
    if (!stats.isDirectory()) this.#goneBelow(path);
  }

  #report(path: BytePath, row: BigInt64Array): void {
    const kind = this.tree.find(path) === undefined ? CHANGE.added : CHANGE.changed;
    this.#changes.set(path, { kind, row });
  }

  #gone(path: BytePath): void {
    if (this.skip.has(path)) return;
    // Seen a moment ago and gone now, never remembered: as if it had not been there.
    if (this.tree.find(path) === undefined) this.#changes.delete(path);
    else this.#changes.set(path, { kind: CHANGE.removed, row: new BigInt64Array(STAT_COLUMNS) });
    this.#goneBelow(path);
  }

  #goneBelow(path: BytePath): void {
    for (const name of this.tree.children(path)) this.#gone(pathJoin(path, name));
  }
}

/** See `StatIndex.scan`. */
export async function scanTree(tree: RememberedTree, options: Parameters<StatIndex['scan']>[0]): Promise<TreeChanges> {
  // A root that is gone is an error, not a tree of removals.
  await lookAt(options.root, '');
  const scan = new TreeScan(tree, options.root, new Set(options.skip), {
    recursive: options.recursive,
    added: options.enterAdded,
  });
  await scan.listAll(options.directories);
  return scan.result();
}

/** See `StatIndex.scanPaths`. */
export async function scanListed(
  tree: RememberedTree,
  options: Parameters<StatIndex['scanPaths']>[0],
): Promise<TreeChanges> {
  await lookAt(options.root, '');
  const scan = new TreeScan(tree, options.root, new Set(), { recursive: false, added: false });
  await inGroups(options.paths, SIDE_BY_SIDE, (path) => scan.compareAt(path));
  return scan.result();
}
