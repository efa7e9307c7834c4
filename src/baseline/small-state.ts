/**
 * Small states of which little changed, coded at once by one call of the engine: handing them to another thread, and its answer
 * back, would take longer than the work. Whatever is not plainly such a state is left to the way for all states.
 */
import { LIMITS } from '../core/core.js';
import type { HeldReference } from './reference-table.js';
import { isSettled } from './segment-encode.js';
import { digestBytes, groupKind } from './state-digest.js';
import { SPARSE } from './state-engines.js';
import { shortMessage } from './state-message.js';
import { type CoderParts, headOf } from './state-plan.js';
import type { EncoderSettings } from './state-settings.js';
import type { StateFacts, StateInput } from './state-types.js';
import { factsOfHead } from './state-writer.js';

/** Bytes that may differ, by the zstd level that their values are coded with: each takes part of a millisecond. */
const CHANGED_MAX = [
  { level: 6, bytes: 32 << 10 },
  { level: 12, bytes: 4 << 10 },
] as const;

export interface SmallDelta {
  readonly bytes: Buffer;
  readonly facts: StateFacts;
  readonly keyClass: string;
  readonly level: number;
  readonly held: HeldReference;
  /** Milliseconds. */
  readonly ms: number;
}

/** The bytes of a state that may be coded here: memory that nobody changes meanwhile, and not much of it. */
export function smallBytes(state: StateInput): Uint8Array | undefined {
  if (!(state instanceof Uint8Array) || !(state.buffer instanceof ArrayBuffer)) return undefined;
  return state.length > 0 && state.length <= LIMITS.syncStateBytes ? state : undefined;
}

/** @param of `keyClass`: of the key, checked */
export function smallDelta(
  parts: CoderParts,
  of: { readonly key: string; readonly keyClass: string },
  target: Uint8Array,
): SmallDelta | undefined {
  const { settings, baselines, effort } = parts;
  const { engine, choice, clock, minCompressionRatio: minRatio } = settings;
  const kind = groupKind(settings.digest);
  const level = effort.level(of.keyClass);
  const changedMax = CHANGED_MAX.find((row) => level <= row.level)?.bytes;
  if (kind === undefined || changedMax === undefined || target.length > settings.segmentBytes) return undefined;
  const held = baselines.held(of.key);
  if (held === undefined || baselines.refreshDue(held)) return undefined;
  const { reference } = held;
  const sourceBytes = Math.min(reference.stateBytes, target.length);
  const source = reference.pages === undefined && sourceBytes > 0 ? reference.view?.(0, sourceBytes) : undefined;
  if (source === undefined) return undefined;
  const started = clock.steadyMs();
  const groups = reference.groups(kind, 0, sourceBytes);
  const made = engine.sparseDiffSync(source, target, { level, groups, kind, changedMax });
  if (made === undefined) return undefined;
  const digest = made.subarray(0, digestBytes(settings.digest));
  const payload = made.subarray(digest.length);
  if (payload.length * minRatio > target.length) return undefined;
  if (!isSettled(choice, SPARSE, { source, target, payload })) return undefined;
  const plan = { ...of, input: { stateBytes: target.length } };
  const head = headOf(settings, plan, { source: { id: reference.id, digest: reference.digest } });
  const segment = {
    ...{ engine: SPARSE.number, targetBytes: target.length, sourceOffset: 0, sourceBytes },
    ...{ dictionaryId: 0, digest: undefined, payload },
  };
  const bytes = shortMessage(engine, head, segment, { stateBytes: target.length, digest });
  const facts: StateFacts = {
    ...factsOfHead(head),
    targetDigest: digest.toString('hex'),
    engines: [SPARSE.name],
    dictionaryId: 0,
    stateBytes: target.length,
    messageBytes: bytes.length,
  };
  return { bytes, facts, keyClass: of.keyClass, level, held, ms: clock.steadyMs() - started };
}

/** Whether states of these settings can be small deltas at all. */
export function mayBeSmall({ enabled, reference, choice }: EncoderSettings): boolean {
  return enabled && reference === 'baseline' && (choice === 'auto' || choice === 'sparse');
}
