/**
 * States that are one short stretch of bytes again and again: zeroed memory, filled tables, pages of one pattern. The
 * stretch is all there is to send, and comparing the bytes with themselves takes less time than compressing them.
 *
 *   payload := varint (2 * period + packed), the first `period` bytes: as they are, or packed, as a zstd frame
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { ByteReader, ByteWriter } from '../format/format.js';

/** A longer stretch is left to zstd, which finds it as well and says it in hardly more bytes. */
export const PERIOD_BYTES_MAX = 4096;
/** Fewer repeats of it, or shorter states, are no matter of time, and zstd may see more in them. */
const REPEATS_MIN = 8;
const STATE_BYTES_MIN = 512;
/** A beginning that does not come again within this has no period that counts. */
const BEGIN_BYTES = 32;
/** Stretches up to this long are not worth a look by zstd, whose frames cost as much. */
const PACKED_BYTES_MIN = 64;
/** What is put in place by one copy: it stays in the cache. */
const BLOCK_BYTES = 64 << 10;

const bufferOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Shortest distance at which all of these bytes, but for the first so many, equal those before them: their number at most. */
function periodOf(bytes: Uint8Array): number {
  // As Knuth, Morris and Pratt: the longest beginning of bytes[0..i] that is also its end.
  const borders = new Uint16Array(bytes.length);
  let length = 0;
  for (let i = 1; i < bytes.length; i += 1) {
    while (length > 0 && bytes[i] !== bytes[length]) length = borders[length - 1] as number;
    if (bytes[i] === bytes[length]) length += 1;
    borders[i] = length;
  }
  return bytes.length - length;
}

/** The period of all of them; undefined when there is none, or a long one. Off the event loop but for a few pages. */
async function repeatedPeriod(engine: Engine, all: Buffer): Promise<number | undefined> {
  if (all.length < STATE_BYTES_MIN) return undefined;
  // Twice the longest: what its beginning repeats within that, all of it repeats, or nothing does.
  const begin = all.subarray(0, 2 * PERIOD_BYTES_MAX);
  if (begin.indexOf(begin.subarray(0, BEGIN_BYTES), 1) < 0) return undefined;
  const period = periodOf(begin);
  if (period > PERIOD_BYTES_MAX || period * REPEATS_MIN > all.length) return undefined;
  const [front, back] = [all.subarray(0, all.length - period), all.subarray(period)];
  // The end first: what only begins alike is told by that without a walk.
  if (!front.subarray(-begin.length).equals(back.subarray(-begin.length))) return undefined;
  const equal = back.length <= LIMITS.syncBytes ? front.equals(back) : await engine.equalBytes(front, back);
  return equal ? period : undefined;
}

/** Undefined for bytes that are no such repetition. @param level of zstd, for the stretch */
export async function encodeRepeated(engine: Engine, target: Uint8Array, level: number): Promise<Buffer | undefined> {
  const all = bufferOf(target);
  const period = await repeatedPeriod(engine, all);
  if (period === undefined) return undefined;
  const stretch = all.subarray(0, period);
  const packed = period < PACKED_BYTES_MIN ? stretch : await engine.compress(stretch, { level });
  const pays = packed.length < period;
  return Buffer.concat([new ByteWriter(8).varint(2 * period + (pays ? 1 : 0)).finish(), pays ? packed : stretch]);
}

/** @param into where the bytes are wanted, as many as they are. Throws DK_CORRUPT_DELTA. */
export async function decodeRepeated(
  engine: Engine,
  payload: Uint8Array,
  { targetBytes, into }: { readonly targetBytes: number; readonly into?: Uint8Array },
): Promise<Uint8Array> {
  const reader = new ByteReader(payload, 'DK_CORRUPT_DELTA', 'state segment');
  const form = reader.varint(2 * PERIOD_BYTES_MAX + 1);
  const period = Math.floor(form / 2);
  if (period < 1 || period > targetBytes) reader.fail(`a period of ${period} bytes in ${targetBytes}`);
  const rest = reader.bytes(reader.left);
  const stretch = form % 2 === 1 ? await engine.decompress(rest, { decodedBytes: period }) : rest;
  if (stretch.length !== period) {
    throw new DiffKeeperError('DK_CORRUPT_DELTA', `a period of ${period} bytes comes as ${stretch.length}`);
  }
  const room = into?.subarray(0, targetBytes) ?? engine.createRoom(targetBytes);
  await fill(engine, room, stretch);
  return room;
}

/** Away from the event loop but for the first block. */
async function fill(engine: Engine, room: Uint8Array, stretch: Uint8Array): Promise<void> {
  const blockBytes = Math.min(room.length, BLOCK_BYTES - (BLOCK_BYTES % stretch.length));
  const block = bufferOf(room).subarray(0, blockBytes).fill(stretch);
  if (blockBytes === room.length) return;
  const count = Math.ceil(room.length / blockBytes);
  const rows = new Float64Array(3 * (count - 1));
  for (let i = 1; i < count; i += 1) {
    const at = i * blockBytes;
    rows.set([at, 0, Math.min(blockBytes, room.length - at)], 3 * (i - 1));
  }
  // A block of its own: nobody may read where the engine writes.
  await engine.copyRanges(room, Buffer.from(block), rows);
}
