/**
 * One checkpoint in the making. Order of a commit: blobs, versions and the
 * checkpoint record go to the pack; fdatasync; one synchronous metadata batch;
 * only then is it acknowledged.
 */
import { type BytePath, DiffKeeperError, LIMITS, pathName, pathParent } from '../core/core.js';
import { CODEC, type Engine, type HashAlgo } from '../engine/engine.js';
import {
  type Checkpoint,
  type Checksum,
  type Digest,
  type Extent,
  encodeCheckpoint,
  encodeRecord,
  encodeVersionsRecord,
  RECORD,
  type Recipe,
  removedVersion,
  TAG_BYTES_MAX,
  VERSION_TYPE,
  type Version,
} from '../format/format.js';
import { encodeNewest, type NewestState, type RecordPlace } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import type { BlobWriter } from './blob-writer.js';
import type { Heads } from './heads.js';
import { checkpointChanges, versionChanges } from './index-changes.js';
import type { Meta, MetaChange } from './meta.js';
import { NEWEST_KEY } from './meta-keys.js';
import type { Packs } from './packs.js';
import { writeRecipe } from './recipe-writer.js';
import type { TreeCache } from './tree-cache.js';
import { compareBytes } from './tree-root.js';
import type { BlobInput, CommitFacts, Transaction } from './types.js';

export interface TransactionParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly meta: Meta;
  readonly packs: Packs;
  readonly blobs: BlobStore;
  readonly heads: Heads;
  readonly tree: TreeCache;
  readonly writer: BlobWriter;
  readonly nowMs: number;
  readonly newest: Checkpoint | null;
  readonly newestDigest: Digest;
  /** Told exactly once how it ended; `metadataUnknown` when the metadata batch itself failed. */
  readonly ended: (outcome: CommitOutcome) => Promise<void>;
}

export type CommitOutcome =
  | { readonly kind: 'committed'; readonly checkpoint: Checkpoint; readonly state: NewestState }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'metadataUnknown' };

