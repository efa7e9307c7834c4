/** Slices of blobs, in plain TypeScript: see `Engine.decodeSlices`. */
import { type DecodedBatch, IN_DATA, type SliceBatch, ZERO_BYTES } from './engine.js';
import { decodeVerified, TURN_BYTES } from './twin-blobs.js';
import { warmHashes, yieldTurn } from './twin-hash.js';
import { warmZstd } from './twin-zstd.js';

/** The caller has checked that all pieces and slices lie where they may. */
export async function decodeSlices(batch: SliceBatch): Promise<DecodedBatch> {
  await Promise.all([warmZstd(), warmHashes()]);
  const count = batch.codecs.length;
  const status = new Uint8Array(count);
  const parts: Uint8Array[] = [];
  let context = 0;
  let slice = 0;
  let turn = TURN_BYTES;
  for (let i = 0; i < count; i += 1) {
    const contextEnd = context + (batch.contextCounts[i] as number);
    const sliceEnd = slice + (batch.sliceCounts[i] as number);
    const item = decodeVerified(batch, i, piece(batch, batch.payloads, i), join(batch, context, contextEnd));
    status[i] = item.status;
    for (; slice < sliceEnd; slice += 1) {
      const offset = batch.slices[2 * slice] as number;
      const length = batch.slices[2 * slice + 1] as number;
      const bytes = item.decoded?.subarray(offset, offset + length) ?? Buffer.alloc(length);
      const place = batch.places[slice] as number;
      if (place === IN_DATA) parts.push(bytes);
      else batch.target.set(bytes, place);
    }
    context = contextEnd;
    turn -= batch.decodedLengths[i] as number;
    if (turn <= 0) {
      turn = TURN_BYTES;
      await yieldTurn();
    }
  }
  return { data: Buffer.concat(parts), status };
}

function piece(batch: SliceBatch, triples: Uint32Array, index: number): Uint8Array {
  const offset = triples[3 * index + 1] as number;
  const length = triples[3 * index + 2] as number;
  const buffer = triples[3 * index] as number;
  if (buffer === ZERO_BYTES) return Buffer.alloc(length);
  return (batch.buffers[buffer] as Uint8Array).subarray(offset, offset + length);
}

function join(batch: SliceBatch, from: number, to: number): Uint8Array {
  if (to - from === 1) return piece(batch, batch.contexts, from);
  const parts: Uint8Array[] = [];
  for (let index = from; index < to; index += 1) parts.push(piece(batch, batch.contexts, index));
  return Buffer.concat(parts);
}
