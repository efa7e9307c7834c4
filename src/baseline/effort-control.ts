/**
 * Which compression level a class of states gets, from what was measured. Every
 * observation may move it either way: nothing is ever switched off for good.
 *
 * Without a link rate: one step down while a state takes longer than the budget;
 * one step up while it takes less than a quarter of it and the ratio is below the
 * threshold, unless it is known that the next step takes too long (now and then it
 * is tried nevertheless); above the threshold, one step towards the default. Levels above the
 * default are for states that they are likely to fit: what states of about that length took
 * counts, else what zstd takes for text; and states that no level changes anything of move nothing.
 * Full states and deltas are told apart: a delta's time says nothing of what a full state takes.
 * With a link rate: the level with the least time for encoding plus sending, as far
 * as measured, and now and then its neighbours, so that the measure stays fresh: one
 * that turned out to be clearly worse is tried half as often each time, and as often as
 * before once the states are others. There is a level 0 as
 * well, without zstd, which is tried where sending the bytes as they are takes less time
 * than the best level does.
 */

/** Level of states that zstd is left out of. */
export const LEVEL_RAW = 0;
const LEVELS = [LEVEL_RAW, 1, 3, 6, 9, 12, 15, 19] as const;
const LEAST_STEP = 1;
const DEFAULT_STEP = 2;
/** Weight of the newest measure of room. */
const NEWEST = 0.3;
/** Times that are remembered: the second best counts, since whatever else went on made the others longer. */
const TIMES = 5;
/** Nanoseconds a byte of text, by step, where nothing better is known; twice what one slow processor takes. */
const TEXT_NS = [0, 3, 5, 15, 20, 40, 100, 600] as const;
/** States so many times as long, or as short, tell what a byte of another takes. */
const ALIKE = 8;
/** After so many states a neighbour that was not the better one is tried, and one that never was, or once: that may have been a bad moment. */
const EXPLORE_EVERY = 8;
const UNTRIED_AFTER = 2;
/** A neighbour that took this many times as long as the best one is tried half as often from then on, as far as this. */
const CLEARLY = 1.1;
const EXPLORE_MAX = 256;
/** With a link rate: shorter states tell nothing, most of their message is what all have. They get the level of the others. */
const PACED_BYTES_MIN = 64 << 10;
/** Two states in a row that take so much more, or less, room than those before are others: what is known is not of them. */
const MOVED = 0.3;
/** Classes remembered; the least recently used goes. */
const CLASSES_MAX = 1024;

interface Measure {
  /** Milliseconds a byte of the last states, oldest first. */
  readonly times: readonly number[];
  readonly outPerByte: number;
  /** Length of the last state. */
  readonly inBytes: number;
}

/** What is about to be coded. Full states and deltas have levels of their own. */
export interface EffortTask {
  readonly kind?: 'full' | 'delta';
  /** Length of the state. Default: like those before. */
  readonly bytes?: number;
}

function msPerByte({ times }: Measure): number {
  return [...times].sort((one, other) => one - other)[(times.length - 1) >> 2] as number;
}

interface ClassState {
  step: number;
  observed: number;
  /** Whether the last state took much more room than those before (1), much less (-1), or neither. */
  moved: number;
  /** It did, for the first time in a row. */
  doubted: boolean;
  measures: (Measure | undefined)[];
  /** One state of this length, or somewhat more, may take too long: to see whether it still does. */
  trialBytes: number;
  /** By step: after so many states it is tried, and so many more after a try that was no good. */
  readonly due: Map<number, { readonly observed: number; readonly wait: number }>;
}

export interface EffortOptions {
  readonly level: number | 'adaptive';
  readonly timeBudgetMs: number;
  readonly linkBytesPerSecond: number | undefined;
  readonly adaptiveThreshold: number;
}

/** What a state took. */
export interface EffortFacts {
  readonly kind?: 'full' | 'delta';
  readonly level: number;
  readonly inBytes: number;
  readonly outBytes: number;
  readonly ms: number;
  readonly levelled?: boolean;
}

export class EffortControl {
  readonly #options: EffortOptions;
  readonly #classes = new Map<string, ClassState>();
  #changes = 0;

  constructor(options: EffortOptions) {
    this.#options = options;
  }

  /** How often a level moved. */
  get changes(): number {
    return this.#changes;
  }

  /** zstd level for the next state of this class; `LEVEL_RAW`: without. */
  level(keyClass: string, { kind = 'full', bytes }: EffortTask = {}): number {
    const { level, linkBytesPerSecond, timeBudgetMs } = this.#options;
    if (level !== 'adaptive') return level;
    const state = this.#classes.get(`${kind} ${keyClass}`);
    let step = state?.step ?? DEFAULT_STEP;
    if (state && bytes !== undefined && linkBytesPerSecond === undefined && bytes > 2 * state.trialBytes) {
      while (step > DEFAULT_STEP && likelyMs(state.measures, step, bytes) > timeBudgetMs) step -= 1;
    }
    return LEVELS[step] as number;
  }

