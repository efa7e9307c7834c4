/**
 * Version 3 of the state message, for states of one segment that carry no dictionary, bytes <-> facts: everything is said
 * once, and what is as it mostly is not at all. Normative text: `docs/format-state.md`.
 *
 *   message := "DKS1" u8 version=3, head, payload, digest of the state, u64 check
 *   head    := varint length, u8 flags, u8 form, u8 engine, key, [class], varint time, [id], [id, digest],
 *              varint state bytes, [varint source offset, varint source bytes], [varint dictionary id], varint payload bytes
 *   id      := zigzag varint of its distance from the seconds of the time: ids begin at those of the encoder's clock
 */
import type { Engine } from '../engine/engine.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import { classOfKey } from './key-class.js';
import { checkOf } from './large-memory.js';
import { DIGEST_KINDS, digestBytes, QUICK_BYTES, STRONG_BYTES } from './state-digest.js';
import {
  CHECK_BYTES,
  digestKindOf,
  MARGIN_BYTES,
  readText,
  SEGMENT_LOG,
  STATE_BYTES_LIMIT,
  STATE_MAGIC,
  STATE_VERSION,
  type StateEnd,
  type StateHead,
  type StateSegment,
  writeText,
} from './state-message.js';

/** Stored: never change, never reuse. */
const FLAG = { delta: 1, establishes: 2, className: 4, plain: 8, dictionary: 16, range: 32, strongSource: 64 } as const;
const FLAGS_KNOWN = 127;
/** In `form`: the kind of digests below, the logarithm of the length of segments above, less the least; its upper half is 0. */
const KINDS = 4;
const FORM_MAX = KINDS * (SEGMENT_LOG.max - SEGMENT_LOG.min + 1);
/** Larger ids are written as in version 2: the distance of others fits a varint whatever the time is. */
const ID_MAX = 2 ** 50;
const DICTIONARY_ID_MAX = 0xffffffff;

/** @property head what `StateHead` says of states of one segment */
export interface ShortFacts {
  readonly head: StateHead & { readonly stateBytes: number };
  readonly segment: Omit<StateSegment, 'payload'>;
  readonly payloadBytes: number;
}

const secondsOf = (timestampMs: number): number => Math.floor(timestampMs / 1000);

/** Whether a message may name this baseline in its short form. */
export function isShortId(id: number): boolean {
  return id < ID_MAX;
}

/** Whether there is a short form of a message with this head and segment, and nothing else. */
export function isShort({ digests, stateBytes, baselineId, source }: StateHead, segment: StateSegment): boolean {
  return !digests && stateBytes === segment.targetBytes && isShortId(baselineId ?? 0) && isShortId(source?.id ?? 0);
}

function writeId(writer: ByteWriter, id: number, timestampMs: number): void {
  const distance = id - secondsOf(timestampMs);
  writer.varint(distance < 0 ? -2 * distance - 1 : 2 * distance);
}

function readId(reader: ByteReader, timestampMs: number): number {
  const folded = reader.varint();
  const distance = folded % 2 === 1 ? -(folded + 1) / 2 : folded / 2;
  const id = secondsOf(timestampMs) + distance;
  if (!Number.isSafeInteger(id) || id < 0) reader.fail(`a baseline ${id}`);
  return id;
}

/** The part of the source that most deltas read. */
const wholeRange = ({ sourceOffset, sourceBytes, targetBytes }: Omit<StateSegment, 'payload'>): boolean =>
  sourceOffset === 0 && sourceBytes === targetBytes;

/** Everything before the payload. */
function shortHead(head: StateHead, segment: StateSegment): Buffer {
  const { key, keyClass, source, timestampMs } = head;
  const named = keyClass !== classOfKey(key);
  const range = source !== undefined && !wholeRange(segment);
  const body = new ByteWriter();
  body.u8(
    (source ? FLAG.delta : 0) |
      (head.baselineId === undefined ? 0 : FLAG.establishes) |
      (named ? FLAG.className : 0) |
      (head.plain ? FLAG.plain : 0) |
      (segment.dictionaryId === 0 ? 0 : FLAG.dictionary) |
      (range ? FLAG.range : 0) |
      (source?.digest.length === STRONG_BYTES ? FLAG.strongSource : 0),
  );
  body.u8(DIGEST_KINDS.indexOf(head.digestKind) + KINDS * (Math.log2(head.segmentBytes) - SEGMENT_LOG.min));
  body.u8(segment.engine);
  writeText(body, key);
  if (named) writeText(body, keyClass);
  body.varint(timestampMs);
  if (head.baselineId !== undefined) writeId(body, head.baselineId, timestampMs);
  if (source) {
    writeId(body, source.id, timestampMs);
    body.bytes(source.digest);
  }
  body.varint(segment.targetBytes);
  if (range) body.varint(segment.sourceOffset).varint(segment.sourceBytes);
  if (segment.dictionaryId !== 0) body.varint(segment.dictionaryId);
  body.varint(segment.payload.length);
  const start = new ByteWriter(body.length + 16).bytes(STATE_MAGIC).u8(STATE_VERSION.short);
  return start.varint(body.length).bytes(body.finish()).finish();
}

