/** What was decided about one state, and its segments made ready accordingly. */
import type { ClassDictionaries } from './class-dictionary.js';
import { type EffortControl, LEVEL_RAW, zstdLevel } from './effort-control.js';
import type { EncoderBaselines } from './encoder-baselines.js';
import type { HeldReference } from './reference-table.js';
import { groupKind } from './state-digest.js';
import type { StateSegments } from './state-input.js';
import type { StateHead } from './state-message.js';
import type { StateCounters } from './state-metrics.js';
import type { EncoderSettings } from './state-settings.js';
import type { StateDigest } from './state-types.js';
import { prepareSegment, type ReadySegment } from './state-writer.js';

/** What a coder consists of. */
export interface CoderParts {
  readonly settings: EncoderSettings;
  readonly baselines: EncoderBaselines;
  readonly effort: EffortControl;
  readonly counters: StateCounters;
  readonly dictionaries: ClassDictionaries;
}

export interface Plan {
  readonly key: string;
  readonly keyClass: string;
  readonly level: number;
  /** Of segments that are coded without the source. */
  readonly aloneLevel: number;
  /** Whether a level had a part in any segment so far: neither noise nor bytes passed through. */
  levelled: boolean;
  /** What the delta is made against; undefined for a full state. */
  readonly source: HeldReference | undefined;
  readonly input: StateSegments;
  /** Default: that of the settings. */
  readonly digestKind?: StateDigest;
  /** The decoder may lack dictionaries that went out before. */
  readonly carries: boolean;
  /** Time that the segments took so far, milliseconds: neither waiting for bytes of the state nor for whoever takes the message. */
  codingMs: number;
}

/** When a message is made, as it says it: milliseconds since 1970. */
export function timestampOf({ clock }: EncoderSettings): number {
  return Math.max(0, Math.floor(clock.nowMs()));
}

/** The levels of one state: for what is coded against the source, and without. */
export function levelsOf(
  { effort, settings }: CoderParts,
  keyClass: string,
  state: { readonly stateBytes: number | undefined; readonly source: HeldReference | undefined },
): Pick<Plan, 'level' | 'aloneLevel'> {
  const bytes = state.stateBytes ?? settings.segmentBytes;
  const aloneLevel = effort.level(keyClass, { kind: 'full', bytes });
  return { level: state.source ? effort.level(keyClass, { kind: 'delta', bytes }) : aloneLevel, aloneLevel };
}

/** Head of a message; the facts that differ are given. */
export function headOf(
  settings: EncoderSettings,
  plan: Pick<Plan, 'key' | 'keyClass'> & { readonly input: Pick<StateSegments, 'stateBytes'> },
  facts: Partial<StateHead>,
): StateHead {
  const { digest, segmentBytes } = settings;
  const { stateBytes } = plan.input;
  return {
    key: plan.key,
    keyClass: plan.keyClass,
    digestKind: digest,
    plain: false,
    timestampMs: timestampOf(settings),
    baselineId: undefined,
    source: undefined,
    segmentBytes,
    stateBytes,
    digests: stateBytes === undefined || stateBytes > segmentBytes,
    ...facts,
  };
}

/** Segments made ready in order. */
export async function* readySegments(parts: CoderParts, plan: Plan): AsyncGenerator<ReadySegment> {
  const { settings, dictionaries, baselines, counters } = parts;
  const { engine, segmentBytes, choice, minCompressionRatio, enabled, clock } = settings;
  const digestKind = plan.digestKind ?? settings.digest;
  const copies = copiesAlong(settings, plan);
  let offset = 0;
  for await (const target of plan.input.segments) {
    const started = clock.steadyMs();
    const segment = await prepareSegment(
      engine,
      { digestKind, copies },
      {
        target,
        offset,
        segmentBytes,
        source: plan.source?.reference,
        choice,
        level: zstdLevel(plan.level),
        aloneLevel: zstdLevel(plan.aloneLevel),
        minRatio: minCompressionRatio,
        dictionary: dictionaries.current(plan.keyClass),
        pageSeed: baselines.pageSeed,
        digested:
          plan.source !== undefined &&
          plan.source.reference.pages === undefined &&
          (choice === 'auto' || choice === 'sparse')
            ? groupKind(digestKind)
            : undefined,
        plain: !enabled || plan.level === LEVEL_RAW,
      },
    );
    plan.codingMs += clock.steadyMs() - started;
    offset += target.length;
    plan.levelled ||= enabled && !segment.coded.skipped;
    counters.segment(segment.coded.engine.name, {
      skipped: segment.coded.skipped,
      dictionary: segment.coded.dictionaryId !== 0,
    });
    yield segment;
  }
}

/** Whether the only segment of a state is certain to be copied as a baseline. */
function copiesAlong({ enabled, keep, segmentBytes, memoryBytesMax }: EncoderSettings, plan: Plan): boolean {
  const { stateBytes = Number.POSITIVE_INFINITY, owned } = plan.input;
  const full = enabled && keep === 'copy' && plan.source === undefined;
  return full && !owned && stateBytes <= Math.min(segmentBytes, memoryBytesMax);
}
