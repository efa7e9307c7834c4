/** Checks each checkpoint of the history: its place in the chain, and the root of its tree, made anew from the packs. */
import { type BytePath, pathParent } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { type PruneRecord, VERSION_TYPE, type Version } from '../format/format.js';
import { OPEN_GUARD } from './cache-guard.js';
import { CheckpointChain } from './checkpoint-chain.js';
import type { ReplayedCheckpoint } from './replay.js';
import { StagedVersions } from './staged-versions.js';
import { TreeCache } from './tree-cache.js';
import type { DamageReport } from './types.js';

const CHILDREN_BATCH = 1000;

/** The tree as the packs tell it, in memory, in the place of the metadata. */
class ReplayedTree {
  readonly #versions = new Map<BytePath, Version>();
  readonly #children = new Map<BytePath, Set<BytePath>>();
  readonly #digests = new Map<string, Buffer>();

  async get(paths: readonly BytePath[]): Promise<(Version | undefined)[]> {
    return paths.map((path) => this.#versions.get(path));
  }

  async *children(directory: BytePath): AsyncGenerator<Version[]> {
    const paths = [...(this.#children.get(directory) ?? [])];
    for (let first = 0; first < paths.length; first += CHILDREN_BATCH) {
      yield paths.slice(first, first + CHILDREN_BATCH).map((path) => this.#versions.get(path) as Version);
    }
  }

  async getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return keys.map((key) => this.#digests.get(key.toString('latin1')));
  }

  take(versions: readonly Version[], digests: Iterable<{ readonly key: Buffer; readonly value: Buffer | null }>): void {
    for (const version of versions) this.#put(version);
    for (const { key, value } of digests) {
      if (value) this.#digests.set(key.toString('latin1'), value);
      else this.#digests.delete(key.toString('latin1'));
    }
  }

  /** Those of them that stand below something that is no directory, or have something below without being one. */
  misplaced(versions: readonly Version[]): Version[] {
    return versions.filter(({ path, type }) => {
      if (type === VERSION_TYPE.removed || path === '') return false;
      const parent = this.#versions.get(pathParent(path));
      if (parent && parent.type !== VERSION_TYPE.directory) return true;
      return type !== VERSION_TYPE.directory && (this.#children.get(path)?.size ?? 0) > 0;
    });
  }

  #put(version: Version): void {
    const { path } = version;
    const parent = pathParent(path);
    if (version.type === VERSION_TYPE.removed) {
      this.#versions.delete(path);
      this.#children.get(parent)?.delete(path);
      return;
    }
    this.#versions.set(path, version);
    const known = this.#children.get(parent);
    if (known) known.add(path);
    else this.#children.set(parent, new Set([path]));
  }
}

export class CheckpointCheck {
  readonly #chain: CheckpointChain;
  readonly #replayed = new ReplayedTree();
  readonly #tree: TreeCache;
  #first = true;
  #sound = true;
  /** Roots that were made anew and are right. */
  roots = 0;

  constructor(engine: Engine, algo: HashAlgo, prune: PruneRecord | null) {
    this.#chain = new CheckpointChain(prune);
    const heads = this.#replayed;
    this.#tree = new TreeCache({
      engine,
      algo,
      meta: this.#replayed,
      heads,
      cachePath: '',
      storeId: '',
      guard: OPEN_GUARD,
    });
  }

  /** Nothing more can be said about roots: something before them is lost, and told already. */
  giveUp(): void {
    this.#sound = false;
  }

  /** What is wrong with the next checkpoint, as far as the ones before it were sound. */
  async add(found: ReplayedCheckpoint): Promise<DamageReport[]> {
    if (found.missingParts > 0 || found.torn) this.giveUp();
    if (!this.#sound) return [];
    const { sequence, root } = found.checkpoint;
    const where = `checkpoint ${sequence}`;
    const damage: DamageReport[] = [];
    const broken = this.#chain.add(found);
    if (broken) damage.push(broken);
    const versions = StagedVersions.of(sequence, found.versions);
    const made = await this.#tree.apply(versions, this.#first ? 'empty' : 'unknown');
    this.#first = false;
    this.#replayed.take(found.versions, made.changes);
    const affected = this.#replayed.misplaced(found.versions).map(({ path }) => ({ path, sequence }));
    if (affected.length > 0) {
      const message = `${affected.length} below something that is no directory, or no directories and with something below`;
      damage.push({ kind: 'version', where, message, affected });
    }
    if (made.root.equals(root)) this.roots += 1;
    else {
      damage.push({ kind: 'root', where, message: 'the tree root differs from what the packs give', affected: [] });
      this.giveUp();
    }
    return damage;
  }
}
