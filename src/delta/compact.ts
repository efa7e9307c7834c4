/**
 * The compact delta container, for targets of less than 64 KiB, pure bytes <-> facts. Normative text: `docs/format-delta.md`.
 *
 *     'DK' | 0x80 + 32 * form + engine, u8; forms 0, 1: BLAKE3, SHA-256 with 8 + 16 bytes of digests (read only); 2, 3: 4 + 8
 *     target length varint | source length - target length, zigzag varint
 *     source digest, first 4 B | target digest, first 8 B
 *     payload; of engines 1 and 2 without the frame's header where that follows from the target length
 *     XXH3-64 of all before, low 16 bits, LE
 */
import type { Engine, HashAlgo } from '../engine/engine.js';
import { corrupt, type DeltaParts, HASH_ALGOS, readVarint, writeVarint } from './container-parts.js';

const MAGIC = Buffer.from('DK', 'latin1');
const MARK = 0x80;
const FORM_SHIFT = 5;
const FORM_MASK = 3;
const ENGINE_MASK = 0x1f;
const HEAD_BYTES = 3;

/** What a form keeps of digests, bytes. */
interface Kept {
  readonly hashAlgo: HashAlgo;
  readonly source: number;
  readonly target: number;
}

/** Forms by their stored number: never change, never reuse. */
const FORMS = [
  { hashAlgo: 'blake3', source: 8, target: 16 },
  { hashAlgo: 'sha256', source: 8, target: 16 },
  { hashAlgo: 'blake3', source: 4, target: 8 },
  { hashAlgo: 'sha256', source: 4, target: 8 },
] as const satisfies readonly Kept[];
/** The one that is written for BLAKE3; SHA-256 has the next. */
const WRITTEN = 2;
const CHECK_BYTES = 2;
/** Shortest possible: two lengths of a byte and an empty payload. */
const BYTES_MIN = HEAD_BYTES + 2 + FORMS[WRITTEN].source + FORMS[WRITTEN].target + CHECK_BYTES;
/** Longest target. */
const TARGET_BYTES_MAX = 0xffff;
/** Engines whose payload is one zstd frame. */
const FRAME_ENGINES: readonly number[] = [1, 2];
const FRAME_MAGIC = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);

/** Whether a delta of such a target is written compactly. */
export function fitsCompact(targetBytes: number): boolean {
  return targetBytes <= TARGET_BYTES_MAX;
}

/** Whether bytes begin as a compact container. */
export function looksCompact(data: Uint8Array): boolean {
  return data.length > MAGIC.length && MAGIC.equals(data.subarray(0, 2)) && ((data[2] as number) & MARK) !== 0;
}

/** The header of a frame in a single segment that says its content size and has neither checksum nor dictionary. */
function frameHeader(contentBytes: number): Buffer {
  if (contentBytes < 256) return Buffer.from([...FRAME_MAGIC, 0x20, contentBytes]);
  const header = Buffer.from([...FRAME_MAGIC, 0x60, 0, 0]);
  header.writeUInt16LE(contentBytes - 256, FRAME_MAGIC.length + 1);
  return header;
}

/** The payload as it is stored: a frame without the header that follows from the target length. */
function stored(engineNumber: number, payload: Uint8Array, targetBytes: number): Uint8Array {
  if (!FRAME_ENGINES.includes(engineNumber)) return payload;
  const header = frameHeader(targetBytes);
  return header.equals(payload.subarray(0, header.length)) ? payload.subarray(header.length) : payload;
}

/** Bytes that a payload takes in a container of either form. */
export function storedBytes(engineNumber: number, payload: Uint8Array, targetBytes: number): number {
  return fitsCompact(targetBytes) ? stored(engineNumber, payload, targetBytes).length : payload.length;
}

/** No block of zstd begins like the magic number, so what does not begin with it lacks its header. */
function restored(engineNumber: number, payload: Uint8Array, targetBytes: number): Uint8Array {
  if (!FRAME_ENGINES.includes(engineNumber) || FRAME_MAGIC.equals(payload.subarray(0, FRAME_MAGIC.length))) {
    return payload;
  }
  return Buffer.concat([frameHeader(targetBytes), payload]);
}

/** Bytes of a compact container. */
export function encodeCompact(engine: Engine, parts: DeltaParts): Buffer {
  const { engineNumber, hashAlgo, sourceBytes, targetBytes } = parts;
  const form = WRITTEN + HASH_ALGOS.indexOf(hashAlgo);
  const kept: Kept = FORMS[form & FORM_MASK] ?? FORMS[WRITTEN];
  const head = [...MAGIC, MARK | (form << FORM_SHIFT) | engineNumber];
  const growth = sourceBytes - targetBytes;
  const body = Buffer.concat([
    Buffer.from(head),
    writeVarint(targetBytes),
    writeVarint(growth < 0 ? -2 * growth - 1 : 2 * growth),
    parts.sourceDigest.subarray(0, kept.source),
    parts.targetDigest.subarray(0, kept.target),
    stored(engineNumber, parts.payload, targetBytes),
    Buffer.alloc(CHECK_BYTES),
  ]);
  const end = body.length - CHECK_BYTES;
  body.writeUInt16LE(Number(engine.xxh3(body.subarray(0, end)) & 0xffffn), end);
  return body;
}

/** Parses a compact container and checks its checksum. Throws DK_CORRUPT_DELTA. */
export function decodeCompact(engine: Engine, data: Buffer): DeltaParts {
  if (data.length < BYTES_MIN) throw corrupt(`${data.length} bytes are too few`, data.length);
  const end = data.length - CHECK_BYTES;
  if (Number(engine.xxh3(data.subarray(0, end)) & 0xffffn) !== data.readUInt16LE(end)) {
    throw corrupt('the checksum does not match', end);
  }
  const kind = data.readUInt8(2);
  // Two bits, four forms: there is no unknown one.
  const kept: Kept = FORMS[(kind >> FORM_SHIFT) & FORM_MASK] ?? FORMS[WRITTEN];
  const target = readVarint(data, HEAD_BYTES, end);
  const growth = readVarint(data, target.next, end);
  const sourceBytes = target.value + (growth.value % 2 === 0 ? growth.value / 2 : -(growth.value + 1) / 2);
  if (!fitsCompact(target.value)) throw corrupt('the target is too long for a compact container', HEAD_BYTES);
  if (sourceBytes < 0 || !Number.isSafeInteger(sourceBytes)) throw corrupt('a length is out of range', target.next);
  const targetDigestStart = growth.next + kept.source;
  const payloadStart = targetDigestStart + kept.target;
  if (payloadStart > end) throw corrupt('the digests are cut off', growth.next);
  const engineNumber = kind & ENGINE_MASK;
  return {
    engineNumber,
    hashAlgo: kept.hashAlgo,
    sourceBytes,
    targetBytes: target.value,
    sourceDigest: data.subarray(growth.next, targetDigestStart),
    targetDigest: data.subarray(targetDigestStart, payloadStart),
    payload: restored(engineNumber, data.subarray(payloadStart, end), target.value),
  };
}
