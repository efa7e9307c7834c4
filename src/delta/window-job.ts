/** What the work on files in windows shares: sizes, progress, and one walk over the source. */
import { throwIfAborted } from '../core/core.js';
import type { Engine, HashAlgo, SourceIndex } from '../engine/engine.js';
import type { SourceBytes } from './source-bytes.js';
import type { SourceRange } from './window-format.js';

/** Sizes in bytes; tests make them small. */
export interface WindowTuning {
  /** Source and target together up to this length are handled in memory. */
  readonly memoryBytes: number;
  /** Target bytes of one window. */
  readonly windowBytes: number;
  /** Source bytes gathered for one window. */
  readonly gatherBytes: number;
}

export const WINDOW_TUNING: WindowTuning = {
  memoryBytes: 256 << 20,
  windowBytes: 16 << 20,
  gatherBytes: 24 << 20,
};

/** Called now and then with bytes done and bytes in all (both files are counted; an unknown length counts as 0). */
export type DeltaProgress = (doneBytes: number, totalBytes: number) => void;

/** Bytes of a source read at a time: a multiple of what BLAKE3 spreads over threads. */
const BLOCK_BYTES = 4 << 20;

export interface SourceWalk {
  readonly engine: Engine;
  readonly source: SourceBytes;
  readonly hashAlgo: HashAlgo;
  readonly signal: AbortSignal | undefined;
  /** Filled on the way. */
  readonly index?: SourceIndex;
  onRead(bytes: number): void;
}

/** Digest of the whole source; the next block is read while one is worked on. */
export async function walkSource({ engine, source, hashAlgo, signal, index, onRead }: SourceWalk): Promise<Buffer> {
  const digest = engine.createDigest(hashAlgo);
  const memory = [Buffer.allocUnsafeSlow(BLOCK_BYTES), Buffer.allocUnsafeSlow(BLOCK_BYTES)] as const;
  const readBlock = async (offset: number, turn: 0 | 1): Promise<Buffer> => {
    const block = memory[turn].subarray(0, Math.min(BLOCK_BYTES, source.length - offset));
    await source.read(offset, block);
    return block;
  };
  let turn: 0 | 1 = 0;
  let next = readBlock(0, turn);
  for (let offset = 0; offset < source.length; offset += BLOCK_BYTES) {
    throwIfAborted(signal);
    const block = await next;
    turn = turn === 0 ? 1 : 0;
    const following = offset + BLOCK_BYTES;
    next = following < source.length ? readBlock(following, turn) : Promise.resolve(block);
    next.catch(() => undefined);
    await Promise.all([digest.update(block), index?.add(block, offset)]);
    onRead(block.length);
  }
  await next;
  return digest.finish();
}

/** Reads the ranges one behind the other into `memory`. */
export async function gatherRanges(
  source: SourceBytes,
  ranges: readonly SourceRange[],
  memory: Buffer,
): Promise<Buffer> {
  let at = 0;
  for (const { offset, length } of ranges) {
    await source.read(offset, memory.subarray(at, at + length));
    at += length;
  }
  return memory.subarray(0, at);
}
