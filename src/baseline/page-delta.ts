/**
 * Deltas against a baseline of which only page hashes are in memory: the pages that changed, coded against the same
 * pages of the baseline where a store still has them, else on their own.
 *
 *   payload := varint ranges, (varint skipped pages, varint pages)*, u8 inner engine, payload of that engine
 *
 * The inner engine turns the source's pages of all ranges, put together (shorter or missing beyond its end), into the
 * target's.
 */
import { type Engine, FROM_ZEROS } from '../engine/engine.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import { copyRows, joinPieces } from './large-memory.js';
import type { Made, SegmentPatch, StateEngine } from './state-engines.js';
import { corruptState } from './state-message.js';

export const PAGE_BYTES = 4096;
export const PAGE_HASH_BYTES = 16;

/** First byte and length inside the segment. */
type Range = readonly [start: number, length: number];

/** Bytes of the ranges, put together; what lies beyond the end is left out. */
async function gather(engine: Engine, bytes: Uint8Array, ranges: readonly Range[]): Promise<Uint8Array> {
  const rows = new Float64Array(3 * ranges.length);
  let to = 0;
  ranges.forEach(([start, wanted], i) => {
    const from = Math.min(start, bytes.length);
    const length = Math.min(wanted, bytes.length - from);
    rows.set([to, from, length], 3 * i);
    to += length;
  });
  const gathered = engine.createRoom(to);
  await copyRows(engine, gathered, bytes, rows);
  return gathered;
}

/** Whether two pages have one hash. Words, not calls: there are 16,384 pages in 64 MiB. */
function isSame(own: DataView, known: DataView, at: number): boolean {
  if (at + PAGE_HASH_BYTES > known.byteLength) return false;
  for (let word = at; word < at + PAGE_HASH_BYTES; word += 4) {
    if (own.getUint32(word) !== known.getUint32(word)) return false;
  }
  return true;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/** Ranges of pages whose hash differs from the source's or that the source does not have. */
export function changedRanges(hashes: Uint8Array, known: Uint8Array, targetBytes: number): Range[] {
  const ranges: [number, number][] = [];
  const own = viewOf(hashes);
  const others = viewOf(known);
  for (let page = 0; page * PAGE_BYTES < targetBytes; page += 1) {
    if (isSame(own, others, page * PAGE_HASH_BYTES)) continue;
    const start = page * PAGE_BYTES;
    const length = Math.min(PAGE_BYTES, targetBytes - start);
    const last = ranges[ranges.length - 1];
    if (last !== undefined && last[0] + last[1] === start) last[1] += length;
    else ranges.push([start, length]);
  }
  return ranges;
}

function writeRanges(ranges: readonly Range[]): ByteWriter {
  const out = new ByteWriter().varint(ranges.length);
  let page = 0;
  for (const [start, length] of ranges) {
    const pages = Math.ceil(length / PAGE_BYTES);
    out.varint(start / PAGE_BYTES - page).varint(pages);
    page = start / PAGE_BYTES + pages;
  }
  return out;
}

function readRanges(reader: ByteReader, targetBytes: number): Range[] {
  const pagesMax = Math.ceil(targetBytes / PAGE_BYTES);
  const count = reader.varint(pagesMax);
  const ranges: Range[] = [];
  let page = 0;
  for (let i = 0; i < count; i += 1) {
    page += reader.varint(pagesMax - page);
    const pages = reader.varint(pagesMax - page);
    if (pages === 0) throw corruptState('a range of no pages');
    const start = page * PAGE_BYTES;
    ranges.push([start, Math.min(pages * PAGE_BYTES, targetBytes - start)]);
    page += pages;
  }
  return ranges;
}

export interface PageTask {
  readonly target: Uint8Array;
  readonly ranges: readonly Range[];
  /** Bytes of the source in a range of the segment; undefined where they are kept nowhere. */
  readSource(start: number, length: number): Promise<Uint8Array | undefined>;
  readonly level: number;
  /** Engines to try with source bytes, and those without. */
  readonly withSource: readonly StateEngine[];
  readonly alone: readonly StateEngine[];
}

/** Payload of the `pages` engine. */
export async function encodePages(engine: Engine, task: PageTask): Promise<Buffer> {
  const target = await gather(engine, task.target, task.ranges);
  const pieces: Uint8Array[] = [];
  let found = true;
  for (const [start, length] of task.ranges) {
    const piece = await task.readSource(start, length);
    if (piece === undefined) found = false;
    else pieces.push(piece);
  }
  const source = found ? await joinPieces(engine, pieces) : new Uint8Array(0);
  let best: { readonly number: number; readonly bytes: Uint8Array } | undefined;
  for (const inner of source.length > 0 ? [...task.withSource, ...task.alone] : task.alone) {
    const made = await inner.encode(engine, { source, target, level: task.level });
    if (made === undefined) continue;
    if (best === undefined || made.bytes.length < best.bytes.length) best = { number: inner.number, bytes: made.bytes };
  }
  const out = writeRanges(task.ranges);
  return joinPieces(engine, [out.u8(best?.number ?? 0).finish(), best?.bytes ?? target]);
}

/** @param innerOf engine by number; never `pages` itself */
export async function decodePages(
  engine: Engine,
  job: SegmentPatch,
  innerOf: (number: number) => StateEngine,
): Promise<Made> {
  const reader = new ByteReader(job.payload, 'DK_CORRUPT_DELTA', 'page delta');
  const ranges = readRanges(reader, job.targetBytes);
  const inner = innerOf(reader.u8());
  const targetBytes = ranges.reduce((sum, [, length]) => sum + length, 0);
  const source = await gather(engine, job.source, ranges);
  const made = await inner.decode(engine, { source, payload: reader.bytes(reader.left), targetBytes });
  if (made.bytes.length !== targetBytes) throw corruptState('changed pages of another length');
  const target = engine.createRoom(job.targetBytes);
  const common = Math.min(job.source.length, job.targetBytes);
  const whole = Float64Array.of(0, 0, common, common, FROM_ZEROS, job.targetBytes - common);
  await copyRows(engine, target, job.source, whole);
  const rows = new Float64Array(3 * ranges.length);
  let from = 0;
  ranges.forEach(([start, length], i) => {
    rows.set([start, from, length], 3 * i);
    from += length;
  });
  await copyRows(engine, target, made.bytes, rows);
  return { bytes: target };
}
