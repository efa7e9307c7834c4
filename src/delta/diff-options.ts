/** What a caller of `diff` and `diffFile` may choose: checked, with defaults. */
import type { Effort, HashAlgo, TensorRegion } from '../engine/engine.js';
import type { DeltaReport } from './choose.js';
import { effortOfLevel, LEVEL_OF_EFFORT } from './engine-costs.js';
import type { DeltaChoice } from './engines.js';

const CHOICES: readonly string[] = [
  'auto',
  'align',
  'bsdiff',
  'xdelta',
  'zstd',
  'xor',
  'tensor',
] satisfies DeltaChoice[];
const EFFORTS: readonly string[] = ['fast', 'balanced', 'max'] satisfies Effort[];
const LEVEL_MAX = 19;

export interface DiffOptions {
  /** Engine to use; `auto` (default) takes the smallest of those that samples and the effort let it try. */
  readonly engine?: DeltaChoice;
  /** Time that a smaller delta may cost: `fast`, `balanced` or `max`. Default: what goes with `level`, else `fast`. */
  readonly effort?: Effort;
  /** zstd level, 1-19. Default: 3, 9 or 19, as the effort says. Without an effort below 6 means fast, below 15 balanced. */
  readonly level?: number;
  /** Where the target holds floats, for `tensor` and `auto`. Default: as headers (safetensors, npy, GGUF) or samples say. */
  readonly regions?: readonly TensorRegion[];
  /** Told what was tried and why, once, before `diff` ends. */
  readonly onReport?: (report: DeltaReport) => void;
  /** Digest that names source and target, default `blake3`. */
  readonly hashAlgo?: HashAlgo;
  readonly signal?: AbortSignal;
}

/** Options with their defaults. */
export interface DiffChoices {
  readonly choice: DeltaChoice;
  readonly effort: Effort;
  readonly level: number;
  readonly hashAlgo: HashAlgo;
}

/** Fails unless the value is a digest algorithm. */
export function checkHashAlgo(value: unknown): asserts value is HashAlgo {
  if (value !== 'blake3' && value !== 'sha256') {
    throw new TypeError(`hashAlgo must be 'blake3' or 'sha256', got ${String(value)}`);
  }
}

function checkDiffOptions(choice: string, effort: string, level: number, hashAlgo: unknown): void {
  if (!CHOICES.includes(choice)) {
    throw new TypeError(`engine must be one of ${CHOICES.join(', ')}, got ${choice}`);
  }
  if (!EFFORTS.includes(effort)) {
    throw new TypeError(`effort must be one of ${EFFORTS.join(', ')}, got ${effort}`);
  }
  if (!Number.isInteger(level) || level < 1 || level > LEVEL_MAX) {
    throw new RangeError(`level must be a whole number from 1 to ${LEVEL_MAX}, got ${level}`);
  }
  checkHashAlgo(hashAlgo);
}

/** Throws TypeError, RangeError. */
export function resolveDiffOptions(options: DiffOptions): DiffChoices {
  const { engine: choice = 'auto', hashAlgo = 'blake3' } = options;
  const effort = options.effort ?? effortOfLevel(options.level ?? LEVEL_OF_EFFORT.fast);
  const level = options.level ?? LEVEL_OF_EFFORT[effort] ?? LEVEL_OF_EFFORT.fast;
  checkDiffOptions(choice, effort, level, hashAlgo);
  return { choice, effort, level, hashAlgo };
}
