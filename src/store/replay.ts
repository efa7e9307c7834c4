/**
 * Turns scanned records back into metadata: rolls complete checkpoints forward
 * after a crash, and rebuilds the whole index. A checkpoint counts when every
 * record of versions that it names was seen.
 */
import { DiffKeeperError, isDiffKeeperError, pathToText } from '../core/core.js';
import { CODEC, type Engine, type HashAlgo } from '../engine/engine.js';
import {
  type CheckpointRecord,
  type DecodedRecord,
  type Digest,
  decodeCheckpoint,
  decodeVersionsRecord,
  encodeVersion,
  hasSafePath,
  RECORD,
  type RecordKind,
  type Version,
} from '../format/format.js';
import { encodeBlobInfo, type RecordPlace } from './blob-index.js';
import { indexKind } from './dictionary-list.js';
import { HistoryView } from './history-view.js';
import { checkpointChanges, versionChanges } from './index-changes.js';
import type { MetaChange } from './meta.js';
import { blobKey } from './meta-keys.js';
import { isCompacted } from './pack-names.js';
import { type ScannedRecord, type ScanRange, scanPack } from './pack-scan.js';
import type { Packs } from './packs.js';
import type { DamageReport } from './types.js';

/** Content of a record of versions or of a checkpoint record, verified. Throws DK_CORRUPT_RECORD. */
export async function decodeMetaRecord(engine: Engine, algo: HashAlgo, record: DecodedRecord): Promise<Buffer> {
  const { head, payload } = record;
  if (head.codec !== CODEC.raw && head.codec !== CODEC.zstd) {
    throw new DiffKeeperError('DK_CORRUPT_RECORD', `a metadata record has codec ${head.codec}`);
  }
  const { data, status } = await engine.decodeBlobs({
    payloads: payload,
    payloadLengths: Uint32Array.of(payload.length),
    codecs: Uint8Array.of(head.codec),
    decodedLengths: Uint32Array.of(head.decodedBytes),
    contexts: new Uint8Array(0),
    contextLengths: Uint32Array.of(0),
    digests: head.digest,
    algo,
  });
  if (status[0] !== 0) throw new DiffKeeperError('DK_CORRUPT_RECORD', 'a metadata record does not decode');
  return data;
}

export interface ReplayedCheckpoint extends CheckpointRecord {
  readonly digest: Digest;
  readonly place: RecordPlace;
  readonly versions: readonly Version[];
  /** Blob index, heads, versions and the checkpoint itself; not the directory digests, not the newest state. */
  readonly changes: MetaChange[];
  /** Records of versions that it names and that were not seen: what they held is lost. */
  readonly missingParts: number;
  /**
   * Bytes that are no record stand before it, behind the checkpoint before or the beginning of its pack. So a commit
   * looks that a crash interrupted while the disk wrote it in another order; so does a damaged one.
   */
  readonly torn: boolean;
}

interface Part {
  readonly sequence: number;
  readonly place: RecordPlace;
  readonly versions: readonly Version[];
}

/** What to say about a checkpoint that is not whole. */
export function lostParts({ checkpoint, parts, missingParts }: ReplayedCheckpoint): DamageReport {
  const message = `${missingParts} of ${parts.length} records of versions are lost`;
  return { kind: 'checkpoint', where: `checkpoint ${checkpoint.sequence}`, message, affected: [] };
}

/** End of a checkpoint's record. */
export function endOf({ place }: ReplayedCheckpoint): { readonly pack: number; readonly length: number } {
  return { pack: place.pack, length: place.offset + place.recordBytes };
}

/**
 * Holds a torn checkpoint back until it is known whether it was committed: it was when the next one names it as its
 * predecessor, or when it stands before a length that is known to be committed.
 */
export class TornCommit {
  readonly #promised: { readonly pack: number; readonly length: number } | null;
  #held: ReplayedCheckpoint | null = null;

  constructor(promised: { readonly pack: number; readonly length: number } | null) {
    this.#promised = promised;
  }

