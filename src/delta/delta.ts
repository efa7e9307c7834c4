/** Door of the room `delta`: turn a source into a target with a small, self-checking delta. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Effort, Engine, HashAlgo, TensorRegion } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import { type DeltaReport, encodeBest } from './choose.js';
import { decodeContainer, encodeContainer } from './container.js';
import type { DeltaParts } from './container-parts.js';
import { effortOfLevel, LEVEL_OF_EFFORT } from './engine-costs.js';
import { type DeltaChoice, type DeltaEngine, type DeltaEngineName, deltaEngineByNumber } from './engines.js';

export type { BareDiffOptions, BareFormat, BarePatchOptions } from './bare.js';
export { deltaFormat, diffBare, patchBare } from './bare.js';
export type { DeltaCandidate, DeltaReport } from './choose.js';
export type { DeltaChoice, DeltaEngineName } from './engines.js';
export { lookAt } from './pair-evidence.js';

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
/** A delta of a few bytes may name any target length; nobody gets more than this without asking. */
const TARGET_BYTES_MAX = 2 * 1024 ** 3;

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

export interface PatchOptions {
  readonly signal?: AbortSignal;
  /** Longest target accepted, bytes. Default 2 GiB. */
  readonly targetBytesMax?: number;
}

export interface DigestOptions {
  /** Default `blake3`. */
  readonly hashAlgo?: HashAlgo;
}

/** What a delta says about itself. */
export interface DeltaInfo {
  readonly engine: DeltaEngineName;
  readonly hashAlgo: HashAlgo;
  readonly sourceBytes: number;
  readonly targetBytes: number;
  /** Hexadecimal; its first 8 bytes in a compact container. */
  readonly sourceDigest: string;
  /** Hexadecimal; its first 16 bytes in a compact container. */
  readonly targetDigest: string;
  readonly payloadBytes: number;
  readonly deltaBytes: number;
}

function checkBytes(value: unknown, name: string): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new TypeError(`${name} must be a Buffer or Uint8Array, got ${typeof value}`);
  }
}

