/** Blob coding of the twin: plain loops that give others a turn between items. */
import {
  CODEC,
  type Codec,
  type DecodeBatch,
  type DecodedBatch,
  type EncodeBatch,
  type EncodedBatch,
  TRY,
} from './engine.js';
import { digestBytes, warmHashes, yieldTurn } from './twin-hash.js';
import { xorDiffNow, xorPatchNow } from './twin-xor.js';
import { compressNow, decompressNow, looksLikeDictionary, warmZstd } from './twin-zstd.js';

/** Below this a trial compression costs less than a look at the bytes. */
const SAMPLE_FROM_BYTES = 16 << 10;
const SAMPLE_BYTES = 4 << 10;
/** Bits per byte from which zstd finds nothing worth its time. */
const INCOMPRESSIBLE_BITS = 7.9;
/** Bytes handled before other work gets its turn. */
export const TURN_BYTES = 1 << 20;

/** Estimates from four samples whether the bytes are random, so that encrypted or packed data costs a copy. */
function isIncompressible(data: Uint8Array): boolean {
  if (data.length < SAMPLE_FROM_BYTES) return false;
  const counts = new Uint32Array(256);
  for (let sample = 0; sample < 4; sample += 1) {
    const start = Math.floor(((data.length - SAMPLE_BYTES) * sample) / 3);
    for (let i = start; i < start + SAMPLE_BYTES; i += 1)
      counts[data[i] as number] = (counts[data[i] as number] as number) + 1;
  }
  let bits = 0;
  for (const count of counts) {
    if (count > 0) bits -= (count / (4 * SAMPLE_BYTES)) * Math.log2(count / (4 * SAMPLE_BYTES));
  }
  return bits > INCOMPRESSIBLE_BITS;
}

interface Encoded {
  readonly codec: Codec;
  readonly payload: Uint8Array;
}

/** The smallest of what `tries` allows; candidates come in the order of their decoding cost. */
function encodeOne(target: Uint8Array, context: Uint8Array, tries: number, level: number): Encoded {
  let best: Encoded = { codec: CODEC.raw, payload: target };
  const offer = (codec: Codec, payload: Buffer): void => {
    if (payload.length < best.payload.length) best = { codec, payload };
  };
  if (target.length === 0) return best;
  if ((tries & TRY.zstd) !== 0 && !isIncompressible(target)) offer(CODEC.zstd, compressNow(target, { level }));
  if (context.length === 0) return best;
  if ((tries & TRY.zstdContext) !== 0 && !looksLikeDictionary(context)) {
    offer(CODEC.zstdContext, compressNow(target, { level, context }));
  }
  if ((tries & TRY.xor) !== 0) offer(CODEC.xor, xorDiffNow(context, target, level));
  return best;
}

/** See `Engine.encodeBlobs`. The caller has checked that all lengths fit. */
export async function encodeBlobs(batch: EncodeBatch): Promise<EncodedBatch> {
  await warmZstd();
  const count = batch.targetLengths.length;
  const codecs = new Uint8Array(count);
  const payloadLengths = new Uint32Array(count);
  const payloads: Uint8Array[] = [];
  let target = 0;
  let context = 0;
  let turn = TURN_BYTES;
  for (let i = 0; i < count; i += 1) {
    const targetEnd = target + (batch.targetLengths[i] as number);
    const contextEnd = context + (batch.contextLengths[i] as number);
    const encoded = encodeOne(
      batch.targets.subarray(target, targetEnd),
      batch.contexts.subarray(context, contextEnd),
      batch.tries[i] as number,
      batch.level,
    );
    codecs[i] = encoded.codec;
    payloadLengths[i] = encoded.payload.length;
    payloads.push(encoded.payload);
    target = targetEnd;
    context = contextEnd;
    if (target >= turn) {
      turn = target + TURN_BYTES;
      await yieldTurn();
    }
  }
  return { codecs, payloadLengths, payloads: Buffer.concat(payloads) };
}

/** Decoded bytes of one payload, or undefined when it does not decode. */
function decodeOne(
  codec: number,
  payload: Uint8Array,
  decodedBytes: number,
  context: Uint8Array,
): Uint8Array | undefined {
  try {
    if (codec === CODEC.raw) return payload.length === decodedBytes ? payload : undefined;
    if (codec === CODEC.zstd) return decompressNow(payload, { decodedBytes });
    if (codec === CODEC.zstdContext) return decompressNow(payload, { decodedBytes, context });
    if (codec === CODEC.xor) return xorPatchNow(context, payload, decodedBytes);
    return undefined;
  } catch {
    return undefined;
  }
}

/** One item of a batch, verified whole unless told otherwise; `decoded` is absent unless its status is 0. */
export function decodeItem(
  batch: Pick<DecodeBatch, 'codecs' | 'decodedLengths' | 'digests' | 'algo'>,
  item: number,
  { payload, context, verify = true }: { payload: Uint8Array; context: Uint8Array; verify?: boolean },
): { readonly status: number; readonly decoded?: Uint8Array } {
  const decoded = decodeOne(batch.codecs[item] as number, payload, batch.decodedLengths[item] as number, context);
  if (decoded === undefined) return { status: 1 };
  if (!verify) return { status: 0, decoded };
  const digest = digestBytes(batch.algo, decoded);
  return digest.compare(batch.digests, item * 32, item * 32 + 32) === 0 ? { status: 0, decoded } : { status: 2 };
}

/** See `Engine.decodeBlobs`. The caller has checked that all lengths fit. */
export async function decodeBlobs(batch: DecodeBatch): Promise<DecodedBatch> {
  await Promise.all([warmZstd(), warmHashes()]);
  const count = batch.codecs.length;
  const status = new Uint8Array(count);
  const data = Buffer.alloc(batch.decodedLengths.reduce((sum, length) => sum + length, 0));
  let payload = 0;
  let context = 0;
  let at = 0;
  let turn = TURN_BYTES;
  for (let i = 0; i < count; i += 1) {
    const payloadEnd = payload + (batch.payloadLengths[i] as number);
    const contextEnd = context + (batch.contextLengths[i] as number);
    const item = decodeItem(batch, i, {
      payload: batch.payloads.subarray(payload, payloadEnd),
      context: batch.contexts.subarray(context, contextEnd),
    });
    status[i] = item.status;
    if (item.decoded) data.set(item.decoded, at);
    payload = payloadEnd;
    context = contextEnd;
    at += batch.decodedLengths[i] as number;
    if (at >= turn) {
      turn = at + TURN_BYTES;
      await yieldTurn();
    }
  }
  return { data, status };
}
