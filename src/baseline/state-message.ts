/**
 * The state message `DKS1`, bytes <-> facts. Normative text: `docs/format-state.md`.
 *
 *   message    := "DKS1" u8 version=1|2, head, part*, end (version 3: `short-message.ts`)
 *   head       := varint length, flags, u8 digest kind, key, class, varint time, [varint baseline id],
 *                 [varint source id, digest], u8 segment log, [varint state bytes]
 *   part       := u8 tag, varint length, header, payload
 *   segment(1) := header: u8 engine, varint target bytes, [varint source offset, varint source bytes],
 *                 varint dictionary id, [digest], varint payload bytes
 *   dictionary(2) := header: varint id, varint payload bytes
 *   end(3)     := header: varint state bytes, digest, u64 check
 *   digest     := 16 bytes of xxh3, else 32
 */
import { DiffKeeperError } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import { checkOf } from './large-memory.js';
import { DIGEST_KINDS, digestBytes, QUICK_BYTES, STRONG_BYTES } from './state-digest.js';
import type { StateDigest } from './state-types.js';

export const STATE_MAGIC = Buffer.from('DKS1', 'latin1');
/** `quick`: digests of 16 bytes may be in it. `short`: as `short-message.ts` has it. */
export const STATE_VERSION = { plain: 1, quick: 2, short: 3 } as const;
export type StateVersion = (typeof STATE_VERSION)[keyof typeof STATE_VERSION];
/** Those that consist of parts. */
export type PartsVersion = Exclude<StateVersion, typeof STATE_VERSION.short>;
/** Tags and flags are stored: never change, never reuse. */
export const PART = { segment: 1, dictionary: 2, end: 3 } as const;
export const CHECK_BYTES = 8;
const FLAG = { delta: 1, establishes: 2, sizeKnown: 4, plain: 8, digests: 16, strongSource: 32 } as const;
const FLAGS_KNOWN = { [STATE_VERSION.plain]: 31, [STATE_VERSION.quick]: 63 } as const;
export const KEY_BYTES_MAX = 1024;
export const HEAD_BYTES_MAX = 4096;
export const SEGMENT_LOG = { min: 16, max: 30 } as const;
/** How far beyond the ends of a segment a window of the source reaches. */
export const MARGIN_BYTES = 1 << 20;
export const DICTIONARY_BYTES_MAX = 1 << 20;
/** Largest state: 2^48 bytes; also what keeps every sum below 2^53. */
export const STATE_BYTES_LIMIT = 2 ** 48;

export interface StateHead {
  readonly key: string;
  readonly keyClass: string;
  readonly digestKind: StateDigest;
  readonly plain: boolean;
  readonly timestampMs: number;
  readonly baselineId: number | undefined;
  readonly source: { readonly id: number; readonly digest: Buffer } | undefined;
  readonly segmentBytes: number;
  /** Unknown for streams of more than one segment. */
  readonly stateBytes: number | undefined;
  /** Segments carry their digests; the state's is then made of those. */
  readonly digests: boolean;
}

export interface StateSegment {
  readonly engine: number;
  readonly targetBytes: number;
  /** Range of the source that the engine gets; both 0 when it needs none. */
  readonly sourceOffset: number;
  readonly sourceBytes: number;
  readonly dictionaryId: number;
  readonly digest: Buffer | undefined;
  readonly payload: Uint8Array;
}

export interface StateEnd {
  readonly stateBytes: number;
  readonly digest: Buffer;
}

export type StatePart =
  | { readonly type: 'head'; readonly head: StateHead }
  | { readonly type: 'segment'; readonly segment: StateSegment }
  | { readonly type: 'dictionary'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly end: StateEnd; readonly messageBytes: number };

export function corruptState(message: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `the state message is damaged: ${message}`);
}

export function writeText(writer: ByteWriter, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  writer.varint(bytes.length).bytes(bytes);
}

export function readText(reader: ByteReader): string {
  const bytes = reader.bytes(reader.varint(KEY_BYTES_MAX));
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) reader.fail('a name is not UTF-8');
  return text;
}

