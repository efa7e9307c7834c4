/**
 * Short messages of one sparse delta, taken apart at once, and the states that they make. Whatever is wrong with a message, or is not plainly such a one, is left to
 * `messageParts`, which says what.
 */
import { isDiffKeeperError, LIMITS } from '../core/core.js';
import type { Engine, GroupDigestKind } from '../engine/engine.js';
import { ByteReader } from '../format/format.js';
import { MessageBounds } from './message-bounds.js';
import type { MessageInput } from './message-parts.js';
import type { Reference } from './reference.js';
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
  type StateEnd,
  type StateHead,
  type StateSegment,
  stateVersion,
} from './state-message.js';

/** Encoders send no longer ones for what they code at once. */
const MESSAGE_BYTES_MAX = 96 << 10;
const CODE = 'DK_CORRUPT_DELTA';

export interface PlainMessage {
  readonly head: StateHead & { readonly source: NonNullable<StateHead['source']> };
  readonly segment: StateSegment;
  readonly end: StateEnd;
  readonly messageBytes: number;
}

/** Where all of it is in memory, and it is short: in one piece. */
function shortBytes(message: MessageInput): Buffer | undefined {
  const pieces = message instanceof Uint8Array ? [message] : message;
  if (!Array.isArray(pieces)) return undefined;
  let length = 0;
  for (const piece of pieces as readonly unknown[]) {
    if (!(piece instanceof Uint8Array) || !(piece.buffer instanceof ArrayBuffer)) return undefined;
    length += piece.length;
    if (length > MESSAGE_BYTES_MAX) return undefined;
  }
  const [only] = pieces as readonly Uint8Array[];
  if (pieces.length === 1 && only) return Buffer.from(only.buffer, only.byteOffset, only.length);
  return Buffer.concat(pieces as readonly Uint8Array[], length);
}

/** A sparse delta of one segment whose check is right and whose facts fit together. */
export function plainMessage(engine: Engine, message: MessageInput, stateBytesMax: number): PlainMessage | undefined {
  const bytes = shortBytes(message);
  if (bytes === undefined) return undefined;
  try {
    return read(engine, bytes, new MessageBounds(stateBytesMax));
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

function read(engine: Engine, bytes: Buffer, bounds: MessageBounds): PlainMessage | undefined {
  const reader = new ByteReader(bytes, CODE, 'state message');
  if (!reader.bytes(STATE_MAGIC.length).equals(STATE_MAGIC)) return undefined;
  const version = stateVersion(reader.u8());
  const head = decodeHead(reader.bytes(lengthOf(reader)), version);
  const { source } = head;
  if (source === undefined || head.baselineId !== undefined || head.digests) return undefined;
  bounds.head(head);
  let check = engine.xxh3(bytes.subarray(0, reader.offset), 0n);
  const segmentAt = reader.offset;
  if (reader.u8() !== PART.segment) return undefined;
  const header = decodeSegmentHeader(reader.bytes(lengthOf(reader)), head);
  const { payloadBytes, ...segment } = header;
  if (segment.engine !== SPARSE.number || segment.dictionaryId !== 0 || segment.sourceBytes === 0) return undefined;
  bounds.segment(segment);
  check = engine.xxh3(bytes.subarray(segmentAt, reader.offset), check);
  const payload = reader.bytes(payloadBytes);
  if (payload.length > 0) check = engine.xxh3(payload, check);
  const endAt = reader.offset;
  if (reader.u8() !== PART.end) return undefined;
  const last = decodeEnd(reader.bytes(lengthOf(reader)), head);
  reader.expectEnd();
  if (engine.xxh3(bytes.subarray(endAt, bytes.length - CHECK_BYTES), check) !== last.check) return undefined;
  const { targetBytes: stateBytes } = segment;
  if (last.stateBytes !== stateBytes || head.stateBytes !== stateBytes) return undefined;
  const { digest } = last;
  return {
    head: { ...head, source },
    segment: { ...segment, payload },
    end: { stateBytes, digest },
    messageBytes: bytes.length,
  };
}

/** Whether a state is made in less time than another thread is woken. */
export function isSmall({ targetBytes, sourceBytes }: StateSegment): boolean {
  return Math.max(targetBytes, sourceBytes) <= LIMITS.syncStateBytes;
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
  patch: PlainPatch & { readonly end: StateEnd; readonly room: Uint8Array | undefined },
): Promise<Buffer | undefined> {
  const { segment, source, end, room } = patch;
  const { bytes, groups, kind } = source;
  try {
    const made = await engine.sparsePatch(bytes, segment.payload, segment.targetBytes, groups, room, kind);
    return made.digest.equals(end.digest) ? made.data : undefined;
  } catch (error) {
    if (isDiffKeeperError(error)) return undefined;
    throw error;
  }
}
