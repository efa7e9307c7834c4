/**
 * Which compression level a class of states gets, from what was measured. Every
 * observation may move it either way: nothing is ever switched off for good.
 *
 * Without a link rate: one step down while a state takes longer than the budget;
 * one step up while it takes less than a quarter of it and the ratio is below the
 * threshold, unless it is known that the next step takes too long (now and then it
 * is tried nevertheless); above the threshold, one step towards the default.
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
/** Times that are remembered: the middle one counts, since a single one says more of what else went on. */
const TIMES = 5;
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
}

function msPerByte({ times }: Measure): number {
  return [...times].sort((one, other) => one - other)[(times.length - 1) >> 1] as number;
}

interface ClassState {
  step: number;
  observed: number;
  /** Whether the last state took much more room than those before (1), much less (-1), or neither. */
  moved: number;
  /** It did, for the first time in a row. */
  doubted: boolean;
  measures: (Measure | undefined)[];
  /** By step: after so many states it is tried, and so many more after a try that was no good. */
  readonly due: Map<number, { readonly observed: number; readonly wait: number }>;
}

export interface EffortOptions {
  readonly level: number | 'adaptive';
  readonly timeBudgetMs: number;
  readonly linkBytesPerSecond: number | undefined;
  readonly adaptiveThreshold: number;
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
  level(keyClass: string): number {
    if (this.#options.level !== 'adaptive') return this.#options.level;
    return LEVELS[this.#classes.get(keyClass)?.step ?? DEFAULT_STEP] as number;
  }

  observe(
    keyClass: string,
    facts: { readonly level: number; readonly inBytes: number; readonly outBytes: number; readonly ms: number },
  ): void {
    if (this.#options.level !== 'adaptive' || facts.inBytes === 0) return;
    if (this.#options.linkBytesPerSecond !== undefined && facts.inBytes < PACED_BYTES_MIN) return;
    const state = this.#stateOf(keyClass);
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
    const known = state.measures[step] ?? { times: [], outPerByte };
    state.measures[step] = {
      times: [...known.times.slice(1 - TIMES), facts.ms / facts.inBytes],
      outPerByte: known.outPerByte + NEWEST * (outPerByte - known.outPerByte),
    };
    const next =
      this.#options.linkBytesPerSecond === undefined ? this.#byBudget(state, facts) : this.#byLink(state, step);
    if (next !== state.step) this.#changes += 1;
    state.step = next;
  }

  #stateOf(keyClass: string): ClassState {
    const known = this.#classes.get(keyClass) ?? {
      step: DEFAULT_STEP,
      observed: 0,
      moved: 0,
      doubted: false,
      measures: [],
      due: new Map(),
    };
    this.#classes.delete(keyClass);
    this.#classes.set(keyClass, known);
    if (this.#classes.size > CLASSES_MAX) this.#classes.delete(this.#classes.keys().next().value as string);
    return known;
  }

  #byBudget(
    state: ClassState,
    facts: { readonly inBytes: number; readonly outBytes: number; readonly ms: number },
  ): number {
    const { timeBudgetMs, adaptiveThreshold } = this.#options;
    if (facts.ms > timeBudgetMs) return Math.max(LEAST_STEP, state.step - 1);
    const ratio = facts.inBytes / Math.max(1, facts.outBytes);
    if (ratio >= adaptiveThreshold) return state.step + Math.sign(DEFAULT_STEP - state.step);
    if (facts.ms * 4 >= timeBudgetMs) return state.step;
    const next = Math.min(LEVELS.length - 1, state.step + 1);
    const known = state.measures[next];
    const fits = known === undefined || msPerByte(known) * facts.inBytes <= timeBudgetMs;
    return fits || state.observed % EXPLORE_EVERY === 0 ? next : state.step;
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

/** zstd's level where it is needed whatever was chosen: the values of deltas. */
export function zstdLevel(level: number): number {
  return Math.max(1, level);
}

function directionOf(known: number, fresh: number): number {
  return Math.abs(fresh - known) > MOVED * known ? Math.sign(fresh - known) : 0;
}
