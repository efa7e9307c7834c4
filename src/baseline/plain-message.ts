/**
 * Messages of one sparse delta that are in memory, taken apart at once, and the states that they make. Whatever is wrong with a message, or is not plainly such a one, is left to
 * `messageParts`, which says what.
 */
import { isDiffKeeperError, LIMITS } from '../core/core.js';
import type { Engine, GroupDigestKind } from '../engine/engine.js';
import { ByteReader } from '../format/format.js';
import { MessageBounds } from './message-bounds.js';
import type { MessageInput } from './message-parts.js';
import type { Reference } from './reference.js';
import { decodeShortHead, decodeShortTail, shortTailBytes } from './short-message.js';
import { groupKind } from './state-digest.js';
import { SPARSE } from './state-engines.js';
import {
  CHECK_BYTES,
  decodeEnd,
  decodeHead,
  decodeSegmentHeader,
  HEAD_BYTES_MAX,
  PART,
  STATE_MAGIC,
  STATE_VERSION,
  type StateEnd,
  type StateHead,
  type StateSegment,
  stateVersion,
} from './state-message.js';

/** What is joined here: encoders send no longer messages for what they code at once. */
const SHORT_BYTES = 96 << 10;
const CODE = 'DK_CORRUPT_DELTA';

export interface PlainMessage {
  readonly head: StateHead & { readonly source: NonNullable<StateHead['source']> };
  readonly segment: StateSegment;
  readonly end: StateEnd;
  readonly messageBytes: number;
  /** Of a long payload: what goes into the check of the message before and behind it. */
  readonly unchecked: { readonly seed: bigint; readonly back: Buffer; readonly check: bigint } | undefined;
}

/** A message in memory: all of it, or, where there is more of it, all around a payload that lies alone. */
interface Pieces {
  readonly front: Buffer;
  readonly apart: { readonly payload: Buffer; readonly back: Buffer } | undefined;
  readonly messageBytes: number;
}

const viewOf = (piece: Uint8Array): Buffer => Buffer.from(piece.buffer, piece.byteOffset, piece.length);

/** Never copies more than a short message. */
function piecesOf(message: MessageInput): Pieces | undefined {
  const pieces: unknown = message instanceof Uint8Array ? [message] : message;
  if (!Array.isArray(pieces)) return undefined;
  const all: Uint8Array[] = [];
  let messageBytes = 0;
  let longest = 0;
  for (const piece of pieces as readonly unknown[]) {
    if (!(piece instanceof Uint8Array) || !(piece.buffer instanceof ArrayBuffer)) return undefined;
    messageBytes += piece.length;
    if (piece.length > (all[longest]?.length ?? 0)) longest = all.length;
    all.push(piece);
  }
  const payload = all[longest];
  if (payload === undefined) return undefined;
  if (all.length === 1) return { front: viewOf(payload), apart: undefined, messageBytes };
  if (messageBytes <= SHORT_BYTES) return { front: Buffer.concat(all, messageBytes), apart: undefined, messageBytes };
  if (messageBytes - payload.length > SHORT_BYTES) return undefined;
  const apart = { payload: viewOf(payload), back: Buffer.concat(all.slice(longest + 1)) };
  return { front: Buffer.concat(all.slice(0, longest)), apart, messageBytes };
}

/** A sparse delta of one segment whose facts fit together and whose check is right, unless `unchecked` says that that is not known. */
export function plainMessage(engine: Engine, message: MessageInput, stateBytesMax: number): PlainMessage | undefined {
  const pieces = piecesOf(message);
  if (pieces === undefined) return undefined;
  try {
    return read(engine, pieces, new MessageBounds(stateBytesMax));
  } catch (error) {
    if (isDiffKeeperError(error)) return undefined;
    throw error;
  }
}

/** As `messageParts` takes one: at most four bytes long. */
function lengthOf(reader: ByteReader): number {
  const from = reader.offset;
  const length = reader.varint(HEAD_BYTES_MAX);
  if (reader.offset - from > 4) reader.fail('a length is too long');
  return length;
}

/** What comes before the payload. */
interface Front {
  readonly head: StateHead;
  readonly segment: Omit<StateSegment, 'payload'>;
  readonly payloadBytes: number;
  /** The check of all of it. */
  readonly seed: bigint;
  readonly isShort: boolean;
}

function readFront(engine: Engine, front: Buffer, reader: ByteReader): Front | undefined {
  if (!reader.bytes(STATE_MAGIC.length).equals(STATE_MAGIC)) return undefined;
  const version = stateVersion(reader.u8());
  const body = reader.bytes(lengthOf(reader));
  const before = engine.xxh3(front.subarray(0, reader.offset), 0n);
  if (version === STATE_VERSION.short) return { ...decodeShortHead(body), seed: before, isShort: true };
  const head = decodeHead(body, version);
  if (head.digests) return undefined;
  const segmentAt = reader.offset;
  if (reader.u8() !== PART.segment) return undefined;
  const { payloadBytes, ...segment } = decodeSegmentHeader(reader.bytes(lengthOf(reader)), head);
  const seed = engine.xxh3(front.subarray(segmentAt, reader.offset), before);
  return { head, segment, payloadBytes, seed, isShort: false };
}

