/** Records of an open store for another one, and taking over what another one has. */
import { type BytePath, DiffKeeperError } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import {
  type Checkpoint,
  type Checksum,
  type Digest,
  decodeRecord,
  decodeVersionsRecord,
  RECORD,
  removedVersion,
  type Version,
} from '../format/format.js';
import type { IndexedBlob, RecordPlace } from './blob-index.js';
import type { BlobStore } from './blob-store.js';
import { blobsOfList } from './blob-uses.js';
import { readCondensed } from './condensed-mark.js';
import type {
  BlobDescription,
  CheckpointDraft,
  HistoryItem,
  MissingBlobs,
  StoreExchange,
  VersionSpool,
} from './exchange-types.js';
import { decodeStoredCheckpoint } from './index-changes.js';
import type { Meta } from './meta.js';
import { checkpointKey } from './meta-keys.js';
import { MissingSearch } from './missing-blobs.js';
import { PackWindow } from './pack-window.js';
import type { Packs } from './packs.js';
import { readPrune } from './prune-state.js';
import { checkPutVersion } from './put-check.js';
import type { ReadLeases } from './read-leases.js';
import { decodeMetaRecord } from './replay.js';
import { StagedVersions } from './staged-versions.js';
import type { AdoptedCheckpoint, StoreTransaction } from './transaction.js';
import type { BlobInfo } from './types.js';
import { SpoolFile } from './version-spool.js';

/** Of the mark of condensed packs, which is a random number, so much tells one from another. */
const MARKS = 65_536;

export interface ExchangeParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly meta: Meta;
  readonly packs: Packs;
  readonly blobs: BlobStore;
  readonly leases: ReadLeases;
  /** Resolves when the metadata may be read. */
  readonly readable: () => Promise<void>;
  readonly begin: (adopted?: AdoptedCheckpoint) => StoreTransaction;
  readonly newest: () => Checkpoint | null;
  /** Directory of what has arrived in part. */
  readonly incoming: string;
}

export class OpenExchange implements StoreExchange {
  readonly #parts: ExchangeParts;

  constructor(parts: ExchangeParts) {
    this.#parts = parts;
  }

  get encrypted(): boolean {
    return this.#parts.packs.records.sealed;
  }

  async pruneMark(): Promise<number> {
    await this.#parts.readable();
    const { meta } = this.#parts;
    const pruned = (await readPrune(meta))?.lastPack ?? 0;
    return pruned * MARKS + ((await readCondensed(meta)) % MARKS);
  }

  async *history(after: number): AsyncGenerator<HistoryItem> {
    await this.#parts.readable();
    const range = { gte: checkpointKey(after + 1), lt: checkpointKey(Number.MAX_SAFE_INTEGER) };
    for await (const entries of this.#parts.meta.range(range)) {
      for (const [, value] of entries) {
        const stored = decodeStoredCheckpoint(value);
        yield { checkpoint: stored.checkpoint, versionsBytes: this.#plainBytes(stored.partPlaces) };
      }
    }
  }

  async readVersions(sequence: number, offset: number, bytes: number): Promise<Buffer> {
    await this.#parts.readable();
    const { leases, meta, packs } = this.#parts;
    return leases.during(async () => {
      const value = await meta.get(checkpointKey(sequence));
      if (!value) {
        throw new DiffKeeperError('DK_NOT_FOUND', `there is no checkpoint ${sequence} any more`, { actual: sequence });
      }
      const pieces: Buffer[] = [];
      let at = 0;
      let left = bytes;
      for (const place of decodeStoredCheckpoint(value).partPlaces) {
        const recordBytes = this.#plainBytes([place]);
        const skip = Math.max(0, offset - at);
        at += recordBytes;
        if (skip >= recordBytes || left === 0) continue;
        const count = Math.min(left, recordBytes - skip);
        pieces.push(await this.#readPlain(packs, place, { skip, count }));
        left -= count;
      }
      return Buffer.concat(pieces);
    });
  }

  /** Of these records in their plain form. */
  #plainBytes(places: readonly RecordPlace[]): number {
    const { extraBytes } = this.#parts.packs.records;
    return places.reduce((sum, place) => sum + place.recordBytes - extraBytes, 0);
  }

  async #readPlain(
    packs: Packs,
    { pack, offset, recordBytes }: RecordPlace,
    { skip, count }: { readonly skip: number; readonly count: number },
  ): Promise<Buffer> {
    const { records } = packs;
    if (!records.sealed) return packs.read(pack, offset + skip, count);
    const bytes = await packs.read(pack, offset, recordBytes);
    return records.toPlain(bytes, records.decode(bytes, offset)).subarray(skip, skip + count);
  }

  async parseVersions(record: Buffer): Promise<{ readonly sequence: number; readonly versions: readonly Version[] }> {
    const { engine, algo, checksum } = this.#parts;
    const decoded = decodeRecord(record, 0, checksum);
    if (decoded.head.kind !== RECORD.versions) {
      throw new DiffKeeperError('DK_CORRUPT_RECORD', `a record of versions is of kind ${decoded.head.kind}`);
    }
    return decodeVersionsRecord(await decodeMetaRecord(engine, algo, decoded));
  }

  spool({ sequence, timeMs }: Checkpoint, mark: number): Promise<VersionSpool> {
    const { incoming, packs } = this.#parts;
    return SpoolFile.open(incoming, `${sequence}-${timeMs}-${mark}`, packs.records);
  }

