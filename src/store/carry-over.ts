/**
 * What the metadata before a rebuild still has and no pack any more. Of versions it has copies as heads, of checkpoints
 * their whole records, each with a checksum; all else of a version stands in the packs alone.
 */
import { type BytePath, isDiffKeeperError, LIMITS, type Logger } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { startDigest } from '../engine/load.js';
import {
  type Checkpoint,
  type Digest,
  encodeCheckpoint,
  hasSafePath,
  type PruneRecord,
  removedVersion,
  VERSION_TYPE,
  type Version,
  versionTrouble,
} from '../format/format.js';
import { readNewest } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { Heads } from './heads.js';
import { keptFor } from './history-plan.js';
import { decodeStoredCheckpoint } from './index-changes.js';
import type { Affected } from './lost-versions.js';
import { forgottenKeys } from './lost-versions.js';
import type { Meta } from './meta.js';
import { checkpointSequence, KEY_LETTER, ownVersionRange, prefixRange, versionKeyFacts } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import { readPrune } from './prune-state.js';
import { RecipeReader } from './version-reader.js';

const CHECKPOINTS = prefixRange(Buffer.from([KEY_LETTER.checkpoint]));

export interface CarryParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  /** As the packs alone give it. */
  readonly meta: Meta;
  readonly blobs: BlobStore;
  readonly logger: Logger;
}

export interface Carried {
  /** Those that the packs have lost. */
  readonly checkpoints: ReadonlyMap<number, Checkpoint>;
  /** Those that the packs have lost, with the sequence that each has. */
  readonly versions: readonly Version[];
  /** What cannot be had. */
  readonly lost: readonly Affected[];
  /** Checkpoints that the packs still have, and that a prune had dropped. */
  readonly dropped: ReadonlySet<number>;
}

/** Whether a version can be given back: every blob of its content, and the content as a whole. Throws DK_IO. */
export async function isReadable(
  { blobs, algo }: Pick<CarryParts, 'blobs' | 'algo'>,
  version: Version,
): Promise<boolean> {
  if (version.type === VERSION_TYPE.removed) return hasSafePath(version);
  if (!hasSafePath(version) || versionTrouble(version) !== null) return false;
  if (version.type === VERSION_TYPE.directory) return true;
  const digest = await startDigest(algo);
  try {
    if (version.type === VERSION_TYPE.symlink) digest.update(version.linkText);
    else {
      const reader = new RecipeReader(blobs, version);
      for (let offset = 0; offset < version.size; offset += LIMITS.windowBytes) {
        digest.update(await reader.read(offset, Math.min(LIMITS.windowBytes, version.size - offset)));
      }
    }
  } catch (error) {
    if (isDiffKeeperError(error) && error.code.startsWith('DK_CORRUPT')) return false;
    throw error;
  }
  return version.digest?.equals(digest.digest()) === true;
}

/**
 * Compares the metadata before with what the packs gave. What of it is damaged is passed over.
 *
 * @param aside where the metadata before was put
 * @param hollow a seal without a history: what the packs gave is as if that prune had never been
 */
export async function findCarried(
  parts: CarryParts,
  aside: string,
  hollow: PruneRecord | null = null,
): Promise<Carried> {
  const search = new CarrySearch(parts, hollow);
  try {
    const before = await parts.meta.openAside(aside);
    try {
      await search.run(before);
    } finally {
      await before.close();
    }
  } catch (error) {
    // Only damage says that it knows no more: what could not be opened or read this time may know it the next time.
    if (!isDiffKeeperError(error) || !error.code.startsWith('DK_CORRUPT')) throw error;
    parts.logger.warn(
      { reason: error.message },
      'the metadata before cannot be read to its end: it may have known more',
    );
  }
  return search.found();
}

class CarrySearch {
  readonly #parts: CarryParts;
  readonly #hollow: PruneRecord | null;
  readonly #checkpoints = new Map<number, Checkpoint>();
  readonly #versions: Version[] = [];
  readonly #lost: Affected[] = [];
  readonly #dropped = new Set<number>();
  /** Lost checkpoints of which a version is left. */
  readonly #alive = new Set<number>();
  /** Of a prune that the metadata before had followed, the checkpoints that it kept, ascending; else null. */
  #kept: number[] | null = null;

  constructor(parts: CarryParts, hollow: PruneRecord | null) {
    this.#parts = parts;
    this.#hollow = hollow;
  }

