/** Slices of blobs, in plain TypeScript: see `Engine.decodeSlices`. */
import { type DecodedBatch, FROM_ITEMS, IN_DATA, type SliceBatch, ZERO_BYTES } from './engine.js';
import { decodeItem, TURN_BYTES } from './twin-blobs.js';
import { warmHashes, yieldTurn } from './twin-hash.js';
import { warmZstd } from './twin-zstd.js';

/** Status of an item whose context comes from one that is not good. */
const CONTEXT_LOST = 3;

/** The caller has checked that all pieces and slices lie where they may. */
export async function decodeSlices(batch: SliceBatch): Promise<DecodedBatch> {
  await Promise.all([warmZstd(), warmHashes()]);
  const count = batch.codecs.length;
  const status = new Uint8Array(count);
  const parts: Uint8Array[] = [];
  const items = new EarlierItems(batch);
  let context = 0;
  let slice = 0;
  let turn = TURN_BYTES;
  for (let i = 0; i < count; i += 1) {
    const contextEnd = context + (batch.contextCounts[i] as number);
    const sliceEnd = slice + (batch.sliceCounts[i] as number);
    const joined = items.context(context, contextEnd);
    const verify = batch.verify === 'ends' ? slice < sliceEnd : batch.verify !== 'none';
    const item = joined
      ? decodeItem(batch, i, { payload: piece(batch, batch.payloads, i), context: joined, verify })
      : { status: CONTEXT_LOST, decoded: undefined };
    status[i] = item.status;
    items.keep(i, item.decoded);
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
  return (batch.buffers[triples[3 * index] as number] as Uint8Array).subarray(
    offset,
    offset + (triples[3 * index + 2] as number),
  );
}

/** What items of a batch take from earlier ones, kept until the last of them is decoded. */
class EarlierItems {
  readonly #batch: SliceBatch;
  /** Pieces of each item that are still to be taken. */
  readonly #uses = new Map<number, number>();
  readonly #decoded = new Map<number, Uint8Array>();

  constructor(batch: SliceBatch) {
    this.#batch = batch;
    for (let at = 0; at < batch.contexts.length; at += 3) {
      const item = this.#item(at / 3);
      if (item !== null) this.#uses.set(item, (this.#uses.get(item) ?? 0) + 1);
    }
  }

  #item(index: number): number | null {
    const buffer = this.#batch.contexts[3 * index] as number;
    return buffer >= FROM_ITEMS && buffer !== ZERO_BYTES ? buffer - FROM_ITEMS : null;
  }

  keep(item: number, decoded: Uint8Array | undefined): void {
    if (decoded && this.#uses.has(item)) this.#decoded.set(item, decoded);
  }

  /** The pieces of one context, joined; null when an item that they come from is not good. */
  context(from: number, to: number): Uint8Array | null {
    const parts: Uint8Array[] = [];
    let lost = false;
    for (let index = from; index < to; index += 1) {
      const part = this.#take(index);
      if (part) parts.push(part);
      else lost = true;
    }
    if (lost) return null;
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
  }

  #take(index: number): Uint8Array | undefined {
    const { contexts } = this.#batch;
    const offset = contexts[3 * index + 1] as number;
    const length = contexts[3 * index + 2] as number;
    const item = this.#item(index);
    if (item === null) {
      return contexts[3 * index] === ZERO_BYTES ? Buffer.alloc(length) : piece(this.#batch, contexts, index);
    }
    const bytes = this.#decoded.get(item)?.subarray(offset, offset + length);
    const left = (this.#uses.get(item) as number) - 1;
    this.#uses.set(item, left);
    if (left === 0) this.#decoded.delete(item);
    return bytes;
  }
}
