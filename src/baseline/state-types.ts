/** What users of the state encoder see. */
import type { Clock, Logger } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import type { BaselineStore } from './stored-reference.js';

/**
 * A state: bytes in memory, a file, or chunks of any size. Bytes must not change until the call settles; those of a
 * `SharedArrayBuffer` may, and the state is then what each segment held when it was copied.
 */
export type StateInput =
  | Uint8Array
  | ArrayBuffer
  | SharedArrayBuffer
  | { readonly file: string }
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>;

/** Kinds of digests of states: of 16 bytes (`xxh3`) or 32. */
export type StateDigest = 'xxh3' | 'blake3' | 'sha256';

/** What the caller may ask for; `auto` (default) decides per segment. */
export type StateEngineChoice = 'auto' | 'xor' | 'sparse' | 'align' | 'zstd' | 'tensor';

/** What a segment was coded with. */
export type StateEngineName =
  | 'raw'
  | 'zstd'
  | 'zstd-twice'
  | 'repeat'
  | 'zstd-prefix'
  | 'xor'
  | 'align'
  | 'sparse'
  | 'pages'
  | 'tensor';

/** Rules of age and memory for the states that later messages refer to. Times are milliseconds of the steady clock. */
export interface BaselineRules {
  /** A baseline of this age is refreshed by the next state of its key. Default 5 minutes. */
  readonly baselineIntervalMs?: number;
  /** No baseline is used beyond this age, whatever the other rules say. Default 15 minutes. */
  readonly baselineAgeMaxMs?: number;
  /** Deltas made against one baseline before it is refreshed. Default 10. */
  readonly deltasMax?: number;
  /** `prune` drops what was not used for this long; it runs by itself as often. Default 10 minutes. */
  readonly pruneIntervalMs?: number;
  /**
   * Bytes of all baselines together, 1,536 and twice its key for each included; the least recently used go first. Copies of
   * states that are being coded come on top: at most `statesAtOnce` of them, and a decoder's `LIMITS.decodedBytesAtOnce`. Default
   * 1 GiB.
   */
  readonly memoryBytesMax?: number;
}

export interface StateEncoderOptions extends BaselineRules {
  /** False: every state goes out as it is, in a frame that decodes. Default true. */
  readonly enabled?: boolean;
  /** `baseline` (default): any delta decodes alone. `previous`: each against the state before it, smaller but in order. */
  readonly reference?: 'baseline' | 'previous';
  /**
   * `copy` (default) keeps baselines in memory; `pages` keeps 16 bytes per 4 KiB page and reads the rest from `store`. With
   * `reference: 'previous'` only the start of a chain is in the store: of later states there is nothing to read, deltas hold changed
   * pages coded alone, and `resync` is undefined.
   */
  readonly keep?: 'copy' | 'pages';
  readonly engine?: StateEngineChoice;
  /** zstd level 1-19, or `adaptive` (default). */
  readonly level?: number | 'adaptive';
  /** Time that `adaptive` may spend on one state, milliseconds. Default 50. */
  readonly timeBudgetMs?: number;
  /**
   * Rate of the link the messages go over: `adaptive` then minimises encoding plus sending, also by leaving zstd out where the link
   * is as fast. Default none.
   */
  readonly linkBytesPerSecond?: number;
  /** A delta that saves less than this factor is compared with the state alone; two refresh the baseline. Default 2.0. */
  readonly minCompressionRatio?: number;
  /** `adaptive` tries harder while the ratio of a class is below this, and takes it easier above. Default 3.0. */
  readonly adaptiveThreshold?: number;
  /** Train dictionaries for small states, one per class. Default true. */
  readonly dictionaries?: boolean;
  /** Class of a key. Default: the key without the parts between dashes that hold a digit ("vm-123-memory": "vm-memory"). */
  readonly classOf?: (key: string) => string;
  /**
   * What states are checked by, at the decoder as well: `xxh3` (default) finds damage and baselines that are others, at the
   * speed of memory; it is no proof against somebody who makes two states with one digest on purpose (docs/security.md).
   * `blake3` and `sha256` are.
   */
  readonly digest?: StateDigest;
  /** Another name of `digest`, which wins. */
  readonly hashAlgo?: HashAlgo;
  /** States are coded in pieces of this many bytes, a power of two from 64 KiB to 1 GiB. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** States of different keys that `encode` codes side by side; streams hold a few segments each. Default 4. */
  readonly statesAtOnce?: number;
  /** Keeps baselines over restarts; of a chain of previous states only its start. Default none. */
  readonly store?: BaselineStore;
  readonly nativeEngine?: Engine;
  readonly clock?: Clock;
  /** Told of stored baselines that cannot be read, states too large to be kept, and (debug) evictions. Default silent. */
  readonly logger?: Logger;
}

export interface StateDecoderOptions {
  /** Longest state accepted, bytes. Default 2 GiB; `decodeStream` may be given more. */
  readonly stateBytesMax?: number;
  /** Bytes of all baselines together, 1,536 and twice its key for each included; the least recently used go first. Default 1 GiB. */
  readonly memoryBytesMax?: number;
  /** Baselines kept per key, so that messages may overtake a refresh. Default 2. */
  readonly baselinesPerKey?: number;
  /** `prune` drops what was not used for this long; it runs by itself as often. Default 30 minutes. */
  readonly pruneIntervalMs?: number;
  readonly store?: BaselineStore;
  readonly nativeEngine?: Engine;
  readonly clock?: Clock;
  /** As that of the encoder. */
  readonly logger?: Logger;
}

/** What a message says about itself. */
export interface StateFacts {
  readonly key: string;
  readonly keyClass: string;
  /** `plain`: made by a disabled encoder. */
  readonly kind: 'full' | 'delta' | 'plain';
  /** Baseline that this message sets up at the decoder. */
  readonly baselineId?: number;
  /** Baseline that it needs there. */
  readonly sourceId?: number;
  /** Hexadecimal. */
  readonly sourceDigest?: string;
  /** Hexadecimal. */
  readonly targetDigest: string;
  /** Engines of the segments, most bytes first. */
  readonly engines: readonly StateEngineName[];
  /** Dictionary used, 0 for none. */
  readonly dictionaryId: number;
  readonly stateBytes: number;
  readonly messageBytes: number;
  /** Milliseconds since 1970 by the encoder's clock. */
  readonly timestampMs: number;
}

/** One message of `StateEncoder.encode`. */
export interface EncodedState extends StateFacts {
  /**
   * The message in pieces, in order: no copy of a state that did not compress, so that the state's bytes must not change until
   * they were sent (the decoder would find it out). Do not change them. `toBuffer` makes a copy.
   */
  readonly parts: readonly Buffer[];
  /** The message in one piece. Copies. Throws DK_LIMIT when no Buffer can hold it. */
  toBuffer(): Buffer;
}

/** One state of `StateDecoder.decode`. */
export interface DecodedState extends StateFacts {
  readonly bytes: Buffer;
}