function checkHashAlgo(value: unknown): asserts value is HashAlgo {
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

/** Bytes that turn `source` into `target` with `patch`. Never longer than `target` plus 96 bytes. Throws DK_ABORTED. */
export async function diff(source: Uint8Array, target: Uint8Array, options: DiffOptions = {}): Promise<Buffer> {
  const { engine: choice = 'auto', hashAlgo = 'blake3', signal, onReport } = options;
  const effort = options.effort ?? effortOfLevel(options.level ?? LEVEL_OF_EFFORT.fast);
  const level = options.level ?? LEVEL_OF_EFFORT[effort] ?? LEVEL_OF_EFFORT.fast;
  checkBytes(source, 'source');
  checkBytes(target, 'target');
  checkDiffOptions(choice, effort, level, hashAlgo);
  throwIfAborted(signal);
  const engine = loadEngine();
  const [sourceDigest, targetDigest] = await Promise.all([
    engine.digestAsync(hashAlgo, source),
    engine.digestAsync(hashAlgo, target),
  ]);
  const best = await encodeBest(
    engine,
    { source, target, level, effort, ...(options.regions && { regions: options.regions }) },
    choice,
    signal,
  );
  onReport?.(best.report);
  return encodeContainer(engine, {
    engineNumber: best.engine.number,
    hashAlgo,
    sourceBytes: source.length,
    targetBytes: target.length,
    sourceDigest,
    targetDigest,
    payload: best.payload,
  });
}

function engineOf(parts: DeltaParts): DeltaEngine {
  const engine = deltaEngineByNumber(parts.engineNumber);
  if (engine !== undefined) return engine;
  throw new DiffKeeperError(
    'DK_UNSUPPORTED',
    `the delta was made with engine ${parts.engineNumber}, which this release does not have`,
    { actual: parts.engineNumber },
  );
}

/** A container may keep only the first bytes of a digest. */
function startsWith(whole: Buffer, kept: Buffer): boolean {
  return kept.equals(whole.subarray(0, kept.length));
}

async function checkSource(engine: Engine, parts: DeltaParts, source: Uint8Array): Promise<void> {
  const actual = await engine.digestAsync(parts.hashAlgo, source);
  if (source.length === parts.sourceBytes && startsWith(actual, parts.sourceDigest)) return;
  const expected = parts.sourceDigest.toString('hex');
  throw new DiffKeeperError(
    'DK_SOURCE_MISMATCH',
    `the source (${source.length} bytes) is not the one that the delta was made from (${parts.sourceBytes} bytes, ${parts.hashAlgo} ${expected})`,
    { expected, actual: actual.toString('hex') },
  );
}

/**
 * The target that `delta` makes of `source`, verified against the digest in the delta. Throws DK_CORRUPT_DELTA
 * (damaged), DK_SOURCE_MISMATCH (wrong source), DK_LIMIT (target longer than allowed), DK_DIGEST_MISMATCH (decodes to
 * other bytes), DK_UNSUPPORTED (made by a newer release), DK_ABORTED.
 */
export async function patch(source: Uint8Array, delta: Uint8Array, options: PatchOptions = {}): Promise<Buffer> {
  const { signal, targetBytesMax = TARGET_BYTES_MAX } = options;
  checkBytes(source, 'source');
  checkBytes(delta, 'delta');
  if (!Number.isSafeInteger(targetBytesMax) || targetBytesMax < 0) {
    throw new RangeError(`targetBytesMax must be a whole number of bytes, got ${targetBytesMax}`);
  }
  throwIfAborted(signal);
  const engine = loadEngine();
  const parts = decodeContainer(engine, delta);
  const decoder = engineOf(parts);
  if (parts.targetBytes > targetBytesMax) {
    throw new DiffKeeperError(
      'DK_LIMIT',
      `the delta makes ${parts.targetBytes} bytes; at most ${targetBytesMax} are allowed`,
      { expected: targetBytesMax, actual: parts.targetBytes },
    );
  }
  await checkSource(engine, parts, source);
  throwIfAborted(signal);
  const { payload, targetBytes } = parts;
  const target = await decoder.decode(engine, { source, payload, targetBytes });
  throwIfAborted(signal);
  const actual = await engine.digestAsync(parts.hashAlgo, target);
  if (target.length !== targetBytes || !startsWith(actual, parts.targetDigest)) {
    const expected = parts.targetDigest.toString('hex');
    throw new DiffKeeperError(
      'DK_DIGEST_MISMATCH',
      `the delta decodes to other bytes than it promises (${parts.hashAlgo} ${expected})`,
      { expected, actual: actual.toString('hex') },
    );
  }
  // A copy: the raw engine hands out a view of the delta, which the caller may overwrite.
  return decoder.name === 'raw' ? Buffer.from(target) : asBuffer(target);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** What `delta` says about itself; checks its checksum, decodes nothing. Throws DK_CORRUPT_DELTA, DK_UNSUPPORTED. */
export async function inspectDelta(delta: Uint8Array): Promise<DeltaInfo> {
  checkBytes(delta, 'delta');
  const parts = decodeContainer(loadEngine(), delta);
  return {
    engine: engineOf(parts).name,
    hashAlgo: parts.hashAlgo,
    sourceBytes: parts.sourceBytes,
    targetBytes: parts.targetBytes,
    sourceDigest: parts.sourceDigest.toString('hex'),
    targetDigest: parts.targetDigest.toString('hex'),
    payloadBytes: parts.payload.length,
    deltaBytes: delta.length,
  };
}

/** Digest of bytes, 32 bytes, off the event loop. */
export async function digest(data: Uint8Array, options: DigestOptions = {}): Promise<Buffer> {
  const { hashAlgo = 'blake3' } = options;
  checkBytes(data, 'data');
  checkHashAlgo(hashAlgo);
  const engine = loadEngine();
  return engine.digestAsync(hashAlgo, data);
}
