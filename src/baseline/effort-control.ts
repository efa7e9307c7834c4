/**
 * Which compression level a class of states gets, from what was measured. Every
 * observation may move it either way: nothing is ever switched off for good.
 *
 * Without a link rate: one step down while a state takes longer than the budget;
 * one step up while it takes less than a quarter of it and the ratio is below the
 * threshold, unless it is known that the next step takes too long (now and then it
 * is tried nevertheless); above the threshold, one step towards the default.
 * With a link rate: the level with the least time for encoding plus sending, as far
 * as measured, and now and then its neighbours, so that the measure stays fresh.
 */

const LEVELS = [1, 3, 6, 9, 12, 15, 19] as const;
const DEFAULT_STEP = 1;
/** Weight of the newest measure. */
const NEWEST = 0.3;
/** Every so manieth state tries a neighbour that was not the better one. */
const EXPLORE_EVERY = 8;
/** Classes remembered; the least recently used goes. */
const CLASSES_MAX = 1024;

interface Measure {
  msPerByte: number;
  outPerByte: number;
}

interface ClassState {
  step: number;
  observed: number;
  readonly measures: (Measure | undefined)[];
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

  /** zstd level for the next state of this class. */
  level(keyClass: string): number {
    if (this.#options.level !== 'adaptive') return this.#options.level;
    return LEVELS[this.#classes.get(keyClass)?.step ?? DEFAULT_STEP] as number;
  }

  observe(
    keyClass: string,
    facts: { readonly level: number; readonly inBytes: number; readonly outBytes: number; readonly ms: number },
  ): void {
    if (this.#options.level !== 'adaptive' || facts.inBytes === 0) return;
    const state = this.#stateOf(keyClass);
    state.observed += 1;
    const step = LEVELS.indexOf(facts.level as (typeof LEVELS)[number]);
    if (step < 0) return;
    const fresh = { msPerByte: facts.ms / facts.inBytes, outPerByte: facts.outBytes / facts.inBytes };
    const known = state.measures[step] ?? fresh;
    state.measures[step] = {
      msPerByte: known.msPerByte + NEWEST * (fresh.msPerByte - known.msPerByte),
      outPerByte: known.outPerByte + NEWEST * (fresh.outPerByte - known.outPerByte),
    };
    const next = this.#options.linkBytesPerSecond === undefined ? this.#byBudget(state, facts) : this.#byLink(state);
    if (next !== state.step) this.#changes += 1;
    state.step = next;
  }

  #stateOf(keyClass: string): ClassState {
    const known = this.#classes.get(keyClass) ?? { step: DEFAULT_STEP, observed: 0, measures: [] };
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
    if (facts.ms > timeBudgetMs) return Math.max(0, state.step - 1);
    const ratio = facts.inBytes / Math.max(1, facts.outBytes);
    if (ratio >= adaptiveThreshold) return state.step + Math.sign(DEFAULT_STEP - state.step);
    if (facts.ms * 4 >= timeBudgetMs) return state.step;
    const next = Math.min(LEVELS.length - 1, state.step + 1);
    const known = state.measures[next];
    const fits = known === undefined || known.msPerByte * facts.inBytes <= timeBudgetMs;
    return fits || state.observed % EXPLORE_EVERY === 0 ? next : state.step;
  }

  #byLink(state: ClassState): number {
    const msPerSentByte = 1000 / (this.#options.linkBytesPerSecond as number);
    let best = state.step;
    let least = Number.POSITIVE_INFINITY;
    for (const [step, measure] of state.measures.entries()) {
      if (measure === undefined) continue;
      const ms = measure.msPerByte + measure.outPerByte * msPerSentByte;
      if (ms < least) {
        least = ms;
        best = step;
      }
    }
    if (state.observed % EXPLORE_EVERY !== 0) return best;
    const up = (state.observed / EXPLORE_EVERY) % 2 === 1;
    return Math.min(LEVELS.length - 1, Math.max(0, best + (up ? 1 : -1)));
  }
}
