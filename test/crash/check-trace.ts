/**
 * The process that checks the states of one trace. A store that ends its process (LevelDB has assertions) must not end
 * the whole run, so that the state under way is noted before each check.
 */
import { rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { type CheckOptions, checkTree, knownRoots, type Promised, promisedAt, type Roots } from './check-state.js';
import { type CrashChoice, treeDigest } from './crash-model.js';
import { type CrashState, crashStates, describeState } from './enumerate.js';
import { emptyTally, type Failure, type TraceReport } from './tally.js';
import { loadTrace, type Trace } from './trace.js';

const FAILURES_MAX = 10;
/** One state in so many is read back to the last byte of each checkpoint. */
const THOROUGH_EVERY = 8;
const SHRINK_TRIALS_MAX = 100;
const STATE_MS_MAX = 30_000;

class TraceCheck {
  readonly #trace: Trace;
  readonly #place: string;
  readonly #engine: Engine = loadEngine();
  readonly #roots: Roots;
  readonly #promised = new Map<number, Promised>();
  #count = 0;

  constructor(trace: Trace, place: string) {
    this.#trace = trace;
    this.#place = place;
    this.#roots = knownRoots(trace);
  }

  promised(point: number): Promised {
    const known = this.#promised.get(point) ?? promisedAt(this.#trace, point);
    this.#promised.set(point, known);
    return known;
  }

  /** What is wrong with a state, or null. */
  async trouble(
    state: CrashState,
    tree: ReadonlyMap<string, Buffer | null>,
    thorough: boolean,
  ): Promise<string | null> {
    this.#count += 1;
    const place = path.join(this.#place, `s${this.#count}`);
    const { recapture, migrated, encrypted, damaged } = this.#trace;
    const promised = this.promised(state.at.point);
    const options: CheckOptions = {
      ...{ engine: this.#engine, promised, roots: this.#roots, thorough },
      ...(recapture && { recapture }),
      ...(migrated !== undefined && { migrated }),
      ...(encrypted && { encrypted }),
      ...(damaged && { damaged }),
    };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('it hangs')), STATE_MS_MAX);
    });
    try {
      await Promise.race([late, checkTree(place, tree, options)]);
      return null;
    } catch (error) {
      return error instanceof Error ? (error.stack ?? error.message) : String(error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** The fewest losses that still fail, tried one by one. */
  async shrink(state: CrashState): Promise<CrashState> {
    let best = state;
    let trials = 0;
    const attempt = async (choice: CrashChoice) => {
      if (trials >= SHRINK_TRIALS_MAX) return;
      trials += 1;
      const next = { ...best, choice };
      if ((await this.trouble(next, next.at.tree(choice), true)) !== null) best = next;
    };
    if (best.choice.names !== 'all') await attempt({ ...best.choice, names: 'all' });
    for (const index of [...best.choice.dropped]) {
      const dropped = new Set(best.choice.dropped);
      dropped.delete(index);
      await attempt({ ...best.choice, dropped });
    }
    for (const index of [...best.choice.torn.keys()]) {
      const torn = new Map(best.choice.torn);
      torn.delete(index);
      await attempt({ ...best.choice, torn });
    }
    return best;
  }
}

interface RunOptions {
  readonly states: number;
  readonly seed: number;
  /** Numbers below are passed over. */
  readonly from: number;
  /** Only this one. */
  readonly only: number | null;
  readonly place: string;
  readonly note: (number: number, report: TraceReport) => void;
}

async function checkTrace(trace: Trace, options: RunOptions): Promise<TraceReport> {
  const { states, seed, from, only, place } = options;
  const check = new TraceCheck(trace, place);
  const tally = emptyTally();
  const failures: Failure[] = [];
  const seen = new Set<string>();
  const checked = new Set<string>();
  for (const state of crashStates(trace, seed)) {
    if (state.number < from || (only !== null && state.number !== only)) continue;
    if (tally.enumerated >= states) break;
    tally.enumerated += 1;
    tally.kinds[state.kind] += 1;
    const tree = state.at.tree(state.choice);
    const digest = treeDigest(tree);
    if (!seen.has(digest)) tally.distinct += 1;
    seen.add(digest);
    const { opened, newest, required } = check.promised(state.at.point);
    const key = `${digest} ${opened} ${newest} ${[...required].join()}`;
    if (checked.has(key)) continue;
    checked.add(key);
    options.note(state.number, { tally, failures });
    tally.checked += 1;
    const thorough = only !== null || tally.checked % THOROUGH_EVERY === 0;
    tally.thorough += thorough ? 1 : 0;
    const message = await check.trouble(state, tree, thorough);
    if (message === null) {
      if (only !== null) break;
      continue;
    }
    const description = describeState(failures.length < 3 ? await check.shrink(state) : state);
    failures.push({ number: state.number, message, description });
    if (failures.length >= FAILURES_MAX || only !== null) break;
  }
  return { tally, failures };
}

const { values } = parseArgs({
  options: {
    trace: { type: 'string' },
    states: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    only: { type: 'string' },
    place: { type: 'string' },
    notes: { type: 'string' },
  },
});
const place = values.place as string;
const report = await checkTrace(loadTrace(values.trace as string), {
  states: Number(values.states),
  seed: Number(values.seed),
  from: Number(values.from),
  only: values.only === undefined ? null : Number(values.only),
  place,
  note: (number, soFar) => writeFileSync(values.notes as string, JSON.stringify({ number, ...soFar })),
});
rmSync(place, { recursive: true, force: true });
process.stdout.write(JSON.stringify(report));
