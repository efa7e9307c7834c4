/**
 * Frames of the transport (docs/format-transport.md): a fixed header and a payload.
 *
 *    0  magic "DKT1"       24  payload length u32
 *    4  type u8            28  reserved u32, zero
 *    5  flags u8           32  XXH3-64 of the payload
 *    6  reserved u16       40  XXH3-64 of the 40 bytes above
 *    8  id u64             48  payload
 *   16  offset u64
 */
import { DiffKeeperError, LIMITS } from '../core/core.js';

export const FRAME_HEADER_BYTES = 48;

/** Sent over the wire: never change, never reuse. */
export const FRAME = {
  hello: 1,
  welcome: 2,
  join: 3,
  joined: 4,
  refused: 5,
  request: 16,
  response: 17,
  failure: 18,
  cancel: 19,
  offer: 32,
  accept: 33,
  blob: 34,
  data: 35,
  digest: 36,
  ack: 37,
  done: 38,
  reject: 39,
  abort: 40,
  streams: 48,
  ping: 64,
  pong: 65,
  close: 66,
  closed: 67,
} as const;
export type FrameType = (typeof FRAME)[keyof typeof FRAME];

/** Flag of `done`: the receiver had the blob already. */
export const FLAG_HERE = 1;
/** Flag of `data`: the check in the header is that of the list of values of its groups (since version 3). */
export const FLAG_GROUPS = 1;

export interface FrameHeader {
  readonly type: FrameType;
  readonly flags: number;
  readonly id: number;
  readonly offset: number;
  readonly length: number;
  /** XXH3-64 of the payload, or of the values of its groups. */
  readonly hash: bigint;
}

/** Header fields that are not zero. */
export interface FrameFields {
  readonly id?: number;
  readonly offset?: number;
  readonly flags?: number;
  /** XXH3-64 of what the payload is checked by, when it is there already. */
  readonly hash?: bigint;
}

/** XXH3-64, given by the engine. */
export type Xxh3 = (data: Uint8Array) => bigint;

const MAGIC = 0x31544b44;
const KNOWN: ReadonlySet<number> = new Set(Object.values(FRAME));
/** Frames that only their header makes. */
const BARE: ReadonlySet<number> = new Set([
  FRAME.joined,
  FRAME.cancel,
  FRAME.ping,
  FRAME.pong,
  FRAME.close,
  FRAME.closed,
]);
/** Flags that a type may have. */
const FLAGS: ReadonlyMap<number, number> = new Map([
  [FRAME.done, FLAG_HERE],
  [FRAME.data, FLAG_GROUPS],
]);
const DATA_LIKE: ReadonlySet<number> = new Set([FRAME.blob, FRAME.data]);
/** Questions and answers have a verb or a code in front of their body. */
const CONTROL_SLACK_BYTES = 4096;

/** Longest payload that a frame of this type may have. */
export function payloadLimit(type: number): number {
  if (BARE.has(type)) return 0;
  if (DATA_LIKE.has(type)) return LIMITS.frameBytes;
  if (type <= FRAME.refused) return LIMITS.greetingBytes;
  return LIMITS.controlMessageBytes + CONTROL_SLACK_BYTES;
}

function broken(message: string): never {
  throw new DiffKeeperError('DK_PROTOCOL', `frame: ${message}`);
}

/** A header with its check, at the beginning of `header`; the payload follows it on the stream. */
export function encodeHeader(
  xxh3: Xxh3,
  type: FrameType,
  payload: Uint8Array,
  fields: FrameFields = {},
  header: Buffer = Buffer.allocUnsafe(FRAME_HEADER_BYTES),
): Buffer {
  if (payload.length > payloadLimit(type)) {
    throw new DiffKeeperError('DK_LIMIT', `a frame of type ${type} has at most ${payloadLimit(type)} bytes`, {
      actual: payload.length,
    });
  }
  const { id = 0, offset = 0, flags = 0, hash = xxh3(payload) } = fields;
  header.writeUInt32LE(MAGIC, 0);
  header[4] = type;
  header[5] = flags;
  header.writeUInt16LE(0, 6);
  writeNumber(header, id, 8);
  writeNumber(header, offset, 16);
  header.writeUInt32LE(payload.length, 24);
  header.writeUInt32LE(0, 28);
  header.writeBigUInt64LE(hash, 32);
  header.writeBigUInt64LE(xxh3(header.subarray(0, 40)), 40);
  return header;
}

function writeNumber(header: Buffer, value: number, at: number): void {
  header.writeUInt32LE(value % 2 ** 32, at);
  header.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

function readNumber(header: Buffer, at: number): number {
  const high = header.readUInt32LE(at + 4);
  if (high >= 1 << 21) broken('a number is above 2^53');
  return high * 2 ** 32 + header.readUInt32LE(at);
}

/** The header in the first 48 bytes, with everything checked that can be without the payload. Throws DK_PROTOCOL. */
export function decodeHeader(xxh3: Xxh3, header: Buffer): FrameHeader {
  if (header.readUInt32LE(0) !== MAGIC) broken('no frame starts here');
  if (xxh3(header.subarray(0, 40)) !== header.readBigUInt64LE(40)) broken('the header is damaged');
  const type = header[4] as number;
  const flags = header[5] as number;
  if (!KNOWN.has(type)) broken(`unknown type ${type}`);
  if ((flags & ~(FLAGS.get(type) ?? 0)) !== 0) broken(`unknown flags ${flags}`);
  if (header.readUInt16LE(6) !== 0 || header.readUInt32LE(28) !== 0) broken('reserved bits are set');
  const length = header.readUInt32LE(24);
  if (length > payloadLimit(type)) broken(`a payload of ${length} bytes is too long for type ${type}`);
  return {
    type: type as FrameType,
    flags,
    id: readNumber(header, 8),
    offset: readNumber(header, 16),
    length,
    hash: header.readBigUInt64LE(32),
  };
}