export class StoreTransaction implements Transaction {
  readonly #parts: TransactionParts;
  readonly #versions = new Map<BytePath, Version>();
  #open = true;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  get changes(): number {
    return this.#versions.size;
  }

  get #sequence(): number {
    return (this.#parts.newest?.sequence ?? 0) + 1;
  }

  #assertOpen(): void {
    if (!this.#open) throw new DiffKeeperError('DK_ARGUMENT', 'this transaction has ended');
  }

  async storeBlobs(inputs: readonly BlobInput[]): Promise<Digest[]> {
    this.#assertOpen();
    return this.#parts.writer.store(inputs);
  }

  async hasBlobs(digests: readonly Digest[]): Promise<boolean[]> {
    return this.#parts.writer.has(digests);
  }

  async storeRecipe(options: {
    readonly extents: readonly Extent[];
    readonly size: number;
    readonly digest: Digest;
    readonly source?: Version;
  }): Promise<Recipe> {
    this.#assertOpen();
    return writeRecipe(this.#parts.writer, this.#parts.blobs, options);
  }

  put(version: Version): void {
    this.#assertOpen();
    this.#versions.set(version.path, { ...version, sequence: this.#sequence });
  }

  remove(path: BytePath): void {
    this.#assertOpen();
    this.#versions.set(path, removedVersion(path, this.#sequence));
  }

  async commit(facts: CommitFacts = {}): Promise<Checkpoint | null> {
    this.#assertOpen();
    const tag = facts.tag ?? '';
    if (Buffer.byteLength(tag) > TAG_BYTES_MAX) throw new RangeError(`tag must have at most ${TAG_BYTES_MAX} bytes`);
    if (this.#versions.size === 0 && facts.force !== true && tag === '') {
      await this.abort();
      return null;
    }
    this.#open = false;
    const { packs, meta } = this.#parts;
    let changes: MetaChange[];
    let outcome: Extract<CommitOutcome, { kind: 'committed' }>;
    try {
      ({ changes, outcome } = await this.#appendRecords(facts, tag));
      await packs.sync();
    } catch (error) {
      await this.#parts.ended({ kind: 'aborted' });
      throw error;
    }
    try {
      await meta.write(changes, true);
    } catch (error) {
      await this.#parts.ended({ kind: 'metadataUnknown' });
      throw error;
    }
    packs.markCommitted();
    await this.#parts.ended(outcome);
    return outcome.checkpoint;
  }

  async #appendRecords(
    facts: CommitFacts,
    tag: string,
  ): Promise<{ changes: MetaChange[]; outcome: Extract<CommitOutcome, { kind: 'committed' }> }> {
    const { tree, writer, newest, newestDigest, packs } = this.#parts;
    const versions = this.#sorted();
    const totals = await this.#totals(versions);
    const { root, changes } = await tree.apply(this.#versions, newest === null);
    const parts: Digest[] = [];
    const partPlaces: RecordPlace[] = [];
    const placed: MetaChange[] = [];
    for (const part of splitVersions(versions)) {
      const bytes = encodeVersionsRecord(this.#sequence, part);
      const { place, digest } = await this.#appendMeta(RECORD.versions, bytes);
      parts.push(digest);
      partPlaces.push(place);
      placed.push(...versionChanges(part, place));
    }
    const checkpoint: Checkpoint = {
      sequence: this.#sequence,
      timeMs: this.#parts.nowMs,
      root,
      ...totals,
      storedBytes: writer.storedBytes,
      frozen: facts.frozen ?? false,
      pauseMs: facts.pauseMs ?? 0,
      tag,
    };
    const bytes = encodeCheckpoint({ checkpoint, previous: newestDigest, parts });
    const { place, digest } = await this.#appendMeta(RECORD.checkpoint, bytes);
    const { pack, length } = packs.position;
    const state: NewestState = { sequence: checkpoint.sequence, pack, length, checkpointDigest: digest };
    const newestChange = { key: NEWEST_KEY, value: encodeNewest(state) };
    const checkpointChange = checkpointChanges(checkpoint, place, partPlaces, bytes);
    return {
      changes: [...writer.changes, ...placed, ...changes, checkpointChange, newestChange],
      outcome: { kind: 'committed', checkpoint, state },
    };
  }

  async #appendMeta(
    kind: typeof RECORD.versions | typeof RECORD.checkpoint,
    bytes: Buffer,
  ): Promise<{ place: RecordPlace; digest: Digest }> {
    const { engine, algo, checksum, packs } = this.#parts;
    const digest = engine.digest(algo, bytes);
    const packed = bytes.length > 256 ? await engine.compress(bytes, { level: 3 }) : bytes;
    const smaller = packed.length < bytes.length;
    const record = encodeRecord(
      {
        kind,
        codec: smaller ? CODEC.zstd : CODEC.raw,
        depth: 0,
        digest,
        decodedBytes: bytes.length,
        contextList: Buffer.alloc(0),
        payload: smaller ? packed : bytes,
      },
      checksum,
    );
    const place = await packs.append(record);
    this.#parts.writer.storedBytes += record.length;
    return { place, digest };
  }

  /** By parent directory, then name: what belongs together compresses together. */
  #sorted(): Version[] {
    return [...this.#versions.values()].sort(
      (one, other) =>
        compareBytes(pathParent(one.path), pathParent(other.path)) ||
        compareBytes(pathName(one.path), pathName(other.path)),
    );
  }

  async #totals(
    versions: readonly Version[],
  ): Promise<{ entries: number; treeBytes: number; changed: number; removed: number; changedBytes: number }> {
    const { newest, heads } = this.#parts;
    const before = newest ? await heads.get(versions.map((version) => version.path)) : [];
    let entries = newest?.entries ?? 0;
    let treeBytes = newest?.treeBytes ?? 0;
    let removed = 0;
    let changedBytes = 0;
    for (const [index, version] of versions.entries()) {
      const old = before[index];
      if (old) {
        entries -= 1;
        treeBytes -= old.size;
      }
      if (version.type === VERSION_TYPE.removed) {
        removed += 1;
        continue;
      }
      entries += 1;
      treeBytes += version.size;
      if (version.type === VERSION_TYPE.file) changedBytes += version.size;
    }
    return { entries, treeBytes, changed: versions.length - removed, removed, changedBytes };
  }

  async abort(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#parts.ended({ kind: 'aborted' });
  }
}

/** Records of bounded size, estimated by the longest form of each version. */
function* splitVersions(versions: readonly Version[]): Generator<Version[]> {
  let part: Version[] = [];
  let bytes = 0;
  for (const version of versions) {
    const recipe = version.recipe;
    const recipeBytes = recipe.kind === 'regions' ? recipe.regions.length * 32 : recipe.kind === 'inline' ? 512 : 0;
    const size = 128 + version.path.length + version.xattrs.length + version.linkText.length + recipeBytes;
    if (part.length > 0 && bytes + size > LIMITS.versionsRecordBytes) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(version);
    bytes += size;
  }
  if (part.length > 0) yield part;
}