/** Writes the parts of one message, one after the other, and keeps the running check. */
export class MessageWriter {
  readonly #engine: Engine;
  readonly #head: StateHead;
  #check = 0n;
  #bytes = 0;

  constructor(engine: Engine, head: StateHead) {
    this.#engine = engine;
    this.#head = head;
  }

  /** Bytes of all parts so far. */
  get bytes(): number {
    return this.#bytes;
  }

  async #took(...pieces: Uint8Array[]): Promise<Buffer[]> {
    const parts: Buffer[] = [];
    for (const piece of pieces) {
      if (piece.length === 0) continue;
      this.#check = await checkOf(this.#engine, piece, this.#check);
      this.#bytes += piece.length;
      parts.push(Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength));
    }
    return parts;
  }

  head(): Promise<Buffer[]> {
    return this.#took(headBytes(this.#head));
  }

  segment(segment: StateSegment): Promise<Buffer[]> {
    return this.#took(segmentBytes(this.#head, segment), segment.payload);
  }

  dictionary(id: number, bytes: Uint8Array): Promise<Buffer[]> {
    return this.#took(partBytes(PART.dictionary, new ByteWriter().varint(id).varint(bytes.length)), bytes);
  }

  end(end: StateEnd): Buffer[] {
    const last = endBytes(this.#engine, end, this.#check);
    this.#bytes += last.length;
    return [last];
  }
}

function headBytes(head: StateHead): Buffer {
  const version = versionOf(head);
  const body = new ByteWriter();
  body.u8(
    (head.source ? FLAG.delta : 0) |
      (head.baselineId === undefined ? 0 : FLAG.establishes) |
      (head.stateBytes === undefined ? 0 : FLAG.sizeKnown) |
      (head.plain ? FLAG.plain : 0) |
      (head.digests ? FLAG.digests : 0) |
      (version === STATE_VERSION.quick && head.source?.digest.length === STRONG_BYTES ? FLAG.strongSource : 0),
  );
  body.u8(DIGEST_KINDS.indexOf(head.digestKind));
  writeText(body, head.key);
  writeText(body, head.keyClass);
  body.varint(head.timestampMs);
  if (head.baselineId !== undefined) body.varint(head.baselineId);
  if (head.source) body.varint(head.source.id).bytes(head.source.digest);
  body.u8(Math.log2(head.segmentBytes));
  if (head.stateBytes !== undefined) body.varint(head.stateBytes);
  return new ByteWriter().bytes(STATE_MAGIC).u8(version).varint(body.length).bytes(body.finish()).finish();
}

function segmentBytes(head: StateHead, segment: StateSegment): Buffer {
  const header = new ByteWriter().u8(segment.engine).varint(segment.targetBytes);
  if (head.source) header.varint(segment.sourceOffset).varint(segment.sourceBytes);
  header.varint(segment.dictionaryId);
  if (segment.digest) header.bytes(segment.digest);
  header.varint(segment.payload.length);
  return partBytes(PART.segment, header);
}

function endBytes(engine: Engine, end: StateEnd, check: bigint): Buffer {
  const header = new ByteWriter().varint(end.stateBytes).bytes(end.digest);
  const last = new ByteWriter()
    .u8(PART.end)
    .varint(header.length + CHECK_BYTES)
    .bytes(header.finish());
  return last.u64(engine.xxh3(last.finish(), check)).finish();
}

function partBytes(tag: number, header: ByteWriter): Buffer {
  return new ByteWriter().u8(tag).varint(header.length).bytes(header.finish()).finish();
}

/** What has no quick digest is written as it always was. */
function versionOf(head: StateHead): PartsVersion {
  const quick = head.digestKind === 'xxh3' || head.source?.digest.length === QUICK_BYTES;
  return quick ? STATE_VERSION.quick : STATE_VERSION.plain;
}

/** Throws DK_UNSUPPORTED for a version of a newer release. */
export function stateVersion(version: number): StateVersion {
  const known = Object.values(STATE_VERSION).find((one) => one === version);
  if (known !== undefined) return known;
  throw new DiffKeeperError('DK_UNSUPPORTED', `the state message has format version ${version}`, {
    expected: STATE_VERSION.short,
    actual: version,
  });
}