/** Everything behind the payload. @param check of all before it */
function shortTail(engine: Engine, { digest }: StateEnd, check: bigint): Buffer {
  return new ByteWriter(64).bytes(digest).u64(engine.xxh3(digest, check)).finish();
}

/** As `MessageWriter`, for this form: what comes before the segment comes with it. */
export class ShortWriter {
  readonly #engine: Engine;
  readonly #head: StateHead;
  #check = 0n;
  #bytes = 0;

  constructor(engine: Engine, head: StateHead) {
    this.#engine = engine;
    this.#head = head;
  }

  /** Bytes of all so far. */
  get bytes(): number {
    return this.#bytes;
  }

  async segment(segment: StateSegment): Promise<Buffer[]> {
    const first = shortHead(this.#head, segment);
    const { payload } = segment;
    this.#bytes = first.length + payload.length;
    this.#check = this.#engine.xxh3(first, 0n);
    if (payload.length === 0) return [first];
    this.#check = await checkOf(this.#engine, payload, this.#check);
    return [first, Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)];
  }

  end(end: StateEnd): Buffer[] {
    const last = shortTail(this.#engine, end, this.#check);
    this.#bytes += last.length;
    return [last];
  }
}

/** A message whose payload is short, in one piece. */
export function shortMessage(engine: Engine, head: StateHead, segment: StateSegment, end: StateEnd): Buffer {
  const first = shortHead(head, segment);
  const { payload } = segment;
  const seed = engine.xxh3(first, 0n);
  const last = shortTail(engine, end, payload.length > 0 ? engine.xxh3(payload, seed) : seed);
  const message = Buffer.allocUnsafe(first.length + payload.length + last.length);
  message.set(first);
  message.set(payload, first.length);
  message.set(last, first.length + payload.length);
  return message;
}

/** Throws DK_CORRUPT_DELTA; DK_UNSUPPORTED for a kind of digest of a newer release. */
export function decodeShortHead(bytes: Buffer): ShortFacts {
  const reader = new ByteReader(bytes, 'DK_CORRUPT_DELTA', 'state message');
  const flags = reader.flags(FLAGS_KNOWN);
  const has = (flag: number): boolean => (flags & flag) !== 0;
  if ((has(FLAG.range) || has(FLAG.strongSource)) && !has(FLAG.delta)) reader.fail('it tells of no source');
  if (has(FLAG.plain) && (has(FLAG.delta) || has(FLAG.establishes))) reader.fail('a plain state refers to a baseline');
  const form = reader.u8();
  if (form >= FORM_MAX) reader.fail(`a form ${form}`);
  const digestKind = digestKindOf(form % KINDS);
  const segmentBytes = 2 ** (SEGMENT_LOG.min + Math.floor(form / KINDS));
  const engine = reader.u8();
  const key = readText(reader);
  const keyClass = has(FLAG.className) ? readText(reader) : classOfKey(key);
  const timestampMs = reader.varint();
  const baselineId = has(FLAG.establishes) ? readId(reader, timestampMs) : undefined;
  const sourceDigest = has(FLAG.strongSource) ? STRONG_BYTES : QUICK_BYTES;
  const source = has(FLAG.delta)
    ? { id: readId(reader, timestampMs), digest: Buffer.from(reader.bytes(sourceDigest)) }
    : undefined;
  const stateBytes = reader.varint(segmentBytes);
  const sourceOffset = has(FLAG.range) ? reader.varint(STATE_BYTES_LIMIT) : 0;
  const rangeBytes = has(FLAG.range) ? reader.varint(segmentBytes + 2 * MARGIN_BYTES) : stateBytes;
  const sourceBytes = source ? rangeBytes : 0;
  const dictionaryId = has(FLAG.dictionary) ? reader.varint(DICTIONARY_ID_MAX) : 0;
  if (has(FLAG.dictionary) && dictionaryId === 0) reader.fail('a dictionary without a number');
  // Raw is always a candidate: no honest payload is longer than the target.
  const payloadBytes = reader.varint(stateBytes);
  reader.expectEnd();
  const digests = false;
  const plain = has(FLAG.plain);
  return {
    head: { key, keyClass, digestKind, plain, timestampMs, baselineId, source, segmentBytes, stateBytes, digests },
    segment: { engine, targetBytes: stateBytes, sourceOffset, sourceBytes, dictionaryId, digest: undefined },
    payloadBytes,
  };
}

/** Bytes behind the payload. */
export function shortTailBytes({ digestKind }: Pick<StateHead, 'digestKind'>): number {
  return digestBytes(digestKind) + CHECK_BYTES;
}

/** @param tail `shortTailBytes` of them */
export function decodeShortTail(tail: Buffer): { readonly digest: Buffer; readonly check: bigint } {
  const digest = Buffer.from(tail.subarray(0, -CHECK_BYTES));
  return { digest, check: tail.readBigUInt64LE(digest.length) };
}
