/**
 * What a reader and the owner of a store say to each other (`docs/control.md`, "Reading a store that is in use").
 *
 *   frame    := u32 length of what follows, u8 kind, body
 *   request  := kind: see `ASK`;  hello: "DKREAD" u8 version, store id[16];  get: keys;  range: see `encodeRange`;
 *               tag: the text; none asks whether tags are taken: DK_ARGUMENT, or DK_STORE_LOCKED
 *   answer   := kind 0: the body of the request's answer; kind 1: error := varint bytes, code, varint bytes, message
 *   keys     := varint count, (varint bytes, key)*
 *   values   := varint count, (varint 0 for none, else bytes + 1, value)*: of the first keys, at least of one
 *   entries  := u8 1 when the range has no more, varint count, (varint bytes, key, varint bytes, value)*
 */
import { DiffKeeperError, ERROR_CODES, type ErrorCode, isDiffKeeperError } from '../core/core.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import type { KeyRange } from './meta-keys.js';

export const OWNER_PROTOCOL = 1;
export const ASK = { hello: 1, get: 2, range: 3, tag: 4 } as const;
const ANSWER = { fine: 0, error: 1 } as const;
const HELLO = Buffer.from('DKREAD', 'latin1');

/** The owner holds one request and one answer per connection, whatever the other side does. */
export const FRAME_LIMITS = {
  /** Bytes of a request. */
  request: 1 << 20,
  /** Bytes of an answer; larger only when a single value is. */
  answer: 256 << 10,
  /** Bytes of an answer that a reader takes. */
  answerMax: 64 << 20,
  keys: 1024,
  entries: 1000,
} as const;

const badFrame = (what: string): DiffKeeperError =>
  new DiffKeeperError('DK_IO', `the other side of the socket ${what}`);

/** A frame to be sent. */
export function frame(kind: number, body: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(5 + body.length);
  bytes.writeUInt32LE(1 + body.length);
  bytes[4] = kind;
  bytes.set(body, 5);
  return bytes;
}

/** Frames as they come, without their lengths. Throws DK_IO for one that is too long, or cut off. */
export async function* frames(source: AsyncIterable<Buffer>, bytesMax: number): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let have = 0;
  let wanted = 5;
  for await (const chunk of source) {
    parts.push(chunk);
    have += chunk.length;
    while (have >= wanted) {
      const all = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      const length = all.readUInt32LE(0);
      if (length < 1 || length > bytesMax) throw badFrame(`says ${length} bytes, more than ${bytesMax}`);
      parts = [all];
      wanted = 4 + length;
      if (have < wanted) break;
      yield all.subarray(4, wanted);
      parts = have > wanted ? [all.subarray(wanted)] : [];
      have -= wanted;
      wanted = 5;
    }
  }
  if (have > 0) throw badFrame('ended within a message');
}

const reader = (bytes: Buffer): ByteReader => new ByteReader(bytes, 'DK_IO', 'message of the socket');

export function encodeHello(storeId: string): Buffer {
  return Buffer.concat([HELLO, Buffer.from([OWNER_PROTOCOL]), Buffer.from(storeId, 'hex')]);
}

/** Whether a hello is meant for this store and in words that we know. */
export function isHello(body: Buffer, storeId: string): boolean {
  return body.equals(encodeHello(storeId));
}

export function encodeKeys(keys: readonly Buffer[]): Buffer {
  const writer = new ByteWriter(64 * keys.length + 16).varint(keys.length);
  for (const key of keys) writer.varint(key.length).bytes(key);
  return writer.finish();
}

export function decodeKeys(body: Buffer): Buffer[] {
  const from = reader(body);
  const keys = Array.from({ length: from.varint(FRAME_LIMITS.keys) }, () => from.bytes(from.varint(from.left)));
  from.expectEnd();
  return keys;
}

export function encodeValues(values: readonly (Buffer | undefined)[]): Buffer {
  const writer = new ByteWriter(256).varint(values.length);
  for (const value of values) {
    if (value === undefined) writer.varint(0);
    else writer.varint(value.length + 1).bytes(value);
  }
  return writer.finish();
}

/** @param asked how many keys were */
export function decodeValues(body: Buffer, asked: number): (Buffer | undefined)[] {
  const from = reader(body);
  const count = from.varint(asked);
  if (count === 0 && asked > 0) from.fail('no value at all');
  const values = Array.from({ length: count }, () => {
    const bytes = from.varint(from.left + 1);
    return bytes === 0 ? undefined : from.bytes(bytes - 1);
  });
  from.expectEnd();
  return values;
}

export interface RangeRequest {
  readonly range: KeyRange;
  readonly reverse: boolean;
  readonly limit: number;
}

/** `u8 reverse, varint limit, varint bytes, first key, varint bytes, key behind the last` */
export function encodeRange({ range, reverse, limit }: RangeRequest): Buffer {
  const writer = new ByteWriter(128).u8(reverse ? 1 : 0).varint(limit);
  return writer.varint(range.gte.length).bytes(range.gte).varint(range.lt.length).bytes(range.lt).finish();
}

export function decodeRange(body: Buffer): RangeRequest {
  const from = reader(body);
  const reverse = from.flags(1) === 1;
  const limit = from.varint(FRAME_LIMITS.entries);
  const gte = from.bytes(from.varint(from.left));
  const lt = from.bytes(from.varint(from.left));
  from.expectEnd();
  return { range: { gte, lt }, reverse, limit };
}

export interface RangePart {
  readonly entries: readonly [Buffer, Buffer][];
  /** The range has no more. */
  readonly all: boolean;
}

export function encodeEntries({ entries, all }: RangePart): Buffer {
  const writer = new ByteWriter(256).u8(all ? 1 : 0).varint(entries.length);
  for (const [key, value] of entries) writer.varint(key.length).bytes(key).varint(value.length).bytes(value);
  return writer.finish();
}

export function decodeEntries(body: Buffer, limit: number): RangePart {
  const from = reader(body);
  const all = from.flags(1) === 1;
  const count = from.varint(limit);
  if (count === 0 && !all) from.fail('nothing of a range');
  const entries = Array.from({ length: count }, (): [Buffer, Buffer] => {
    const key = from.bytes(from.varint(from.left));
    return [key, from.bytes(from.varint(from.left))];
  });
  from.expectEnd();
  return { entries, all };
}

export const fine = (body: Uint8Array): Buffer => frame(ANSWER.fine, body);

export function refused(error: unknown): Buffer {
  const code = Buffer.from(isDiffKeeperError(error) ? error.code : 'DK_IO');
  const message = Buffer.from(error instanceof Error ? error.message : String(error));
  const writer = new ByteWriter(256).varint(code.length).bytes(code).varint(message.length).bytes(message);
  return frame(ANSWER.error, writer.finish());
}

/** The body of an answer. Throws the error that it tells. */
export function answerBody(answer: Buffer): Buffer {
  if (answer[0] === ANSWER.fine) return answer.subarray(1);
  const from = reader(answer.subarray(1));
  const told = from.bytes(from.varint(from.left)).toString();
  const message = from.bytes(from.varint(from.left)).toString();
  const code = ERROR_CODES.find((known): known is ErrorCode => known === told) ?? 'DK_IO';
  throw new DiffKeeperError(code, message);
}