  /** One that was never committed, as far as is known now: nobody was promised anything of it. */
  get held(): ReplayedCheckpoint | null {
    return this.#held;
  }

  /** Checkpoints that were committed, now that this one is known. */
  take(found: ReplayedCheckpoint): ReplayedCheckpoint[] {
    const before = this.#held;
    this.#held = found.torn && !this.#isPromised(found) ? found : null;
    const known = before?.digest.equals(found.previous) ? [before] : [];
    return this.#held ? known : [...known, found];
  }

  #isPromised(found: ReplayedCheckpoint): boolean {
    const { pack, length } = endOf(found);
    const promised = this.#promised;
    return promised !== null && (pack < promised.pack || (pack === promised.pack && length <= promised.length));
  }
}

/** A place in the log of commits, behind a checkpoint record. */
export interface LogEnd {
  readonly pack: number;
  readonly length: number;
}

/** Told of what is walked over. */
export interface WalkHooks {
  /** Each record that checks out. */
  readonly onRecord?: (record: DecodedRecord) => void;
  /** Where each record of versions or of a checkpoint stands that could be read, whether it counts or not. */
  readonly onHistory?: (place: RecordPlace) => void;
}

interface ReplayDamage {
  readonly pack: number;
  readonly offset: number;
  readonly message: string;
  /** The disk does not give it. Default false. */
  readonly unreadable?: boolean;
}

export class Replay {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #view: HistoryView;
  readonly #parts = new Map<string, Part>();
  #blobs: MetaChange[] = [];
  #torn = false;
  /** Newest checkpoint met: later ones have larger numbers. */
  #newest: number;
  #newestDigest: Digest | null = null;
  /** How many of them stand before a checkpoint record that a prune has replaced: nothing will cut them off. */
  #firm = 0;
  /** End of the last of these records. */
  replacedEnd: LogEnd | null = null;
  records = 0;
  readonly damage: ReplayDamage[] = [];

  /**
   * @param view which versions and checkpoints count; all of them by default
   * @param newest sequence of the checkpoint that all of them follow
   */
  constructor(engine: Engine, algo: HashAlgo, view: HistoryView = new HistoryView(null), newest = 0) {
    this.#engine = engine;
    this.#algo = algo;
    this.#view = view;
    this.#newest = newest;
  }

  /** Blob index entries gathered since they were last taken. */
  takeBlobs(): MetaChange[] {
    const taken = this.#blobs;
    this.#blobs = [];
    this.#firm = 0;
    return taken;
  }

  /** As `takeBlobs`, only of those that a replaced checkpoint record follows; the rest stays. */
  takeFirmBlobs(): MetaChange[] {
    const taken = this.#blobs.splice(0, this.#firm);
    this.#firm = 0;
    return taken;
  }

  /** Every record of a pack from `from` on; a damaged header is damage, not the end. Gives the checkpoints it holds. */
  async *walk(
    source: { readonly packs: Packs },
    range: ScanRange,
    hooks: WalkHooks = {},
  ): AsyncGenerator<ReplayedCheckpoint> {
    const { pack } = range;
    // A pack was durable before the next one was begun: a crash tears the one with the checkpoint record alone.
    this.#torn = false;
    try {
      const header = await source.packs.headerDamage(pack, range.loosely);
      if (header) this.#note({ pack, offset: 0, message: header.message, unreadable: header.code === 'DK_IO' });
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_CORRUPT_PACK')) throw error;
      this.damage.push({ pack, offset: 0, message: error.message });
      return;
    }
    for await (const scanned of scanPack(source.packs, range)) {
      if (scanned.kind === 'record') hooks.onRecord?.(scanned.record);
      const found = await this.#add(scanned, pack, hooks);
      if (found) yield found;
    }
  }

