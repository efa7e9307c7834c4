/**
 * The current tree's Merkle leaves, directory by directory, loaded on demand: a
 * commit rehashes the touched directories and their parents, nothing else. Kept in
 * a file from one run to the next.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BytePath, fromSystemError, inGroups, pathName, pathParent } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type Checkpoint, type Digest, VERSION_TYPE, type Version } from '../format/format.js';
import type { CacheGuard } from './cache-guard.js';
import type { Heads } from './heads.js';
import { decodeSection, type LeafPlace, type LeafSections, loadLeaves, saveLeaves } from './leaf-file.js';
import type { Meta, MetaChange } from './meta.js';
import { directoryKey } from './meta-keys.js';
import type { StagedVersions } from './staged-versions.js';
import {
  deepestFirst,
  directoryDigest,
  type Leaves,
  leafAt,
  leafBytes,
  leafDigests,
  leafText,
  rootDigest,
} from './tree-root.js';

/** Leaves kept in memory over all directories; the rest is loaded again when needed. */
const LEAVES_MAX = 300_000;

/** Directories whose leaves are loaded side by side. */
const LOADED_AT_ONCE = 16;

/** Leaves of loading and setting are hashed this many at a time. */
const LEAVES_BATCH = 2048;

export class TreeCache {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #meta: Pick<Meta, 'getMany'>;
  readonly #heads: Pick<Heads, 'get' | 'children'>;
  readonly #place: LeafPlace;
  readonly #directories = new Map<BytePath, Leaves>();
  #leafCount = 0;
  /** What the file has and `#directories` has not; null until the first commit asks for it. */
  #sections: LeafSections | null = null;
  /** Root that the leaves add up to; null when nothing was applied since they were cleared. */
  #root: Digest | null = null;

  constructor(parts: {
    readonly engine: Engine;
    readonly algo: HashAlgo;
    readonly meta: Pick<Meta, 'getMany'>;
    readonly heads: Pick<Heads, 'get' | 'children'>;
    readonly cachePath: string;
    readonly storeId: string;
    readonly guard: CacheGuard;
  }) {
    const { engine, algo, meta, heads, cachePath, storeId, guard } = parts;
    this.#engine = engine;
    this.#algo = algo;
    this.#meta = meta;
    this.#heads = heads;
    this.#place = { engine, guard, file: join(cachePath, 'leaves.idx'), storeId };
  }

  /** After a failed commit the leaves may be ahead of the metadata. */
  clear(): void {
    this.#directories.clear();
    this.#leafCount = 0;
    this.#sections = new Map();
    this.#root = null;
  }

  /** As `clear`, and nothing is kept from former runs. Throws DK_IO. */
  async forget(): Promise<void> {
    this.clear();
    await rm(this.#place.file, { force: true }).catch((error: unknown) => {
      throw fromSystemError(error, 'remove', this.#place.file);
    });
  }