  async describe(digests: readonly Digest[]): Promise<(BlobDescription | undefined)[]> {
    await this.#parts.readable();
    const { leases, blobs, packs } = this.#parts;
    return leases.during(async () => {
      const infos = await blobs.infos(digests);
      const window = new PackWindow(packs);
      const found = new Map<BlobInfo, BlobDescription>();
      for (const info of inPackOrder(infos)) found.set(info, await this.#describe(info, window));
      return infos.map((info) => (info ? found.get(info) : undefined));
    });
  }

  async #describe(info: IndexedBlob, window: PackWindow): Promise<BlobDescription> {
    const { digest, depth, pack, offset } = info;
    const recordBytes = this.#plainBytes([info]);
    const kind = info.kind === RECORD.recipe ? 'recipe' : 'blob';
    if (depth === 0) return { digest, kind, depth, recordBytes, contexts: [] };
    const found = await window.contextList(pack, offset);
    if (!found.digest.equals(digest)) {
      throw new DiffKeeperError('DK_CORRUPT_INDEX', `the index points at another blob in pack ${pack}`);
    }
    const contexts = found.list.length > 0 ? blobsOfList(found.list).map((one) => Buffer.from(one)) : [];
    return { digest, kind, depth, recordBytes, contexts };
  }

  async records(digests: readonly Digest[], bytesMax = Number.MAX_SAFE_INTEGER): Promise<Buffer[]> {
    await this.#parts.readable();
    const { leases, blobs, packs } = this.#parts;
    return leases.during(async () => {
      const infos = await blobs.infos(digests);
      const bytes = this.#plainBytes(infos.filter((info) => info !== undefined));
      if (bytes > bytesMax) {
        throw new DiffKeeperError('DK_LIMIT', `${bytes} bytes of records at once`, {
          expected: bytesMax,
          actual: bytes,
        });
      }
      const window = new PackWindow(packs);
      const found = new Map<BlobInfo, Buffer>();
      for (const info of inPackOrder(infos)) {
        const { bytes, record } = await window.record(info.pack, info.offset);
        if (!record.head.digest.equals(info.digest)) {
          throw new DiffKeeperError('DK_CORRUPT_INDEX', `the index points at another blob in pack ${info.pack}`);
        }
        found.set(info, Buffer.from(packs.records.toPlain(bytes, record)));
      }
      return infos.map((info, index) => {
        const record = info && found.get(info);
        if (record) return record;
        const name = (digests[index] as Digest).toString('hex');
        throw new DiffKeeperError('DK_CORRUPT_INDEX', `blob ${name} is not in the index`, { name });
      });
    });
  }

  async has(digests: readonly Digest[]): Promise<boolean[]> {
    await this.#parts.readable();
    return (await this.#parts.blobs.infos(digests)).map((info) => info !== undefined);
  }

  async missing(versions: readonly Version[], complete: Set<string>): Promise<MissingBlobs> {
    await this.#parts.readable();
    return new MissingSearch(this.#parts.blobs).run(versions, complete);
  }

  async keepBlobs(records: readonly Buffer[]): Promise<void> {
    const transaction = this.#parts.begin();
    try {
      await transaction.storeRecords(records);
      await transaction.keepBlobs();
    } catch (error) {
      await transaction.abort();
      throw error;
    }
  }

  draft(checkpoint: Checkpoint): CheckpointDraft {
    const newest = this.#parts.newest()?.sequence ?? 0;
    if (checkpoint.sequence <= newest) {
      throw new DiffKeeperError(
        'DK_ARGUMENT',
        `checkpoint ${checkpoint.sequence} does not follow checkpoint ${newest}`,
      );
    }
    return new Draft(this.#parts, checkpoint, () => this.pruneMark());
  }
}

function inPackOrder<Info extends BlobInfo>(infos: readonly (Info | undefined)[]): Info[] {
  const known = infos.filter((info) => info !== undefined);
  return known.sort((one, other) => one.pack - other.pack || one.offset - other.offset);
}

class Draft implements CheckpointDraft {
  readonly #parts: ExchangeParts;
  readonly #checkpoint: Checkpoint;
  readonly #mark: () => Promise<number>;
  readonly #versions: StagedVersions;

  constructor(parts: ExchangeParts, checkpoint: Checkpoint, mark: () => Promise<number>) {
    this.#parts = parts;
    this.#checkpoint = checkpoint;
    this.#mark = mark;
    this.#versions = new StagedVersions(checkpoint.sequence);
  }

  put(versions: readonly Version[]): void {
    for (const version of versions) {
      try {
        checkPutVersion(version);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        throw new DiffKeeperError('DK_CORRUPT_RECORD', `a version was refused: ${error.message}`, {}, error);
      }
      this.#versions.put(version);
    }
  }

  remove(path: BytePath): void {
    this.put([removedVersion(path, this.#checkpoint.sequence)]);
  }

  async commit(mark: number): Promise<boolean> {
    const transaction = this.#parts.begin({ checkpoint: this.#checkpoint, versions: this.#versions });
    try {
      // No prune ends while a transaction is open.
      if ((await this.#mark()) !== mark) {
        await transaction.abort();
        return false;
      }
      const { frozen, pauseMs, tag } = this.#checkpoint;
      await transaction.commit({ frozen, pauseMs, tag, force: true });
      return true;
    } catch (error) {
      await transaction.abort();
      throw error;
    }
  }
}