  async run(before: MetaReader): Promise<void> {
    const { meta } = this.#parts;
    const sealed = await readPrune(meta);
    const newest = Math.max((await readNewest(meta))?.sequence ?? 0, sealed?.sequence ?? 0);
    this.#kept = await this.#keptBefore(before);
    await this.#findCheckpoints(before, newest);
    const heads = new Heads(before);
    const whole = await hasAllHeads(before);
    const seen = (sequence: number): void => void (this.#checkpoints.has(sequence) && this.#alive.add(sequence));
    for await (const forgotten of forgottenKeys(before, meta, seen)) {
      const copies = await heads.get(forgotten.map(({ path }) => path));
      for (const [index, one] of forgotten.entries()) {
        const version = one.sequence <= newest ? await this.#copyOf(one, copies[index], whole ? before : null) : null;
        if (version && (await isReadable(this.#parts, version))) {
          this.#versions.push(version);
          seen(one.sequence);
        } else if (await this.#standsRenamed(one)) seen(one.sequence);
        else this.#lost.push(one);
      }
    }
    await this.#findDropped();
  }

  async #keptBefore(before: MetaReader): Promise<number[] | null> {
    const followed = this.#hollow && (await readPrune(before));
    if (!this.#hollow || followed?.lastPack !== this.#hollow.lastPack) return null;
    const kept: number[] = [];
    for await (const entries of before.range(CHECKPOINTS)) {
      for (const [key] of entries) kept.push(checkpointSequence(key));
    }
    return kept;
  }

  /** A prune gives what it keeps of dropped checkpoints the sequence of the next one: in the log it has the old one. */
  async #standsRenamed({ path, sequence }: Affected): Promise<boolean> {
    if (!this.#kept) return false;
    const before = this.#kept[keptFor(this.#kept, sequence) - 1] ?? 0;
    for await (const entries of this.#parts.meta.range(ownVersionRange(path), { reverse: true })) {
      for (const [key] of entries) {
        const found = versionKeyFacts(key).sequence;
        if (found <= sequence) return found > before;
      }
    }
    return false;
  }

  /** Runs last: metadata that cannot be read to its end does not say what was dropped. */
  async #findDropped(): Promise<void> {
    if (!this.#kept || !this.#hollow) return;
    const kept = new Set(this.#kept);
    for await (const entries of this.#parts.meta.range(CHECKPOINTS)) {
      for (const [key] of entries) {
        const sequence = checkpointSequence(key);
        if (sequence < this.#hollow.sequence && !kept.has(sequence)) this.#dropped.add(sequence);
      }
    }
  }

  /** The version of which a head is the copy; of the newest of a path without a head it is known that it is a removal. */
  async #copyOf(
    { path, sequence }: Affected,
    head: Version | undefined,
    whole: MetaReader | null,
  ): Promise<Version | null> {
    if (head) return head.sequence === sequence ? head : null;
    return whole && (await newestOf(whole, path)) === sequence ? removedVersion(path, sequence) : null;
  }

  /** Checkpoints that only the metadata has, as far as the next one names them as its predecessor. */
  async #findCheckpoints(before: MetaReader, newest: number): Promise<void> {
    const { engine, algo, meta } = this.#parts;
    const [state, followed] = [await readNewest(before), await readPrune(before)];
    let waiting: { readonly checkpoint: Checkpoint; readonly digest: Digest } | null = null;
    const settle = (previous: Digest | undefined): void => {
      // A prune gives its last checkpoint another record than the one that is named.
      const proven =
        waiting && (waiting.checkpoint.sequence === followed?.sequence || previous?.equals(waiting.digest));
      if (waiting && proven) this.#checkpoints.set(waiting.checkpoint.sequence, waiting.checkpoint);
      waiting = null;
    };
    for await (const entries of before.range(CHECKPOINTS)) {
      const known = await meta.getMany(entries.map(([key]) => key));
      for (const [index, [, value]] of entries.entries()) {
        const stored = decodeStoredCheckpoint(value);
        settle(stored.previous);
        // Of a checkpoint that stands in the log the tag may be an old one.
        const isKnown = known[index] && !this.#hollow;
        if (isKnown || stored.checkpoint.sequence > newest) continue;
        waiting = { checkpoint: stored.checkpoint, digest: engine.digest(algo, encodeCheckpoint(stored)) };
      }
    }
    settle(state?.checkpointDigest);
  }

  found(): Carried {
    // One of which no version is left would say that nothing happened.
    const kept = [...this.#checkpoints].filter(
      ([sequence, { changed, removed }]) => this.#alive.has(sequence) || changed + removed === 0,
    );
    return { checkpoints: new Map(kept), versions: this.#versions, lost: this.#lost, dropped: this.#dropped };
  }
}

/** LevelDB can lose keys without a word: that a path has no head says something when none is missing. */
async function hasAllHeads(meta: MetaReader): Promise<boolean> {
  let heads = 0;
  for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.head])))) heads += entries.length;
  for await (const entries of meta.range(prefixRange(Buffer.from([KEY_LETTER.checkpoint])), {
    reverse: true,
    limit: 1,
  })) {
    for (const [, value] of entries) return decodeStoredCheckpoint(value).checkpoint.entries === heads;
  }
  return false;
}

async function newestOf(meta: MetaReader, path: BytePath): Promise<number> {
  for await (const entries of meta.range(ownVersionRange(path), { reverse: true, limit: 1 })) {
    for (const [key] of entries) return versionKeyFacts(key).sequence;
  }
  return 0;
}
