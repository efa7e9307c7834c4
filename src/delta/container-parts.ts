/** What both forms of the delta container share. */
import { DiffKeeperError } from '../core/core.js';
import type { HashAlgo } from '../engine/engine.js';

/** A varint of 8 bytes carries 56 bits: more than any safe integer needs. */
const VARINT_BYTES_MAX = 8;

/** Hash algorithms by their stored number: never change, never reuse. */
export const HASH_ALGOS: readonly HashAlgo[] = ['blake3', 'sha256'];

/** What a container says, before anything in its payload is decoded. */
export interface DeltaParts {
  /** Stored number of the engine (see `engines.ts`). */
  readonly engineNumber: number;
  readonly hashAlgo: HashAlgo;
  readonly sourceBytes: number;
  readonly targetBytes: number;
  /** Whole when a container is written; as many leading bytes as it keeps when it is read. */
  readonly sourceDigest: Buffer;
  /** As `sourceDigest`. */
  readonly targetDigest: Buffer;
  readonly payload: Uint8Array;
}

/** DK_CORRUPT_DELTA at an offset. */
export function corrupt(message: string, offset: number): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `the delta is damaged: ${message}`, { offset });
}

/** Unsigned LEB128. */
export function writeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Reads one varint that must end before `end`, be minimal and a safe integer. */
export function readVarint(
  data: Uint8Array,
  start: number,
  end: number,
): { readonly value: number; readonly next: number } {
  let value = 0;
  let scale = 1;
  for (let index = 0; index < VARINT_BYTES_MAX; index += 1) {
    const at = start + index;
    const byte = at < end ? data[at] : undefined;
    if (byte === undefined) throw corrupt('a length is cut off', at);
    value += (byte & 0x7f) * scale;
    scale *= 0x80;
    if (byte < 0x80) {
      if (byte === 0 && index > 0) throw corrupt('a length is not in its shortest form', at);
      if (!Number.isSafeInteger(value)) throw corrupt('a length is out of range', start);
      return { value, next: at + 1 };
    }
  }
  throw corrupt('a length is too long', start);
}

/** The error for a source that a delta was not made from. @param actual its digest, where it was computed */
export function sourceMismatch(
  {
    sourceBytes,
    hashAlgo,
    sourceDigest,
  }: Readonly<Record<'hashAlgo' | 'sourceDigest', string> & { sourceBytes: number }>,
  length: number,
  actual?: Buffer,
): DiffKeeperError {
  return new DiffKeeperError(
    'DK_SOURCE_MISMATCH',
    `the source (${length} bytes) is not the one that the delta was made from (${sourceBytes} bytes, ${hashAlgo} ${sourceDigest})`,
    { expected: sourceDigest, ...(actual === undefined ? {} : { actual: actual.toString('hex') }) },
  );
}
