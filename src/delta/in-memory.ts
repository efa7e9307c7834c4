/** Deltas of bytes in memory: make one, apply one, say what one holds. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import { inputInMemory } from './byte-input.js';
import { encodeBest } from './choose.js';
import { decodeContainer, encodeContainer } from './container.js';
import { type DeltaParts, sourceMismatch } from './container-parts.js';
import { checkHashAlgo, type DiffOptions, resolveDiffOptions } from './diff-options.js';
import { type DeltaEngineName, engineOfNumber } from './engines.js';
import { isWindows } from './window-format.js';
import { inspectWindows, patchWindowsInMemory } from './window-memory.js';

/** A delta of a few bytes may name any target length; nobody gets more than this without asking. */
export const TARGET_BYTES_MAX = 2 * 1024 ** 3;

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
  /** `windows` for a delta of long files, whose windows have engines of their own. */
  readonly engine: DeltaEngineName | 'windows';
  readonly hashAlgo: HashAlgo;
  readonly sourceBytes: number;
  readonly targetBytes: number;
  /** Hexadecimal; its first 4 bytes in a compact container (8 in those of older releases). */
  readonly sourceDigest: string;
  /** Hexadecimal; its first 8 bytes in a compact container (16 in those of older releases). */
  readonly targetDigest: string;
  readonly payloadBytes: number;
  readonly deltaBytes: number;
  /** Records of a delta in windows (engine `windows`); absent for all others. */
  readonly windows?: number;
}

/** Fails unless the value is bytes. */
export function checkBytes(value: unknown, name: string): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw new TypeError(`${name} must be a Buffer or Uint8Array, got ${typeof value}`);
  }
}

/** Bytes that turn `source` into `target` with `patch`. Never longer than `target` plus 96 bytes. Throws DK_ABORTED. */
export async function diff(source: Uint8Array, target: Uint8Array, options: DiffOptions = {}): Promise<Buffer> {
  const { signal, onReport } = options;
  const { choice, effort, level, hashAlgo } = resolveDiffOptions(options);
  checkBytes(source, 'source');
  checkBytes(target, 'target');
  throwIfAborted(signal);
  const engine = loadEngine();
  // Beside the engines, which leave cores free now and then, but not in front of them.
  let digests: Promise<[Buffer, Buffer]> | undefined;
  const digestBoth = (): Promise<[Buffer, Buffer]> => {
    if (digests === undefined) {
      digests = Promise.all([engine.digestAsync(hashAlgo, source), engine.digestAsync(hashAlgo, target)]);
      digests.catch(() => undefined);
    }
    return digests;
  };
  const best = await encodeBest(
    engine,
    { source, target, level, effort, ...(options.regions && { regions: options.regions }) },
    choice,
    signal,
    () => void digestBoth(),
  );
  const [sourceDigest, targetDigest] = await digestBoth();
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

/** Fails unless the value is a number of bytes. */
export function checkTargetBytesMax(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`targetBytesMax must be a whole number of bytes, got ${value}`);
  }
}

/** A container may keep only the first bytes of a digest. */
function startsWith(whole: Buffer, kept: Buffer): boolean {
  return kept.equals(whole.subarray(0, kept.length));
}

async function checkSource(engine: Engine, parts: DeltaParts, source: Uint8Array): Promise<void> {
  const actual = await engine.digestAsync(parts.hashAlgo, source);
  if (source.length === parts.sourceBytes && startsWith(actual, parts.sourceDigest)) return;
  throw sourceMismatch({ ...parts, sourceDigest: parts.sourceDigest.toString('hex') }, source.length, actual);
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
  checkTargetBytesMax(targetBytesMax);
  throwIfAborted(signal);
  const engine = loadEngine();
  if (isWindows(delta)) return patchWindowsInMemory(source, delta, { targetBytesMax, signal });
  const parts = decodeContainer(engine, delta);
  const decoder = engineOfNumber(parts.engineNumber);
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
  if (isWindows(delta)) return inspectWindows(inputInMemory(delta), Buffer.alloc(0));
  const parts = decodeContainer(loadEngine(), delta);
  return {
    engine: engineOfNumber(parts.engineNumber).name,
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
