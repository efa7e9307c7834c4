/**
 * The delta container `DKD1` (short targets have a compact one, `compact.ts`), pure bytes <-> facts. Normative text: `docs/format-delta.md`.
 *
 *     magic 'DKD1' | version u8 | engine u8 | hash algo u8 | flags u8 (0)
 *     source length varint | target length varint
 *     source digest 32 B | target digest 32 B
 *     payload
 *     XXH3-64 of all before, u64 LE
 */
import { DiffKeeperError } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { decodeCompact, encodeCompact, fitsCompact, looksCompact } from './compact.js';
import { corrupt, type DeltaParts, HASH_ALGOS, readVarint, writeVarint } from './container-parts.js';

const MAGIC = Buffer.from('DKD1', 'latin1');
const VERSION = 1;
const DIGEST_BYTES = 32;
const CHECKSUM_BYTES = 8;
const FIXED_BYTES = 8;
/** Shortest possible container: empty source, empty target, empty payload. */
const BYTES_MIN = FIXED_BYTES + 2 + 2 * DIGEST_BYTES + CHECKSUM_BYTES;

/** Bytes of a container: the compact form where the target is short enough. */
export function encodeContainer(engine: Engine, parts: DeltaParts): Buffer {
  if (fitsCompact(parts.targetBytes)) return encodeCompact(engine, parts);
  const head = Buffer.from([...MAGIC, VERSION, parts.engineNumber, HASH_ALGOS.indexOf(parts.hashAlgo), 0]);
  const lengths = [writeVarint(parts.sourceBytes), writeVarint(parts.targetBytes)];
  const body = [head, ...lengths, parts.sourceDigest, parts.targetDigest, parts.payload];
  const out = Buffer.concat([...body, Buffer.alloc(CHECKSUM_BYTES)]);
  const end = out.length - CHECKSUM_BYTES;
  out.writeBigUInt64LE(engine.xxh3(out.subarray(0, end)), end);
  return out;
}

/** Parses a container of either form and checks its checksum. Throws DK_CORRUPT_DELTA, or DK_UNSUPPORTED for a newer version. */
export function decodeContainer(engine: Engine, delta: Uint8Array): DeltaParts {
  const data = Buffer.from(delta.buffer, delta.byteOffset, delta.byteLength);
  if (looksCompact(data)) return decodeCompact(engine, data);
  if (data.length < BYTES_MIN) throw corrupt(`${data.length} bytes are too few`, data.length);
  if (!data.subarray(0, 4).equals(MAGIC)) throw corrupt('it does not start with DKD1', 0);
  const end = data.length - CHECKSUM_BYTES;
  // The checksum comes before the version: a flipped bit must not pass for a newer format.
  if (engine.xxh3(data.subarray(0, end)) !== data.readBigUInt64LE(end)) {
    throw corrupt('the checksum does not match', end);
  }
  const version = data.readUInt8(4);
  if (version !== VERSION) {
    throw new DiffKeeperError(
      'DK_UNSUPPORTED',
      `the delta has format version ${version}; this release reads version ${VERSION}`,
      { expected: VERSION, actual: version },
    );
  }
  const hashAlgo = HASH_ALGOS[data.readUInt8(6)];
  if (hashAlgo === undefined) throw corrupt('the hash algorithm is unknown', 6);
  if (data.readUInt8(7) !== 0) throw corrupt('reserved flags are set', 7);
  const source = readVarint(data, FIXED_BYTES, end);
  const target = readVarint(data, source.next, end);
  const payloadStart = target.next + 2 * DIGEST_BYTES;
  if (payloadStart > end) throw corrupt('the digests are cut off', target.next);
  return {
    engineNumber: data.readUInt8(5),
    hashAlgo,
    sourceBytes: source.value,
    targetBytes: target.value,
    sourceDigest: data.subarray(target.next, target.next + DIGEST_BYTES),
    targetDigest: data.subarray(target.next + DIGEST_BYTES, payloadStart),
    payload: data.subarray(payloadStart, end),
  };
}