/** Throws DK_UNSUPPORTED for a kind of a newer release. */
export function digestKindOf(number: number): StateDigest {
  const kind = DIGEST_KINDS[number];
  if (kind !== undefined) return kind;
  throw new DiffKeeperError('DK_UNSUPPORTED', `the state message has digests of kind ${number}`, { actual: number });
}

export function decodeHead(bytes: Buffer, version: PartsVersion): StateHead {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_DELTA', 'state message');
  const flags = reader.flags(FLAGS_KNOWN[version]);
  const digestKind = digestKindOf(reader.u8());
  const isQuick = version === STATE_VERSION.quick;
  if (digestKind === 'xxh3' && !isQuick) reader.fail('quick digests in a message of version 1');
  if (flags & FLAG.strongSource && !(flags & FLAG.delta)) reader.fail('the digest of no source has a length');
  const sourceDigest = isQuick && !(flags & FLAG.strongSource) ? QUICK_BYTES : STRONG_BYTES;
  const key = readText(reader);
  const keyClass = readText(reader);
  const timestampMs = reader.varint();
  const baselineId = flags & FLAG.establishes ? reader.varint() : undefined;
  const source =
    flags & FLAG.delta ? { id: reader.varint(), digest: Buffer.from(reader.bytes(sourceDigest)) } : undefined;
  const log = reader.u8();
  if (log < SEGMENT_LOG.min || log > SEGMENT_LOG.max) reader.fail(`segments of 2^${log} bytes`);
  const segmentBytes = 2 ** log;
  const stateBytes = flags & FLAG.sizeKnown ? reader.varint(STATE_BYTES_LIMIT) : undefined;
  const digests = (flags & FLAG.digests) !== 0;
  if (!digests && (stateBytes === undefined || stateBytes > segmentBytes)) reader.fail('segments lack their digests');
  if (digests && stateBytes !== undefined && stateBytes <= segmentBytes) reader.fail('one segment has a digest');
  reader.expectEnd();
  const plain = (flags & FLAG.plain) !== 0;
  if (plain && (source || baselineId !== undefined)) reader.fail('a plain state refers to a baseline');
  return { key, keyClass, digestKind, plain, timestampMs, baselineId, source, segmentBytes, stateBytes, digests };
}

export function decodeSegmentHeader(
  bytes: Buffer,
  head: StateHead,
): Omit<StateSegment, 'payload'> & { readonly payloadBytes: number } {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_DELTA', 'state segment');
  const engine = reader.u8();
  const targetBytes = reader.varint(head.segmentBytes);
  const sourceOffset = head.source ? reader.varint(STATE_BYTES_LIMIT) : 0;
  const sourceBytes = head.source ? reader.varint(head.segmentBytes + 2 * MARGIN_BYTES) : 0;
  const dictionaryId = reader.varint(0xffffffff);
  const digest = head.digests ? Buffer.from(reader.bytes(digestBytes(head.digestKind))) : undefined;
  // Raw is always a candidate: no honest payload is longer than the target.
  const payloadBytes = reader.varint(targetBytes);
  reader.expectEnd();
  return { engine, targetBytes, sourceOffset, sourceBytes, dictionaryId, digest, payloadBytes };
}

export function decodeDictionaryHeader(bytes: Buffer): { readonly id: number; readonly payloadBytes: number } {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_DELTA', 'state dictionary');
  const id = reader.varint(0xffffffff);
  if (id === 0) reader.fail('a dictionary without a number');
  const payloadBytes = reader.varint(DICTIONARY_BYTES_MAX);
  reader.expectEnd();
  return { id, payloadBytes };
}

export function decodeEnd(bytes: Buffer, head: StateHead): StateEnd & { readonly check: bigint } {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_DELTA', 'state message');
  const stateBytes = reader.varint(STATE_BYTES_LIMIT);
  const digest = Buffer.from(reader.bytes(digestBytes(head.digestKind)));
  const check = reader.u64();
  reader.expectEnd();
  return { stateBytes, digest, check };
}
