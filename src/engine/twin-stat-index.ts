/**
 * StatIndex of the twin: a map from path to row, and the children of each
 * directory, so that a removal is noticed without walking all paths. A scan reads
 * the live index: do not change it before the scan has ended.
 */
import { type BytePath, pathJoin, pathName, pathParent } from '../core/core.js';
import { ENTRY, STAT, STAT_COLUMNS, type StatIndex, type TreeChanges } from './engine.js';
import { encodeStatFile, parseStatFile, type Remembered } from './twin-stat-file.js';
import { type RememberedTree, scanListed, scanTree } from './twin-tree-scan.js';

const NO_NAMES: ReadonlySet<BytePath> = new Set();

export class TwinStatIndex implements StatIndex, RememberedTree {
  readonly #entries = new Map<BytePath, Remembered>();
  /** Names below a directory, also of directories that are only parents of what was put. */
  readonly #children = new Map<BytePath, Set<BytePath>>();

  get count(): number {
    return this.#entries.size;
  }

  find(path: BytePath): Remembered | undefined {
    return this.#entries.get(path);
  }

  children(directory: BytePath): ReadonlySet<BytePath> {
    return this.#children.get(directory) ?? NO_NAMES;
  }

  load(bytes: Uint8Array): boolean {
    this.#entries.clear();
    this.#children.clear();
    const entries = parseStatFile(bytes);
    for (const [path, entry] of entries ?? []) this.#set(path, entry);
    return entries !== undefined;
  }

  save(): Buffer {
    return encodeStatFile(this.#entries);
  }

  put(paths: readonly BytePath[], rows: BigInt64Array, trusted: Uint8Array): void {
    for (const [i, path] of paths.entries()) {
      const row = rows.slice(i * STAT_COLUMNS, (i + 1) * STAT_COLUMNS);
      const type = Number(row[STAT.type]);
      if (type < ENTRY.file || type > ENTRY.special) this.#entries.delete(path);
      else this.#set(path, { row, trusted: trusted[i] !== 0 });
      // What is no directory any more has nothing below it.
      if (type !== ENTRY.directory) this.#removeBelow(path);
    }
  }

  #set(path: BytePath, entry: Remembered): void {
    this.#entries.set(path, entry);
    for (let child = path; child !== ''; child = pathParent(child)) {
      const parent = pathParent(child);
      const names = this.#children.get(parent);
      if (names?.has(pathName(child))) return;
      if (names === undefined) this.#children.set(parent, new Set([pathName(child)]));
      else names.add(pathName(child));
    }
  }

  remove(paths: readonly BytePath[]): void {
    for (const path of paths) {
      this.#entries.delete(path);
      this.#removeBelow(path);
      if (path !== '') this.#children.get(pathParent(path))?.delete(pathName(path));
    }
  }

  #removeBelow(path: BytePath): void {
    const parents = [path];
    for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
      for (const name of this.children(parent)) {
        const child = pathJoin(parent, name);
        this.#entries.delete(child);
        parents.push(child);
      }
      this.#children.delete(parent);
    }
  }

  get(path: BytePath): BigInt64Array | undefined {
    return this.#entries.get(path)?.row.slice();
  }

  scan(options: Parameters<StatIndex['scan']>[0]): Promise<TreeChanges> {
    return scanTree(this, options);
  }

  scanPaths(options: Parameters<StatIndex['scanPaths']>[0]): Promise<TreeChanges> {
    return scanListed(this, options);
  }
}