  /** @param facts `levelled`: whether the level had a part in it. Default: yes */
  observe(keyClass: string, facts: EffortFacts): void {
    if (this.#options.level !== 'adaptive' || facts.inBytes === 0) return;
    if (this.#options.linkBytesPerSecond !== undefined && facts.inBytes < PACED_BYTES_MIN) return;
    if (this.#options.linkBytesPerSecond === undefined && facts.levelled === false) return;
    const state = this.#stateOf(`${facts.kind ?? 'full'} ${keyClass}`);
    state.observed += 1;
    const step = LEVELS.indexOf(facts.level as (typeof LEVELS)[number]);
    if (step < 0) return;
    const outPerByte = facts.outBytes / facts.inBytes;
    const before = state.measures[step];
    const moved = before ? directionOf(before.outPerByte, outPerByte) : 0;
    if (moved !== 0 && moved === state.moved) {
      state.measures = [];
      state.due.clear();
    }
    // One more look soon tells whether the states are others by now; of those that go to and fro there is no end.
    state.doubted = moved !== 0 && state.moved === 0 && step >= LEAST_STEP;
    // What is sent as it is takes the same room whatever it is: it says nothing against a move that another level saw.
    if (moved !== 0 || step >= LEAST_STEP) state.moved = moved;
    const known = state.measures[step] ?? { times: [], outPerByte, inBytes: 0 };
    state.measures[step] = {
      times: [...known.times.slice(1 - TIMES), facts.ms / facts.inBytes],
      outPerByte: known.outPerByte + NEWEST * (outPerByte - known.outPerByte),
      inBytes: facts.inBytes,
    };
    const next =
      this.#options.linkBytesPerSecond === undefined ? this.#byBudget(state, step, facts) : this.#byLink(state, step);
    if (next !== state.step) this.#changes += 1;
    state.step = next;
  }

  #stateOf(keyClass: string): ClassState {
    const known = this.#classes.get(keyClass) ?? {
      step: DEFAULT_STEP,
      observed: 0,
      moved: 0,
      doubted: false,
      trialBytes: 0,
      measures: [],
      due: new Map(),
    };
    this.#classes.delete(keyClass);
    this.#classes.set(keyClass, known);
    if (this.#classes.size > CLASSES_MAX) this.#classes.delete(this.#classes.keys().next().value as string);
    return known;
  }

  #byBudget(state: ClassState, used: number, { inBytes, outBytes, ms }: EffortFacts): number {
    const { timeBudgetMs, adaptiveThreshold } = this.#options;
    state.trialBytes = 0;
    if (ms > timeBudgetMs) return Math.max(LEAST_STEP, used - 1);
    const ratio = inBytes / Math.max(1, outBytes);
    if (ratio >= adaptiveThreshold) return state.step + Math.sign(DEFAULT_STEP - state.step);
    // A state that was too long for the level of its class says nothing of the next one.
    if (ms * 4 >= timeBudgetMs || used < state.step) return state.step;
    const next = Math.min(LEVELS.length - 1, state.step + 1);
    if (likelyMs(state.measures, next, inBytes) <= timeBudgetMs) return next;
    if (state.observed % EXPLORE_EVERY !== 0) return state.step;
    state.trialBytes = inBytes;
    return next;
  }

  /** @param tried the step that was measured last */
  #byLink(state: ClassState, tried: number): number {
    const msPerSentByte = 1000 / (this.#options.linkBytesPerSecond as number);
    const totals: (number | undefined)[] = [];
    let least = Number.POSITIVE_INFINITY;
    let best = state.step;
    for (let step = LEVELS.length - 1; step >= 0; step -= 1) {
      const measure = state.measures[step];
      if (measure === undefined) continue;
      const above = state.measures[step + 1];
      // It never takes longer than the level above: where it seems to, something else went on while it was tried.
      const coding = Math.min(msPerByte(measure), above ? msPerByte(above) : Number.POSITIVE_INFINITY);
      const total = coding + measure.outPerByte * msPerSentByte;
      totals[step] = total;
      if (total > least) continue;
      least = total;
      best = step;
    }
    const took = totals[tried];
    if (tried !== best && took !== undefined) {
      const wait = took > CLEARLY * least ? (state.due.get(tried)?.wait ?? EXPLORE_EVERY) * 2 : EXPLORE_EVERY;
      const isSingle = state.measures[tried]?.times.length === 1;
      const soon = isSingle || state.doubted;
      state.due.set(tried, {
        observed: state.observed + (soon ? UNTRIED_AFTER : Math.min(wait, EXPLORE_MAX)),
        wait: isSingle ? EXPLORE_EVERY : Math.min(wait, EXPLORE_MAX),
      });
    }
    for (const next of [best + 1, best - 1]) {
      if (next < 0 || next >= LEVELS.length) continue;
      // What is sent as it is cannot take less than that.
      if (next < LEAST_STEP && msPerSentByte >= least) continue;
      const due = state.due.get(next) ?? { observed: state.observed + UNTRIED_AFTER, wait: EXPLORE_EVERY };
      state.due.set(next, due);
      if (state.observed >= due.observed) return next;
    }
    return best;
  }
}

/** What a state is likely to take at this level, milliseconds. */
function likelyMs(measures: readonly (Measure | undefined)[], step: number, bytes: number): number {
  for (let known = step; known >= LEAST_STEP; known -= 1) {
    const measure = measures[known];
    if (measure === undefined || measure.inBytes * ALIKE < bytes || measure.inBytes > bytes * ALIKE) continue;
    return (bytes * msPerByte(measure) * (TEXT_NS[step] as number)) / (TEXT_NS[known] as number);
  }
  return (bytes * (TEXT_NS[step] as number)) / 1e6;
}

/** zstd's level where it is needed whatever was chosen: the values of deltas. */
export function zstdLevel(level: number): number {
  return Math.max(1, level);
}

function directionOf(known: number, fresh: number): number {
  return Math.abs(fresh - known) > MOVED * known ? Math.sign(fresh - known) : 0;
}
