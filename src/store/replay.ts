/**
 * Turns scanned records back into metadata: rolls complete checkpoints forward
 * after a crash, and rebuilds the whole index. A checkpoint counts when every
 * record of versions that it names was seen.
 */
import { DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import { CODEC, type Engine, type HashAlgo } from '../engine/engine.js';
import {
  type CheckpointRecord,
  type DecodedRecord,
  type Digest,
  decodeCheckpoint,
  decodeVersionsRecord,
  RECORD,
  type RecordKind,
  type Version,
} from '../format/format.js';
import { encodeBlobInfo, type RecordPlace } from './blob-index.js';
import { checkpointChanges, versionChanges } from './index-changes.js';
import type { MetaChange } from './meta.js';
import { blobKey } from './meta-keys.js';
import type { ScannedRecord } from './pack-scan.js';

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
}

interface Part {
  readonly place: RecordPlace;
  readonly versions: readonly Version[];
}

export class Replay {
  readonly #engine: Engine;
  readonly #algo: HashAlgo;
  readonly #parts = new Map<string, Part>();
  #blobs: MetaChange[] = [];
  records = 0;
  readonly damage: { readonly pack: number; readonly offset: number; readonly message: string }[] = [];

  constructor(engine: Engine, algo: HashAlgo) {
    this.#engine = engine;
    this.#algo = algo;
  }

  /** Blob index entries gathered since they were last taken. */
  takeBlobs(): MetaChange[] {
    const taken = this.#blobs;
    this.#blobs = [];
    return taken;
  }

  async add(scanned: ScannedRecord, pack: number): Promise<ReplayedCheckpoint | null> {
    if (scanned.kind === 'damage') {
      this.damage.push({ pack, offset: scanned.offset, message: scanned.message });
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
      if (kind === RECORD.checkpoint) return this.#finish(record, place, bytes);
      const { versions } = decodeVersionsRecord(bytes);
      this.#parts.set(record.head.digest.toString('latin1'), { place, versions });
    } catch (error) {
      if (!isDiffKeeperError(error)) throw error;
      this.damage.push({ pack, offset: place.offset, message: error.message });
    }
    return null;
  }

  #addBlob(record: DecodedRecord, place: RecordPlace, kind: RecordKind): void {
    const { digest, decodedBytes, depth } = record.head;
    const info = { digest, ...place, decodedBytes, depth };
    this.#blobs.push({ key: blobKey(digest), value: encodeBlobInfo(info, kind) });
  }

  #finish(record: DecodedRecord, place: RecordPlace, bytes: Buffer): ReplayedCheckpoint {
    const decoded = decodeCheckpoint(bytes);
    const changes = this.takeBlobs();
    const versions: Version[] = [];
    const partPlaces: RecordPlace[] = [];
    let missingParts = 0;
    for (const digest of decoded.parts) {
      const part = this.#parts.get(digest.toString('latin1'));
      if (!part) {
        missingParts += 1;
        continue;
      }
      changes.push(...versionChanges(part.versions, part.place));
      versions.push(...part.versions);
      partPlaces.push(part.place);
    }
    this.#parts.clear();
    changes.push(checkpointChanges(decoded.checkpoint, place, partPlaces, bytes));
    return { ...decoded, digest: record.head.digest, place, versions, changes, missingParts };
  }
}