  /** Keeps the leaves for the next run, if they are those of this checkpoint. A failure only means a slower commit. */
  async save(newest: Checkpoint | null): Promise<void> {
    if (newest === null || this.#root === null || !this.#root.equals(newest.root)) return;
    const known = { sections: this.#sections ?? new Map(), directories: this.#directories };
    await saveLeaves(this.#place, newest, known).catch(() => {});
  }

  /**
   * New root with these versions applied, and the metadata changes that keep the directory digests.
   * @param before the tree before them: none yet, the one of a checkpoint, or whatever the metadata says
   */
  async apply(
    versions: StagedVersions,
    before: Checkpoint | 'empty' | 'unknown',
  ): Promise<{ readonly root: Digest; readonly changes: MetaChange[] }> {
    if (this.#leafCount > LEAVES_MAX) this.clear();
    this.#sections ??= typeof before === 'object' ? await loadLeaves(this.#place, before) : new Map();
    const touched = new Set<BytePath>(['']);
    const removed: BytePath[] = [];
    for (const [path, type] of versions.types()) {
      if (type === VERSION_TYPE.directory) touched.add(path);
      else if (type === VERSION_TYPE.removed) removed.push(path);
      for (let up = path; up !== ''; ) {
        up = pathParent(up);
        if (touched.has(up)) break;
        touched.add(up);
      }
    }
    // Each is a few small reads, and most of their time is waiting.
    await inGroups([...touched], LOADED_AT_ONCE, (directory) => this.#load(directory, before === 'empty'));
    for (const batch of versions.batches(LEAVES_BATCH)) await this.#setPlain(batch.filter(isPlain));
    for (const path of removed) this.#drop(path);
    const result = await this.#rehash(touched, versions);
    this.#root = result.root;
    return result;
  }

  async #setPlain(plain: readonly Version[]): Promise<void> {
    const leaves = await leafDigests(this.#engine, this.#algo, plain);
    for (const [index, version] of plain.entries()) {
      this.#set(version.path, leafAt(leaves, index));
    }
  }

  /** Where the parent is not loaded (removed in the same checkpoint), the leaf is found when it is loaded again. */
  #set(path: BytePath, leaf: string): void {
    const leaves = this.#directories.get(pathParent(path));
    if (!leaves) return;
    const before = leaves.size;
    leaves.set(pathName(path), leaf);
    this.#leafCount += leaves.size - before;
  }

  #drop(path: BytePath): void {
    // The state directory stays, only its attributes are not known any more.
    if (path === '') return;
    if (this.#directories.get(pathParent(path))?.delete(pathName(path))) this.#leafCount -= 1;
    this.#leafCount -= this.#directories.get(path)?.size ?? 0;
    this.#directories.delete(path);
    this.#sections?.delete(path);
  }

  async #rehash(
    touched: ReadonlySet<BytePath>,
    versions: StagedVersions,
  ): Promise<{ readonly root: Digest; readonly changes: MetaChange[] }> {
    const changes: MetaChange[] = [];
    const order = deepestFirst(touched);
    const known = await this.#heads.get(order);
    let content: Digest = Buffer.alloc(32);
    for (const [index, directory] of order.entries()) {
      const version = versions.get(directory) ?? known[index];
      const alive = version?.type === VERSION_TYPE.directory;
      if (directory !== '' && !alive) {
        changes.push({ key: directoryKey(directory), value: null });
        if (version === undefined || version.type === VERSION_TYPE.removed) this.#drop(directory);
        continue;
      }
      content = directoryDigest(this.#engine, this.#algo, this.#directories.get(directory) ?? new Map());
      changes.push({ key: directoryKey(directory), value: content });
      if (version && directory !== '') {
        this.#set(directory, leafText(this.#engine.digest(this.#algo, leafBytes(version, content))));
      }
    }
    const root = versions.get('') ?? known[order.indexOf('')];
    return { root: rootDigest(this.#engine, this.#algo, root, content), changes };
  }

  async #load(directory: BytePath, empty: boolean): Promise<void> {
    if (this.#directories.has(directory)) return;
    const section = this.#sections?.get(directory);
    const kept = section && decodeSection(section);
    const leaves: Leaves = kept ?? new Map();
    this.#sections?.delete(directory);
    this.#directories.set(directory, leaves);
    this.#leafCount += leaves.size;
    if (empty || kept) return;
    for await (const children of this.#heads.children(directory)) {
      const plain = children.filter(isPlain);
      const digests = await leafDigests(this.#engine, this.#algo, plain);
      for (const [index, child] of plain.entries()) {
        leaves.set(pathName(child.path), leafAt(digests, index));
      }
      const inner = children.filter((child) => child.type === VERSION_TYPE.directory && child.path !== '');
      const contents = await this.#meta.getMany(inner.map((child) => directoryKey(child.path)));
      for (const [index, child] of inner.entries()) {
        const bytes = leafBytes(child, contents[index] ?? Buffer.alloc(32));
        leaves.set(pathName(child.path), leafText(this.#engine.digest(this.#algo, bytes)));
      }
    }
    this.#leafCount += leaves.size;
  }
}

function isPlain({ type }: Version): boolean {
  return type !== VERSION_TYPE.directory && type !== VERSION_TYPE.removed;
}
