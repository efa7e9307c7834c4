/** Blobs on their way into records: what each is coded with, many in one call. */
import { joinBytes } from '../core/core.js';
import { CODEC, type Codec, type Engine, TRY } from '../engine/engine.js';
import type { Digest } from '../format/format.js';
import { DICTIONARY_FILE } from './dictionary-choice.js';
import type { BlobContext, BlobInput } from './types.js';

/** A coded context that saves less than this share is not worth its depth. */
export const CONTEXT_GAIN = 0.9;

export interface Pending {
  readonly input: BlobInput;
  readonly digest: Digest;
  readonly context: BlobContext | null;
  /** Depth when coded against the context. */
  readonly depth: number;
}

export interface Coded {
  readonly codec: Codec;
  readonly payload: Uint8Array;
}

/** Codes each with its context, or without where it has none. */
export async function encodePending(engine: Engine, pending: readonly Pending[], level: number): Promise<Coded[]> {
  if (pending.length === 0) return [];
  const contexts = pending.map(({ context }) => context?.bytes ?? new Uint8Array(0));
  const { codecs, payloadLengths, payloads } = await engine.encodeBlobs({
    targets: joinBytes(pending.map(({ input }) => input.bytes)),
    targetLengths: Uint32Array.from(pending, ({ input }) => input.bytes.length),
    contexts: joinBytes(contexts),
    contextLengths: Uint32Array.from(contexts, (context) => context.length),
    tries: Uint8Array.from(pending, triesOf),
    level,
  });
  let at = 0;
  return pending.map((_, index) => {
    const length = payloadLengths[index] as number;
    at += length;
    return { codec: codecs[index] as Codec, payload: payloads.subarray(at - length, at) };
  });
}

export function usesContext(codec: Codec): boolean {
  return codec !== CODEC.raw && codec !== CODEC.zstd;
}

function triesOf({ context, input }: Pending): number {
  if (!context) return TRY.zstd;
  const tries = context.aligned ? TRY.zstdContext | TRY.xor : TRY.zstdContext;
  return input.tries === undefined ? tries : tries & input.tries;
}

/** First versions of small files, unless deltas are not wanted. */
export function mayUseDictionary({ input, context }: Pending): boolean {
  const { bytes, kind, tries = TRY.zstdContext } = input;
  if (kind !== 'blob' || input.context || context || (tries & TRY.zstdContext) === 0) return false;
  return bytes.length >= DICTIONARY_FILE.min && bytes.length <= DICTIONARY_FILE.max;
}
