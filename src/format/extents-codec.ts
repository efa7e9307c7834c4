/**
 * Extent lists: the content of recipe blobs, and the context list of records.
 *
 *   list    := varint blobs, digest[32] * blobs, varint extents,
 *              blob column, offset column, length column
 *   blob    := varint per extent: 0 = zeros, n = the n-th digest
 *   offset  := varint per extent whose blob is not 0
 *   length  := varint per extent, at least 1; up to the largest file for zeros, up to the largest blob otherwise
 *
 * Columns keep like beside like, so that a recipe coded against its predecessor
 * shrinks to what changed.
 *
 * Lists of a fragmented file have tens of thousands of extents, walked by a process that has just started: plain index
 * loops, because an iterator makes an object per step until the code is optimised.
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import { ByteReader, ByteWriter } from './bytes.js';
import { digestKey } from './digest-key.js';
import type { Digest, Extent } from './types.js';

export function encodeExtents(extents: readonly Extent[]): Buffer {
  const indexes = new Map<string, number>();
  const digests: Digest[] = [];
  const column = new Uint32Array(extents.length);
  for (let index = 0; index < extents.length; index += 1) {
    const { digest } = extents[index] as Extent;
    if (digest === null) continue;
    const key = digestKey(digest);
    const known = indexes.get(key) ?? digests.push(digest);
    indexes.set(key, known);
    column[index] = known;
  }
  const writer = new ByteWriter(64 + digests.length * 32 + extents.length * 8);
  writer.varint(digests.length);
  for (const digest of digests) writer.bytes(digest);
  writer.varint(extents.length);
  for (let index = 0; index < column.length; index += 1) writer.varint(column[index] as number);
  for (let index = 0; index < extents.length; index += 1) {
    const { digest, offset } = extents[index] as Extent;
    if (digest !== null) writer.varint(offset);
  }
  for (let index = 0; index < extents.length; index += 1) writer.varint((extents[index] as Extent).length);
  return writer.finish();
}

/** An extent list as columns: an object for each of tens of thousands of extents costs more than reading their bytes. */
export interface ExtentColumns {
  readonly digests: readonly Digest[];
  /** Per extent the number of its digest, counted from 1; 0 for a run of zeros. */
  readonly blobs: Uint32Array;
  /** First byte inside the blob; 0 for a run of zeros. */
  readonly offsets: Uint32Array;
  readonly lengths: Float64Array;
}

/** Throws DK_CORRUPT_RECIPE. Offsets and lengths are checked against the largest blob; zeros may be longer. */
export function decodeExtentColumns(bytes: Uint8Array): ExtentColumns {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_RECIPE', 'extent list');
  const blobCount = reader.varint(LIMITS.regionExtents);
  const digests: Digest[] = [];
  for (let index = 0; index < blobCount; index += 1) digests.push(reader.bytes(32));
  const count = reader.varint(LIMITS.regionExtents);
  if (count * 2 > reader.left) reader.fail(`expected ${count} extents`);
  const blobs = new Uint32Array(count);
  reader.varints(blobs, blobCount);
  const offsets = readOffsets(reader, blobs);
  const lengths = new Float64Array(count);
  reader.varints(lengths, LIMITS.fileBytes);
  for (let index = 0; index < count; index += 1) {
    const length = lengths[index] as number;
    if (length === 0) reader.fail('an extent is empty');
    if (blobs[index] !== 0 && (offsets[index] as number) + length > LIMITS.blobBytes) {
      reader.fail('an extent ends outside its blob');
    }
  }
  reader.expectEnd();
  return { digests, blobs, offsets, lengths };
}

/** The offset column leaves out runs of zeros. */
function readOffsets(reader: ByteReader, blobs: Uint32Array): Uint32Array {
  let named = 0;
  for (let index = 0; index < blobs.length; index += 1) if (blobs[index] !== 0) named += 1;
  const given = new Uint32Array(named);
  reader.varints(given, LIMITS.blobBytes);
  if (named === blobs.length) return given;
  const offsets = new Uint32Array(blobs.length);
  let next = 0;
  for (let index = 0; index < blobs.length; index += 1) {
    if (blobs[index] === 0) continue;
    offsets[index] = given[next] as number;
    next += 1;
  }
  return offsets;
}

/** As `decodeExtentColumns`, an object per extent. */
export function decodeExtents(bytes: Uint8Array): Extent[] {
  const { digests, blobs, offsets, lengths } = decodeExtentColumns(bytes);
  const extents: Extent[] = [];
  for (let index = 0; index < blobs.length; index += 1) {
    const blob = blobs[index] as number;
    const digest = blob === 0 ? null : (digests[blob - 1] as Digest);
    extents.push({ digest, offset: offsets[index] as number, length: lengths[index] as number });
  }
  return extents;
}

/** Joins extents that continue one another, as a writer must before storing them. */
export function mergeExtents(extents: readonly Extent[]): Extent[] {
  const merged: Extent[] = [];
  let last: Extent | undefined;
  for (let index = 0; index < extents.length; index += 1) {
    const extent = extents[index] as Extent;
    if (extent.length === 0) continue;
    if (last && continues(last, extent)) {
      last = { digest: last.digest, offset: last.offset, length: last.length + extent.length };
      merged[merged.length - 1] = last;
    } else {
      last = extent;
      merged.push(last);
    }
  }
  return merged;
}

function continues(last: Extent, next: Extent): boolean {
  if (last.digest === null || next.digest === null) return last.digest === next.digest;
  if (last.offset + last.length !== next.offset) return false;
  return last.digest === next.digest || last.digest.equals(next.digest);
}

/** Bytes that the extents cover. */
export function extentsBytes(extents: readonly Extent[]): number {
  let total = 0;
  for (let index = 0; index < extents.length; index += 1) total += (extents[index] as Extent).length;
  return total;
}

/** The part of the list that covers `[offset, offset + length)`; throws DK_CORRUPT_RECIPE when it does not. */
export function sliceExtents(extents: readonly Extent[], offset: number, length: number): Extent[] {
  const slices: Extent[] = [];
  const end = offset + length;
  let at = 0;
  for (let index = 0; index < extents.length; index += 1) {
    const extent = extents[index] as Extent;
    const start = Math.max(at, offset);
    const stop = Math.min(at + extent.length, end);
    if (stop - start === extent.length) slices.push(extent);
    else if (start < stop) {
      const inner = extent.digest === null ? 0 : extent.offset + (start - at);
      slices.push({ digest: extent.digest, offset: inner, length: stop - start });
    }
    at += extent.length;
    if (at >= end) return slices;
  }
  if (length === 0) return slices;
  throw new DiffKeeperError('DK_CORRUPT_RECIPE', `a recipe covers ${at} bytes, byte ${end} was wanted`, {
    expected: end,
    actual: at,
  });
}