  async #add(scanned: ScannedRecord, pack: number, { onHistory }: WalkHooks): Promise<ReplayedCheckpoint | null> {
    if (scanned.kind === 'damage') {
      const { offset, message } = scanned;
      this.#note({ pack, offset, message, unreadable: scanned.unreadable > 0 });
      return null;
    }
    this.records += 1;
    const { record, place } = scanned;
    const { kind } = record.head;
    if (kind === RECORD.blob || kind === RECORD.recipe) {
      this.#addBlob(record, place, kind);
      return null;
    }
    try {
      const bytes = await decodeMetaRecord(this.#engine, this.#algo, record);
      if (kind === RECORD.prune) return null;
      if (kind === RECORD.checkpoint) {
        onHistory?.(place);
        return this.#finish(record, place, bytes);
      }
      const { sequence, versions } = decodeVersionsRecord(bytes);
      onHistory?.(place);
      if (!this.#view.counts(place.pack, sequence)) return null;
      for (const version of versions) if (!hasSafePath(version)) this.#refuse(version, place, pack);
      this.#parts.set(record.head.digest.toString('latin1'), { sequence, place, versions });
    } catch (error) {
      if (!isDiffKeeperError(error)) throw error;
      this.#note({ pack, offset: place.offset, message: error.message });
    }
    return null;
  }

  #note(damage: ReplayDamage): void {
    this.damage.push(damage);
    this.#torn = true;
  }

  /** Whoever made this record did not do it through this store. */
  #refuse(version: Version, place: RecordPlace, pack: number): void {
    const shown = JSON.stringify(pathToText(version.path));
    this.damage.push({ pack, offset: place.offset, message: `it holds a version with the unsafe path ${shown}` });
  }

  #addBlob(record: DecodedRecord, place: RecordPlace, kind: RecordKind): void {
    const { digest, decodedBytes, depth } = record.head;
    const info = { digest, ...place, decodedBytes, depth };
    this.#blobs.push({ key: blobKey(digest), value: encodeBlobInfo(info, indexKind(kind, record.contextList)) });
  }

  #finish(record: DecodedRecord, place: RecordPlace, bytes: Buffer): ReplayedCheckpoint | null {
    const decoded = decodeCheckpoint(bytes);
    const { sequence } = decoded.checkpoint;
    if (!this.#view.counts(place.pack, sequence)) {
      this.#torn = false;
      this.#firm = this.#blobs.length;
      if (!isCompacted(place.pack)) this.replacedEnd = { pack: place.pack, length: place.offset + place.recordBytes };
      return null;
    }
    // A prune that did not end has closed the log with the record that it ended with.
    if (sequence === this.#newest && this.#newestDigest?.equals(record.head.digest)) return null;
    if (sequence <= this.#newest) {
      // Commits count up: somebody has put a record here that stood elsewhere.
      this.#parts.clear();
      this.#note({ pack: place.pack, offset: place.offset, message: `checkpoint ${sequence} follows ${this.#newest}` });
      return null;
    }
    const changes = this.takeBlobs();
    const versions: Version[] = [];
    const partPlaces: RecordPlace[] = [];
    const apply = (part: Part): void => {
      for (const change of versionChanges(part.versions.map(encodeVersion), part)) changes.push(change);
      for (const version of part.versions) if (hasSafePath(version)) versions.push(version);
    };
    // Parts of an earlier sequence that no checkpoint named: its record is damaged, but what came after proves that
    // it was committed, because the bytes of an abandoned one are cut off before the next begins.
    for (const part of this.#parts.values()) if (part.sequence < sequence) apply(part);
    let missingParts = 0;
    for (const digest of decoded.parts) {
      const part = this.#parts.get(digest.toString('latin1'));
      if (part) {
        apply(part);
        partPlaces.push(part.place);
      } else missingParts += 1;
    }
    this.#parts.clear();
    // What a prune wrote was durable before its seal: damage there is damage.
    const torn = this.#torn && !isCompacted(place.pack);
    this.#torn = false;
    if (!torn) {
      this.#newest = sequence;
      this.#newestDigest = record.head.digest;
    }
    changes.push(checkpointChanges(decoded.checkpoint, place, partPlaces, bytes));
    return { ...decoded, digest: record.head.digest, place, versions, changes, missingParts, torn };
  }
}
