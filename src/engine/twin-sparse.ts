/**
 * The `sparse` engine of the twin: same payloads as the native one, but for the choices that depend on sizes of zstd
 * frames. Gives no group values: they would save nothing here.
 */
import type { GroupDigest, GroupDigestKind, SparseDelta } from './engine.js';
import { GrowingBytes } from './twin-growing-bytes.js';
import { digestLong } from './twin-hash.js';
import { quickDigest } from './twin-quick-digest.js';
import {
  damagedSparse,
  putVarint,
  type Runs,
  readPositions,
  SparseReader,
  writePositions,
} from './twin-sparse-positions.js';
import { compressNow, decompressNow } from './twin-zstd.js';
import { frameContentBytes } from './zstd-frame.js';

const PLAIN_VALUES = 1;
const ZSTD_VALUES = 2;
const ZSTD_POSITIONS = 4;
const PAGE_BYTES = 4096;
const NO_BYTES = Buffer.alloc(0);
const DENSE_BYTES = 8;
const DENSE_GAP = 8;

/** Runs closer than `gapMin` become one. */
function findRuns(source: Uint8Array, target: Uint8Array, gapMin: number): [number, number][] {
  const runs: [number, number][] = [];
  let end = 0;
  for (let page = 0; page < target.length; page += PAGE_BYTES) {
    const stop = Math.min(page + PAGE_BYTES, target.length);
    const inside = stop <= source.length;
    if (inside && Buffer.compare(source.subarray(page, stop), target.subarray(page, stop)) === 0) continue;
    for (let i = page; i < stop; i += 1) {
      if ((source[i] ?? 0) === target[i]) continue;
      const last = runs[runs.length - 1];
      if (last !== undefined && i - end < gapMin) last[1] += i + 1 - end;
      else runs.push([i - end, 1]);
      end = i + 1;
    }
  }
  return runs;
}

function gatherValues(source: Uint8Array, target: Uint8Array, runs: Runs, changed: number): Buffer {
  const values = Buffer.allocUnsafe(changed);
  let position = 0;
  let to = 0;
  for (const [skip, length] of runs) {
    position += skip;
    for (let i = 0; i < length; i += 1, to += 1, position += 1) {
      values[to] = (target[position] as number) ^ (source[position] ?? 0);
    }
  }
  return values;
}

/** Without `groups` none is wanted. */
async function digestOf(
  target: Uint8Array,
  groups: Uint8Array | undefined,
  kind: GroupDigestKind | undefined,
): Promise<GroupDigest> {
  return groups === undefined ? { digest: NO_BYTES, groups: NO_BYTES } : groupDigestOf(target, kind);
}

/** Of one kind or the other, without values. */
export async function groupDigestOf(data: Uint8Array, kind: GroupDigestKind | undefined): Promise<GroupDigest> {
  return { digest: await (kind === 'xxh3' ? quickDigest(data) : digestLong('blake3', data)), groups: NO_BYTES };
}

/** After `warmZstd`. */
export async function sparseDiffNow(
  source: Uint8Array,
  target: Uint8Array,
  level: number,
  groups: Uint8Array | undefined,
  kind: GroupDigestKind | undefined,
): Promise<SparseDelta> {
  let runs = findRuns(source, target, 1);
  if (runs.length > Math.max(1024, Math.floor(target.length / DENSE_BYTES))) runs = findRuns(source, target, DENSE_GAP);
  const changed = runs.reduce((sum, [, length]) => sum + length, 0);
  const digested = await digestOf(target, groups, kind);
  const payload = new GrowingBytes();
  putVarint(payload, changed);
  if (changed === 0) return { ...digested, payload: payload.done() };
  const bits = writePositions(runs);
  const plain = new GrowingBytes();
  for (const [skip, length] of runs) {
    putVarint(plain, skip);
    putVarint(plain, length);
  }
  const frame = compressNow(plain.done(), { level });
  const patterned = frame.length < bits.length;
  const values = gatherValues(source, target, runs, changed);
  const packed = compressNow(values, { level });
  const framed = packed.length < values.length;
  payload.byte((framed ? ZSTD_VALUES : 0) | (patterned ? ZSTD_POSITIONS : 0));
  putVarint(payload, patterned ? frame.length : bits.length);
  payload.add(patterned ? frame : bits);
  payload.add(framed ? packed : values);
  return { ...digested, payload: payload.done() };
}

/** Content of a frame of at most `bytesMax` bytes. */
function unframe(frame: Uint8Array, bytesMax: number): Buffer {
  const decodedBytes = frameContentBytes(frame);
  if (decodedBytes === undefined || decodedBytes > bytesMax) throw damagedSparse('implausible length');
  return decompressNow(frame, { decodedBytes });
}

function readPlain(content: Uint8Array, changed: number, take: (skip: number, length: number) => void): void {
  const reader = new SparseReader(content);
  let left = changed;
  while (left > 0) {
    const skip = reader.varint();
    const length = reader.varint();
    if (length < 1 || length > left) throw damagedSparse('the runs do not add up');
    left -= length;
    take(skip, length);
  }
  if (reader.left !== 0) throw damagedSparse('bytes follow the positions');
}

/** Throws DK_CORRUPT_DELTA. After `warmZstd`. */
export async function sparsePatchNow(
  source: Uint8Array,
  payload: Uint8Array,
  targetBytes: number,
  groups: Uint8Array | undefined,
  kind: GroupDigestKind | undefined,
): Promise<GroupDigest & { readonly data: Buffer }> {
  const reader = new SparseReader(payload);
  const changed = reader.varint();
  if (changed > targetBytes) throw damagedSparse('more changes than bytes');
  if (changed === 0 && reader.left > 0) throw damagedSparse('bytes follow the end');
  const data = Buffer.alloc(targetBytes);
  data.set(source.subarray(0, targetBytes));
  if (changed > 0) {
    const flags = reader.byte();
    const length = reader.varint();
    if (flags > 7 || length > reader.left) throw damagedSparse('the positions are cut off');
    const positions = payload.subarray(reader.at, reader.at + length);
    const rest = payload.subarray(reader.at + length);
    const values = flags & ZSTD_VALUES ? unframe(rest, changed) : rest;
    if (values.length !== changed) throw damagedSparse('the values do not add up');
    let position = 0;
    let from = 0;
    const take = (skip: number, bytes: number): void => {
      position += skip;
      if (position + bytes > targetBytes) throw damagedSparse('a run leaves the target');
      for (let i = 0; i < bytes; i += 1, from += 1, position += 1) {
        const value = values[from] as number;
        data[position] = flags & PLAIN_VALUES ? value : (data[position] as number) ^ value;
      }
    };
    // Two numbers of at most 5 bytes for at least one changed byte each.
    if (flags & ZSTD_POSITIONS) readPlain(unframe(positions, 10 * changed), changed, take);
    else readPositions(positions, changed, take);
  }
  return { ...(await digestOf(data, groups, kind)), data };
}
