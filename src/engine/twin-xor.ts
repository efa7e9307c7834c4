/**
 * The `xor` engine of the twin. Payload: one zstd frame whose content is
 *
 *   count    varint            number of runs
 *   skip     varint  \ count   bytes since the end of the previous run
 *   length   varint  / times   bytes of this run, at least 1
 *   bytes    target XOR source of all runs, in order
 *
 * Varints are unsigned LEB128. Source bytes beyond its end count as zero; the
 * length of the target is given outside.
 */
import { DiffKeeperError } from '../core/core.js';
import { compressNow, decompressNow } from './twin-zstd.js';
import { frameContentBytes } from './zstd-frame.js';

const PAGE_BYTES = 4096;
/** Runs closer than this become one: two varints would cost about as much. */
const MERGE_BYTES = 8;

function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

/** Pairs (start, end) of the ranges of the target that differ. */
function findRuns(source: Uint8Array, target: Uint8Array): number[] {
  const runs: number[] = [];
  const zeros = Buffer.alloc(PAGE_BYTES);
  for (let page = 0; page < target.length; page += PAGE_BYTES) {
    const end = Math.min(page + PAGE_BYTES, target.length);
    const inside = page + PAGE_BYTES <= source.length && end - page === PAGE_BYTES;
    const before = inside ? source.subarray(page, end) : paddedPage(source, page, end, zeros);
    if (Buffer.compare(before, target.subarray(page, end)) === 0) continue;
    for (let i = page; i < end; i += 1) {
      if (before[i - page] === target[i]) continue;
      if (runs.length > 0 && i - (runs[runs.length - 1] as number) < MERGE_BYTES) runs[runs.length - 1] = i + 1;
      else runs.push(i, i + 1);
    }
  }
  return runs;
}

/** The source bytes of [page, end), continued with zeros. */
function paddedPage(source: Uint8Array, page: number, end: number, zeros: Buffer): Uint8Array {
  if (page >= source.length) return zeros.subarray(0, end - page);
  const padded = Buffer.alloc(end - page);
  padded.set(source.subarray(page, end));
  return padded;
}

/** Payload that turns `source` into `target`. After `warmZstd`. */
export function xorDiffNow(source: Uint8Array, target: Uint8Array, level: number): Buffer {
  const runs = findRuns(source, target);
  const head: number[] = [];
  pushVarint(head, runs.length / 2);
  let previous = 0;
  let bytes = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const start = runs[i] as number;
    const end = runs[i + 1] as number;
    pushVarint(head, start - previous);
    pushVarint(head, end - start);
    previous = end;
    bytes += end - start;
  }
  const content = Buffer.allocUnsafe(head.length + bytes);
  content.set(head, 0);
  let at = head.length;
  for (let i = 0; i < runs.length; i += 2) {
    for (let from = runs[i] as number; from < (runs[i + 1] as number); from += 1, at += 1) {
      content[at] = (target[from] as number) ^ (source[from] ?? 0);
    }
  }
  return compressNow(content, { level });
}

const damaged = (what: string): DiffKeeperError => new DiffKeeperError('DK_CORRUPT_DELTA', `xor payload: ${what}`);

/** Reads varints from a position; bounded by the bytes and by 2^53. */
class VarintReader {
  at = 0;

  constructor(readonly bytes: Uint8Array) {}

  next(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 42; scale *= 128) {
      const byte = this.bytes[this.at];
      if (byte === undefined) throw damaged('cut off');
      this.at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw damaged('a number is too large');
  }
}

/** The target that the payload makes of `source`. Throws DK_CORRUPT_DELTA. After `warmZstd`. */
export function xorPatchNow(source: Uint8Array, payload: Uint8Array, targetBytes: number): Buffer {
  const contentBytes = frameContentBytes(payload);
  // Every run costs at least one byte of target and at most 20 bytes of numbers are honest for it.
  if (contentBytes === undefined || contentBytes > targetBytes * 3 + 64) throw damaged('implausible length');
  const content = decompressNow(payload, { decodedBytes: contentBytes });
  const reader = new VarintReader(content);
  const count = reader.next();
  if (count > content.length / 2) throw damaged('more runs than bytes');
  const runs: number[] = [];
  let previous = 0;
  let bytes = 0;
  for (let i = 0; i < count; i += 1) {
    const start = previous + reader.next();
    const length = reader.next();
    if (length < 1 || start > targetBytes - length) throw damaged('a run leaves the target');
    runs.push(start, start + length);
    previous = start + length;
    bytes += length;
  }
  if (content.length - reader.at !== bytes) throw damaged('the runs do not add up');
  const target = Buffer.alloc(targetBytes);
  target.set(source.subarray(0, targetBytes));
  let at = reader.at;
  for (let i = 0; i < runs.length; i += 2) {
    for (let to = runs[i] as number; to < (runs[i + 1] as number); to += 1, at += 1) {
      target[to] = (target[to] as number) ^ (content[at] as number);
    }
  }
  return target;
}
