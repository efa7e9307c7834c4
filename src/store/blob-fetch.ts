/** Blob records out of the packs: located by the index, checked, not decoded yet. */
import { DiffKeeperError, inGroups, isDiffKeeperError } from '../core/core.js';
import {
  type Checksum,
  type DecodedRecord,
  type Digest,
  decodeExtents,
  decodeRecord,
  digestKey,
  type Extent,
} from '../format/format.js';
import { decodeBlobInfo } from './blob-index.js';
import type { BufferPool } from './buffer-pool.js';
import type { Meta } from './meta.js';
import { blobKey } from './meta-keys.js';
import type { Packs } from './packs.js';
import type { BlobInfo } from './types.js';

/** Neighbouring records are read together when the gap between them is at most this. */
const READ_GAP_BYTES = 64 << 10;
const READ_RUN_BYTES = 1 << 20;
/** Reads under way for one request. */
const READS_AT_ONCE = 4;

export interface CodedBlob {
  readonly key: string;
  /** Bytes of the pack that the record's payload is a view of. */
  readonly run: Buffer;
  readonly record: DecodedRecord;
  readonly context: readonly Extent[];
}

export class BlobFetch {
  readonly #meta: Meta;
  readonly #packs: Packs;
  readonly #checksum: Checksum;

  constructor(parts: { meta: Meta; packs: Packs; checksum: Checksum }) {
    this.#meta = parts.meta;
    this.#packs = parts.packs;
    this.#checksum = parts.checksum;
  }

  async infos(digests: readonly Digest[]): Promise<(BlobInfo | undefined)[]> {
    const values = await this.#meta.getMany(digests.map(blobKey));
    return values.map((value, index) => (value ? decodeBlobInfo(value, digests[index] as Digest) : undefined));
  }

  /** Where these blobs are; those that are not indexed go into `failed`. */
  async locate(digests: readonly Digest[], failed: Map<string, Error>): Promise<BlobInfo[]> {
    const infos = await this.infos(digests);
    const places: BlobInfo[] = [];
    for (const [index, info] of infos.entries()) {
      const digest = digests[index] as Digest;
      if (info) places.push(info);
      else failed.set(digestKey(digest), notIndexed(digest));
    }
    return places;
  }

  /** Their records, in pack order; what cannot be read goes into `failed`. */
  async fetch(infos: readonly BlobInfo[], failed: Map<string, Error>, pool?: BufferPool): Promise<CodedBlob[]> {
    const places = [...infos].sort((one, other) => one.pack - other.pack || one.offset - other.offset);
    // Side by side: a disk that has to seek, or is far away, is asked for several places at once.
    const found = await inGroups([...groupPlaces(places)], READS_AT_ONCE, (group) =>
      this.#fetchGroup(group, failed, pool),
    );
    return found.flat();
  }

  /** Records that stand close together in one pack: one read. */
  async #fetchGroup(
    group: readonly BlobInfo[],
    failed: Map<string, Error>,
    pool: BufferPool | undefined,
  ): Promise<CodedBlob[]> {
    const first = group[0] as BlobInfo;
    const last = group[group.length - 1] as BlobInfo;
    let bytes: Buffer;
    try {
      const length = last.offset + last.recordBytes - first.offset;
      bytes = await this.#packs.read(first.pack, first.offset, length, pool?.take(length));
    } catch (error) {
      for (const info of group) failed.set(digestKey(info.digest), asError(error));
      return [];
    }
    const coded: CodedBlob[] = [];
    for (const info of group) {
      const key = digestKey(info.digest);
      const at = info.offset - first.offset;
      try {
        const record = decodeRecord(bytes.subarray(at, at + info.recordBytes), info.offset, this.#checksum);
        if (!record.head.digest.equals(info.digest)) {
          throw new DiffKeeperError('DK_CORRUPT_INDEX', `the index points at another blob in pack ${info.pack}`);
        }
        const { depth, decodedBytes } = record.head;
        if (depth !== info.depth || decodedBytes !== info.decodedBytes) {
          throw new DiffKeeperError('DK_CORRUPT_INDEX', `the index describes another blob in pack ${info.pack}`);
        }
        const context = record.contextList.length > 0 ? decodeExtents(record.contextList) : [];
        coded.push({ key, run: bytes, record, context });
      } catch (error) {
        failed.set(key, inPack(error, this.#packs.file(info.pack)));
      }
    }
    return coded;
  }
}

function notIndexed(digest: Digest): Error {
  const name = digest.toString('hex');
  return new DiffKeeperError('DK_CORRUPT_INDEX', `blob ${name} is not in the index: run \`diffkeeper repair\``, {
    name,
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function inPack(error: unknown, file: string): Error {
  if (!isDiffKeeperError(error)) return asError(error);
  return new DiffKeeperError(error.code, `${file}: ${error.message}`, { ...error.facts, path: file }, error);
}

function* groupPlaces(places: readonly BlobInfo[]): Generator<BlobInfo[]> {
  let group: BlobInfo[] = [];
  let start = 0;
  let end = 0;
  for (const place of places) {
    const placeEnd = place.offset + place.recordBytes;
    const near = group[0]?.pack === place.pack && place.offset - end <= READ_GAP_BYTES;
    if (group.length > 0 && !(near && placeEnd - start <= READ_RUN_BYTES)) {
      yield group;
      group = [];
    }
    if (group.length === 0) start = place.offset;
    group.push(place);
    end = placeEnd;
  }
  if (group.length > 0) yield group;
}
