/** Values of the blob index and of the newest-state fact. */
import { LIMITS } from '../core/core.js';
import { ByteReader, ByteWriter, type Digest, RECORD_BYTES_MAX } from '../format/format.js';
import { NEWEST_KEY } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';
import type { BlobInfo } from './types.js';

const PACK_MAX = 0xffffffff;

/** Where a record stands. */
export interface RecordPlace {
  readonly pack: number;
  readonly offset: number;
  readonly recordBytes: number;
}

export function encodePlace(writer: ByteWriter, place: RecordPlace): ByteWriter {
  return writer.varint(place.pack).varint(place.offset).varint(place.recordBytes);
}

export function decodePlace(reader: ByteReader): RecordPlace {
  return {
    pack: reader.varint(PACK_MAX),
    offset: reader.varint(),
    recordBytes: reader.varint(RECORD_BYTES_MAX),
  };
}

/** What the index says of a blob. */
export type IndexedBlob = BlobInfo & { readonly kind: number };

/** @param kind as `indexKind` gave it */
export function encodeBlobInfo(info: BlobInfo, kind: number): Buffer {
  return encodePlace(new ByteWriter(24), info).varint(info.decodedBytes).u8(info.depth).u8(kind).finish();
}

/** Where the numbers of an entry are read to: a file of a long history is looked up by the thousands. */
const NUMBERS = new Float64Array(4);

export function decodeBlobInfo(bytes: Buffer, digest: Digest): IndexedBlob {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'blob index');
  reader.varints(NUMBERS, Number.MAX_SAFE_INTEGER);
  const pack = NUMBERS[0] as number;
  const recordBytes = NUMBERS[2] as number;
  const decodedBytes = NUMBERS[3] as number;
  if (pack > PACK_MAX || recordBytes > RECORD_BYTES_MAX || decodedBytes > LIMITS.blobBytes) {
    reader.fail('a number is too large');
  }
  return {
    digest,
    pack,
    offset: NUMBERS[1] as number,
    recordBytes,
    decodedBytes,
    depth: reader.u8(),
    kind: reader.u8(),
  };
}

/**
 * Where the newest checkpoint's record ends, or blobs that were kept behind it: what follows in the packs is not named by
 * the metadata. Sequence 0: blobs were kept, and there is no checkpoint yet.
 */
export interface NewestState {
  readonly sequence: number;
  readonly pack: number;
  readonly length: number;
  /** Digest of the newest checkpoint's record. */
  readonly checkpointDigest: Digest;
}

export function encodeNewest(state: NewestState): Buffer {
  return new ByteWriter(64)
    .varint(state.sequence)
    .varint(state.pack)
    .varint(state.length)
    .bytes(state.checkpointDigest)
    .finish();
}

export function decodeNewest(bytes: Buffer): NewestState {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_INDEX', 'newest state');
  return {
    sequence: reader.varint(),
    pack: reader.varint(0xffffffff),
    length: reader.varint(),
    checkpointDigest: Buffer.from(reader.bytes(32)),
  };
}

/** Null when nothing was committed yet. Throws DK_CORRUPT_INDEX. */
export async function readNewest(meta: MetaReader): Promise<NewestState | null> {
  const value = await meta.get(NEWEST_KEY);
  return value ? decodeNewest(value) : null;
}
