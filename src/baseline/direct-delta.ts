/**
 * Deltas by one call of the engine. Small states of which little changed are coded at once: handing them to another thread, and its
 * answer back, would take longer than the work. Whatever is not plainly such a state is left to the way for all states.
 */
import { layoutOfHeaders } from '../delta/delta.js';
import type { Engine, GroupDigestKind } from '../engine/engine.js';
import { mostlyInPlace } from './byte-evidence.js';
import { zstdLevel } from './effort-control.js';
import type { HeldReference } from './reference-table.js';
import { isSettled } from './segment-encode.js';
import { isShortId, ShortWriter, shortMessage } from './short-message.js';
import { digestBytes, groupKind } from './state-digest.js';
import { SPARSE } from './state-engines.js';
import type { StateEnd, StateHead, StateSegment } from './state-message.js';
import { type CoderParts, timestampOf } from './state-plan.js';
import type { EncoderSettings } from './state-settings.js';
import type { StateFacts, StateInput } from './state-types.js';
import { sparseFacts } from './state-writer.js';

/** Bytes that may differ, by the zstd level that their values are coded with: each takes part of a millisecond. */
const CHANGED_MAX = [
  { level: 6, bytes: 32 << 10 },
  { level: 12, bytes: 4 << 10 },
] as const;

/** A delta that is finished: message and what is to be counted of it. */
export interface DirectDelta {
  readonly parts: readonly Buffer[];
  readonly facts: StateFacts;
  readonly keyClass: string;
  readonly level: number;
  readonly held: HeldReference;
  /** Milliseconds. */
  readonly ms: number;
}

/** @property keyClass of the key, checked */
interface Named {
  readonly key: string;
  readonly keyClass: string;
}

/** What a delta of a state is made against, and how. */
interface Ground {
  readonly held: HeldReference;
  readonly source: Uint8Array;
  readonly groups: Uint8Array;
  readonly kind: GroupDigestKind;
  readonly level: number;
}

/** The bytes of a state that nobody changes meanwhile, in one piece of memory. */
export function plainBytes(state: StateInput, bytesMax: number): Uint8Array | undefined {
  if (!(state instanceof Uint8Array) || !(state.buffer instanceof ArrayBuffer)) return undefined;
  return state.length > 0 && state.length <= bytesMax ? state : undefined;
}

/** Undefined where the baseline is to be renewed, or not in memory as a whole, and for floats, of which there is more to know. */
function groundOf({ settings, baselines, effort }: CoderParts, of: Named, target: Uint8Array): Ground | undefined {
  const kind = groupKind(settings.digest);
  if (kind === undefined || target.length > settings.segmentBytes) return undefined;
  const held = baselines.held(of.key);
  if (held === undefined || baselines.refreshDue(held)) return undefined;
  const { reference } = held;
  if (!isShortId(reference.id)) return undefined;
  const sourceBytes = Math.min(reference.stateBytes, target.length);
  const source = reference.pages === undefined && sourceBytes > 0 ? reference.view?.(0, sourceBytes) : undefined;
  if (source === undefined) return undefined;
  if (settings.choice === 'auto' && layoutOfHeaders(source, target) !== undefined) return undefined;
  const level = effort.level(of.keyClass, { kind: 'delta', bytes: target.length });
  return { held, source, groups: reference.groups(kind, 0, sourceBytes), kind, level };
}

/** What a message says of itself. Plain objects, in one piece: small states have little time for more. */
interface DeltaMessage {
  readonly head: StateHead & { readonly source: NonNullable<StateHead['source']> };
  readonly segment: StateSegment;
  readonly end: StateEnd;
}

function messageOf(
  { settings }: CoderParts,
  of: Named,
  { held, source }: Ground,
  made: { readonly targetBytes: number; readonly digest: Buffer; readonly payload: Buffer },
): DeltaMessage {
  const { id, digest } = held.reference;
  const stateBytes = made.targetBytes;
  const segment = {
    engine: SPARSE.number,
    targetBytes: stateBytes,
    sourceOffset: 0,
    sourceBytes: source.length,
    dictionaryId: 0,
    digest: undefined,
    payload: made.payload,
  };
  const head = {
    key: of.key,
    keyClass: of.keyClass,
    digestKind: settings.digest,
    plain: false,
    timestampMs: timestampOf(settings),
    baselineId: undefined,
    source: { id, digest },
    segmentBytes: settings.segmentBytes,
    stateBytes,
    digests: false,
  };
  return { head, segment, end: { stateBytes, digest: made.digest } };
}

/** Payloads that are copied into a message of one piece: more would take longer than the steps that it saves. */
const SHORT_BYTES = 32 << 10;

/** The pieces of a message. */
async function piecesOf(engine: Engine, { head, segment, end }: DeltaMessage): Promise<Buffer[]> {
  if (segment.payload.length <= SHORT_BYTES) return [shortMessage(engine, head, segment, end)];
  const writer = new ShortWriter(engine, head);
  return [...(await writer.segment(segment)), ...writer.end(end)];
}

/** At once, on this thread. @param target at most `LIMITS.syncStateBytes` */
export function smallDelta(parts: CoderParts, of: Named, target: Uint8Array): DirectDelta | undefined {
  const { engine, choice, clock, minCompressionRatio } = parts.settings;
  const ground = groundOf(parts, of, target);
  const changedMax = ground && CHANGED_MAX.find((row) => ground.level <= row.level)?.bytes;
  if (ground === undefined || changedMax === undefined) return undefined;
  const started = clock.steadyMs();
  const { source, level, groups, kind, held } = ground;
  const made = engine.sparseDiffSync(source, target, { level: zstdLevel(level), groups, kind, changedMax });
  if (made === undefined) return undefined;
  const digest = made.subarray(0, digestBytes(kind));
  const payload = made.subarray(digest.length);
  if (payload.length * minCompressionRatio > target.length) return undefined;
  if (!isSettled(choice, SPARSE, { source, target, payload })) return undefined;
  const { head, segment, end } = messageOf(parts, of, ground, { targetBytes: target.length, digest, payload });
  const bytes = shortMessage(engine, head, segment, end);
  const facts = sparseFacts(head, end, bytes.length);
  return { parts: [bytes], facts, keyClass: of.keyClass, level, held, ms: clock.steadyMs() - started };
}

/**
 * By one job of the engine, for states of one segment that look as if they had mostly stayed in place: there `sparse` is what all
 * engines together would come to.
 */
export async function inPlaceDelta(parts: CoderParts, of: Named, target: Uint8Array): Promise<DirectDelta | undefined> {
  const { engine, clock, minCompressionRatio } = parts.settings;
  const ground = groundOf(parts, of, target);
  if (ground === undefined || !mostlyInPlace(ground.source, target)) return undefined;
  const started = clock.steadyMs();
  const { source, level, groups, kind, held } = ground;
  const made = await engine.sparseDiff(source, target, zstdLevel(level), groups, kind);
  if (made.payload.length * minCompressionRatio > target.length) return undefined;
  const { digest, payload } = made;
  const message = messageOf(parts, of, ground, { targetBytes: target.length, digest, payload });
  const pieces = await piecesOf(engine, message);
  const messageBytes = pieces.reduce((sum, { length }) => sum + length, 0);
  const facts = sparseFacts(message.head, message.end, messageBytes);
  return { parts: pieces, facts, keyClass: of.keyClass, level, held, ms: clock.steadyMs() - started };
}

/** Whether states of these settings can be such deltas at all. */
export function mayBeDirect({ enabled, reference, choice }: EncoderSettings): boolean {
  return enabled && reference === 'baseline' && (choice === 'auto' || choice === 'sparse');
}