/** What comes behind it. */
interface Back extends StateEnd {
  readonly check: bigint;
}

function readBack(back: Buffer, { head, segment, isShort }: Front): Back | undefined {
  const { targetBytes } = segment;
  if (isShort) {
    return back.length === shortTailBytes(head) ? { ...decodeShortTail(back), stateBytes: targetBytes } : undefined;
  }
  const last = new ByteReader(back, CODE, 'state message');
  if (last.u8() !== PART.end) return undefined;
  const end = decodeEnd(last.bytes(lengthOf(last)), head);
  last.expectEnd();
  return end.stateBytes === targetBytes && head.stateBytes === targetBytes ? end : undefined;
}

function read(engine: Engine, pieces: Pieces, bounds: MessageBounds): PlainMessage | undefined {
  const { front, apart, messageBytes } = pieces;
  const reader = new ByteReader(front, CODE, 'state message');
  const start = readFront(engine, front, reader);
  if (start === undefined) return undefined;
  const { head, segment, payloadBytes, seed } = start;
  const { source } = head;
  if (source === undefined || head.baselineId !== undefined) return undefined;
  if (segment.engine !== SPARSE.number || segment.dictionaryId !== 0 || segment.sourceBytes === 0) return undefined;
  bounds.head(head);
  bounds.segment(segment);
  const payload = apart?.payload ?? reader.bytes(payloadBytes);
  if (payload.length !== payloadBytes || (apart && reader.left > 0)) return undefined;
  const back = apart?.back ?? reader.bytes(reader.left);
  const end = readBack(back, start);
  if (end === undefined) return undefined;
  const { check, digest, stateBytes } = end;
  const sum = { seed, back: back.subarray(0, -CHECK_BYTES), check };
  const isChecked = payload.length <= LIMITS.syncBytes;
  if (isChecked && engine.xxh3(sum.back, payload.length > 0 ? engine.xxh3(payload, seed) : seed) !== check)
    return undefined;
  return {
    head: { ...head, source },
    segment: { ...segment, payload },
    end: { stateBytes, digest },
    messageBytes,
    unchecked: isChecked ? undefined : sum,
  };
}

/** Whether a state is made in less time than another thread is woken. */
export function isSmall({ segment, messageBytes }: PlainMessage): boolean {
  const { targetBytes, sourceBytes } = segment;
  return messageBytes <= SHORT_BYTES && Math.max(targetBytes, sourceBytes) <= LIMITS.syncStateBytes;
}

/** What a segment is made from. */
export interface PatchSource {
  readonly bytes: Uint8Array;
  readonly groups: Uint8Array;
  readonly kind: GroupDigestKind;
}

/** The range of a baseline that a segment reads; undefined where that takes more than a view. */
export function patchSource(head: StateHead, segment: StateSegment, source: Reference): PatchSource | undefined {
  const { sourceOffset, sourceBytes } = segment;
  const kind = groupKind(head.digestKind);
  const inside = sourceOffset <= source.stateBytes && sourceBytes <= source.stateBytes - sourceOffset;
  const bytes = kind !== undefined && inside ? source.view?.(sourceOffset, sourceBytes) : undefined;
  if (kind === undefined || bytes === undefined) return undefined;
  return { bytes, groups: source.groups(kind, sourceOffset, sourceBytes), kind };
}

interface PlainPatch {
  readonly segment: StateSegment;
  readonly source: PatchSource;
}

/** Bytes that may differ in a state that is made here. */
const CHANGED_MAX = 64 << 10;

/** The state of a small message in all of `room`, and its digest; undefined when that cannot be had here. */
export function patchSmall(engine: Engine, patch: PlainPatch & { readonly room: Uint8Array }): Buffer | undefined {
  const { segment, source, room } = patch;
  const { bytes, groups, kind } = source;
  return engine.sparsePatchSync(bytes, segment.payload, room, { groups, kind, changedMax: CHANGED_MAX });
}

/**
 * The state of a message of any length, verified, by one job of the engine; undefined when there is anything wrong with it.
 * @param patch `room`: where the state is wanted, all of it; undefined: in memory of its own
 */
export async function patchDirect(
  engine: Engine,
  patch: PlainPatch & Pick<PlainMessage, 'end' | 'unchecked'> & { readonly room: Uint8Array | undefined },
): Promise<Buffer | undefined> {
  const { segment, source, end, unchecked, room } = patch;
  const { bytes, groups, kind } = source;
  const { payload, targetBytes } = segment;
  try {
    const patching = engine.sparsePatch(bytes, payload, targetBytes, groups, room, kind);
    const summing = unchecked && engine.xxh3Async(payload, unchecked.seed);
    // Nobody else may get the room while one of them is still at work.
    await Promise.allSettled([patching, summing]);
    const [made, sum] = await Promise.all([patching, summing]);
    if (unchecked && sum !== undefined && engine.xxh3(unchecked.back, sum) !== unchecked.check) return undefined;
    return made.digest.equals(end.digest) ? made.data : undefined;
  } catch (error) {
    if (isDiffKeeperError(error)) return undefined;
    throw error;
  }
}
