/** Bodies of the frames that begin a connection (docs/format-transport.md, greeting). */
import { createHmac, DiffKeeperError, LIMITS } from '../core/core.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import type { Rights } from './types.js';

/**
 * Versions of the protocol that this release speaks. In 2, errors may say what a state decoder lacks; in 3, blobs may be checked
 * by quick digests; in 4, pieces may be sent before their blob is accepted, and over a stream before its join is answered.
 */
export const VERSION_MIN = 1;
export const VERSION_MAX = 4;
/** The first with quick digests. */
export const VERSION_QUICK = 3;
const QUICK_DIGESTS = 1;
export const SESSION_ID_BYTES = 16;
export const SECRET_BYTES = 32;
export const TOKEN_BYTES = 16;
/** Joins of one session: each number is good once, so that they can be told apart by a bit. */
export const JOINS_MAX = 1 << 16;
/** Smallest window that is any use: two frames. */
const WINDOW_BYTES_MIN = 2 * LIMITS.frameBytes;

/** First frame of a control stream. */
export interface Hello {
  readonly versionMin: number;
  readonly versionMax: number;
  /** What the client lets the server have under way. */
  readonly windowBytes: number;
}

/** Answer to it. */
export interface Welcome {
  readonly version: number;
  readonly windowBytes: number;
  readonly sessionId: Buffer;
  /** Makes the tokens with which further streams join. */
  readonly secret: Buffer;
  /** Most data streams that the server takes. */
  readonly streamsMax: number;
  /** What the client may do at the server. */
  readonly rights: Rights;
  /** Whether blobs may be checked by quick digests; only from version 3 on. */
  readonly quickDigests?: boolean;
}

/** First frame of a data stream. */
export interface Join {
  readonly sessionId: Buffer;
  readonly number: number;
  readonly token: Buffer;
}

/** Sent over the wire: never change, never reuse. */
const RIGHTS: readonly Rights[] = ['read', 'append', 'admin'];

const reading = (bytes: Buffer, what: string): ByteReader => new ByteReader(bytes, 'DK_PROTOCOL', what);

export function encodeHello(hello: Hello): Buffer {
  return new ByteWriter(16).u8(hello.versionMin).u8(hello.versionMax).varint(hello.windowBytes).finish();
}

/** What follows the known fields comes from a newer release and is not looked at, as long as a version is shared. */
export function decodeHello(bytes: Buffer): Hello {
  const reader = reading(bytes, 'greeting');
  const versionMin = reader.u8();
  const versionMax = reader.u8();
  if (versionMin > VERSION_MAX || versionMax < VERSION_MIN || versionMin > versionMax) {
    throw new DiffKeeperError(
      'DK_PROTOCOL',
      `the other side speaks versions ${versionMin} to ${versionMax} of the protocol, this side ${VERSION_MIN} to ${VERSION_MAX}`,
      { expected: VERSION_MAX, actual: versionMax },
    );
  }
  return { versionMin, versionMax, windowBytes: windowOf(reader) };
}

function windowOf(reader: ByteReader): number {
  const bytes = reader.varint();
  if (bytes < WINDOW_BYTES_MIN) reader.fail(`a window of ${bytes} bytes is too small`);
  return Math.min(bytes, LIMITS.sessionWindowBytes);
}

export function encodeWelcome(welcome: Welcome): Buffer {
  const writer = new ByteWriter(80)
    .u8(welcome.version)
    .varint(welcome.windowBytes)
    .bytes(welcome.sessionId)
    .bytes(welcome.secret)
    .varint(welcome.streamsMax)
    .u8(RIGHTS.indexOf(welcome.rights));
  if (welcome.version >= VERSION_QUICK) writer.u8(welcome.quickDigests ? QUICK_DIGESTS : 0);
  return writer.finish();
}

export function decodeWelcome(bytes: Buffer): Welcome {
  const reader = reading(bytes, 'welcome');
  const version = reader.u8();
  if (version < VERSION_MIN || version > VERSION_MAX) reader.fail(`version ${version} was not offered`);
  const windowBytes = windowOf(reader);
  const sessionId = Buffer.from(reader.bytes(SESSION_ID_BYTES));
  const secret = Buffer.from(reader.bytes(SECRET_BYTES));
  const streamsMax = reader.varint(LIMITS.streams);
  const rights = RIGHTS[reader.u8()] ?? reader.fail('unknown rights');
  const quickDigests = version >= VERSION_QUICK && reader.flags(QUICK_DIGESTS) !== 0;
  reader.expectEnd();
  return { version, windowBytes, sessionId, secret, streamsMax, rights, quickDigests };
}

export function encodeJoin(join: Join): Buffer {
  return new ByteWriter(40).bytes(join.sessionId).u32(join.number).bytes(join.token).finish();
}

export function decodeJoin(bytes: Buffer): Join {
  const reader = reading(bytes, 'join');
  const sessionId = reader.bytes(SESSION_ID_BYTES);
  const number = reader.u32();
  const token = reader.bytes(TOKEN_BYTES);
  reader.expectEnd();
  return { sessionId, number, token };
}

/** The seed of a session's quick digests; undefined where they were not agreed upon. */
export function digestSeed({ version, secret, sessionId, quickDigests }: Welcome): bigint | undefined {
  if (version < VERSION_QUICK || !quickDigests) return undefined;
  return createHmac('sha256', secret).update(sessionId).update('xxh3 groups').digest().readBigUInt64LE(0);
}

/** The one-time token of the join with this number. */
export function joinToken(secret: Buffer, sessionId: Buffer, number: number): Buffer {
  const counted = new ByteWriter(SESSION_ID_BYTES + 4).bytes(sessionId).u32(number).finish();
  return createHmac('sha256', secret).update(counted).digest().subarray(0, TOKEN_BYTES);
}
