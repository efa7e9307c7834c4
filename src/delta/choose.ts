/** How `auto` decides, and what it says about it. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Effort, Engine, TensorRegion } from '../engine/engine.js';
import { storedBytes } from './compact.js';
import { budgetMs, costMs } from './engine-costs.js';
import { DELTA_ENGINES, type DeltaChoice, type DeltaEngine, type DeltaEngineName, type DeltaJob } from './engines.js';
import { lookAt, type PairEvidence, type PairView } from './pair-evidence.js';
import { layoutOfHeaders, type TensorLayout, wholeRegion } from './tensor-layout.js';

/** One engine that was considered. */
export interface DeltaCandidate {
  readonly engine: DeltaEngineName;
  /** Why it was tried, or why not. */
  readonly reason: string;
  /** Bytes of its payload; absent when it was not tried. */
  readonly bytes?: number;
  /** Milliseconds it took; absent when it was not tried. */
  readonly ms?: number;
}

/** What was tried for a delta, and what was taken. */
export interface DeltaReport {
  /** `windows` for a long file, whose windows have engines of their own: then candidates are sums over its windows. */
  readonly engine: DeltaEngineName | 'windows';
  readonly effort: Effort;
  /** In words. */
  readonly why: string;
  /** Nominal time that could be spent, milliseconds; 0 when an engine was asked for. */
  readonly budgetMs: number;
  /** What samples said; absent when an engine was asked for. */
  readonly evidence?: PairEvidence;
  readonly candidates: readonly DeltaCandidate[];
}

export interface BestPayload {
  readonly engine: DeltaEngine;
  readonly payload: Uint8Array;
  readonly report: DeltaReport;
}

/** Up to this many bytes of target every engine that may win is run on all of it. */
const COMPARED_BYTES = 256 << 10;
/** Floats of which a smaller share stayed as it was have all changed, as in a training step. */
const ALL_CHANGED = 0.05;
/** Where level 1 makes a snapshot so many times longer than what was reached, higher levels are not tried: none gains that much. */
const SNAPSHOT_HOPELESS = 8;
/** bsdiff sorts the whole source in memory. */
const BSDIFF_BYTES_MAX = 64 << 20;

/** Samples of an executable that align makes this much smaller than zstd, yet not small, are code in place with other
 * addresses: bsdiff codes that best. */
const CODE_IN_PLACE = 0.5;
/** Where align leaves more than this share of an executable, much of it is new, and align codes that better. */
const MUCH_IS_NEW = 0.05;

/** A row of the plan: why an engine is in; or why it is out. */
interface Step {
  readonly engine: DeltaEngineName;
  readonly reason: string;
  readonly skipped?: true;
  /** Not where align leaves much. */
  readonly unlessNew?: true;
  /** Not where a quick snapshot is much longer than what was reached: the highest level takes most of the time. */
  readonly unlessHopeless?: true;
}

const skip = (engine: DeltaEngineName, reason: string): Step => ({ engine, reason, skipped: true });

function planTensor(layout: TensorLayout | undefined): Step {
  if (layout === undefined) return skip('tensor', 'neither header nor samples tell of floats');
  const known = { header: 'its header tells of floats', samples: 'samples are floats', told: 'floats were announced' };
  return { engine: 'tensor', reason: known[layout.origin] };
}

function planSmall(job: DeltaJob, { evidence, layout }: PairView): Step[] {
  const all = 'small enough to compare engines';
  const steps: Step[] = [
    { engine: 'xor', reason: all },
    { engine: 'zstd-prefix', reason: all },
    { engine: 'align', reason: all },
  ];
  const snapshot: Step = { engine: 'zstd', reason: all, unlessHopeless: true };
  return [...steps, snapshot, planTensor(layout), planBsdiff(job, evidence)];
}

function planBsdiff({ source, target, effort }: DeltaJob, { executable }: PairEvidence): Step {
  if (!executable) return skip('bsdiff', 'not an executable');
  if (effort !== 'max') return skip('bsdiff', 'only with the effort max');
  if (Math.max(source.length, target.length) > BSDIFF_BYTES_MAX) return skip('bsdiff', 'over 64 MiB');
  return { engine: 'bsdiff', reason: 'an executable: every address may have moved' };
}

function planLarge(job: DeltaJob, { evidence, layout }: PairView): Step[] {
  const sizes = evidence.sizes;
  const steps: Step[] = [planTensor(layout)];
  const bsdiff = planBsdiff(job, evidence);
  const moved = sizes !== undefined && sizes.align > MUCH_IS_NEW * sizes.target;
  if (!bsdiff.skipped && moved && sizes.align < CODE_IN_PLACE * sizes.zstd) {
    return [...steps, skip('align', 'samples: an executable in place, which bsdiff makes smaller'), bsdiff];
  }
  // Elements are matched in place, so anything that moved needs align; else it would only cost time, at `max` minutes,
  // unless some elements did not change.
  const mayHelp = evidence.shifted || (job.effort === 'max' && evidence.inPlace > ALL_CHANGED);
  if (layout === undefined || mayHelp) {
    steps.push({ engine: 'align', reason: 'finds equal, shifted and slightly changed bytes' });
  } else {
    steps.push(skip('align', 'floats in place: it would gain nothing'));
  }
  if (layout === undefined && sizes !== undefined && sizes.xor < 0.8 * sizes.align) {
    steps.push({ engine: 'xor', reason: `samples: ${sizes.xor} bytes, align ${sizes.align}` });
  } else {
    steps.push(skip('xor', 'samples: not smaller than others'));
  }
  steps.push(skip('zstd-prefix', 'over 256 KiB align reaches it by itself'));
  return [...steps, { ...bsdiff, unlessNew: true }];
}

function planAuto(job: DeltaJob, view: PairView): Step[] {
  if (job.target.length === 0) return [];
  if (job.source.length === 0) return [{ engine: 'zstd', reason: 'no source' }, planTensor(view.layout)];
  return job.target.length <= COMPARED_BYTES ? planSmall(job, view) : planLarge(job, view);
}

/** Whether a compressed snapshot could be smaller than what was reached so far. */
function snapshotMayWin(reached: number, targetBytes: number, evidence: PairEvidence): boolean {
  const sizes = evidence.sizes;
  if (sizes === undefined || sizes.target === 0) return false;
  return reached > 0.9 * targetBytes * Math.min(1, sizes.zstd / sizes.target);
}

function byName(name: DeltaEngineName): DeltaEngine {
  const engine = DELTA_ENGINES.find((one) => one.name === name);
  if (engine === undefined) throw new DiffKeeperError('DK_UNSUPPORTED', `no engine ${name}`);
  return engine;
}

/** Runs engines and keeps the smallest payload; the one that is cheaper to decode among equals. */
class Contest {
  readonly candidates: DeltaCandidate[] = [];
  best: { readonly engine: DeltaEngine; readonly payload: Uint8Array; readonly bytes: number };

  constructor(
    private readonly engine: Engine,
    private job: DeltaJob,
    private readonly signal: AbortSignal | undefined,
    private readonly onWork: () => void,
  ) {
    // Whatever was asked for, a delta is never larger than the target plus its header.
    this.best = { engine: byName('raw'), payload: job.target, bytes: job.target.length };
    this.candidates.push({ engine: 'raw', reason: 'always possible', bytes: job.target.length, ms: 0 });
  }

  /** Where the target holds floats, for `tensor`. */
  set regions(regions: readonly TensorRegion[]) {
    this.job = { ...this.job, regions };
  }

  /** Bytes that an engine took; 0 when it was not tried. */
  bytesOf(engine: DeltaEngineName): number {
    return this.candidates.find((candidate) => candidate.engine === engine)?.bytes ?? 0;
  }

  async run(contestant: DeltaEngine, reason: string): Promise<void> {
    throwIfAborted(this.signal);
    const begin = performance.now();
    const encoding = contestant.encode(this.engine, this.job);
    this.onWork();
    const payload = await encoding;
    const ms = performance.now() - begin;
    const bytes = storedBytes(contestant.number, payload, this.job.target.length);
    this.candidates.push({ engine: contestant.name, reason, bytes, ms });
    const rank = (one: DeltaEngine): number => DELTA_ENGINES.indexOf(one);
    const ahead = bytes - this.best.bytes || rank(contestant) - rank(this.best.engine);
    if (ahead < 0) this.best = { engine: contestant, payload, bytes };
  }
}

/** Why a step of the plan is not taken after all. @param alignShare of the target, 0 when align was not tried */
function whyNot(step: Step, overBudget: boolean, alignShare: number): string | undefined {
  if (step.skipped) return step.reason;
  if (step.engine === 'bsdiff' && step.unlessNew && alignShare > MUCH_IS_NEW) {
    return 'much of it is new, which align codes better';
  }
  return overBudget ? 'over the time budget' : undefined;
}

/** Whether the snapshot of a high level would be for nothing. */
async function snapshotHopeless(engine: Engine, { target, effort }: DeltaJob, reached: number): Promise<boolean> {
  if (effort === 'fast') return false;
  const quick = await engine.compress(target, { level: 1 });
  return quick.length > SNAPSHOT_HOPELESS * reached;
}

async function runAuto(engine: Engine, job: DeltaJob, contest: Contest): Promise<PairEvidence> {
  const { source, target, effort } = job;
  const bytes = target.length;
  const seen = await lookAt(engine, job, effort, source.length > 0 && bytes > COMPARED_BYTES);
  const { evidence } = seen;
  const view: PairView =
    job.regions === undefined ? seen : { evidence, layout: { origin: 'told', regions: job.regions } };
  if (view.layout !== undefined) contest.regions = view.layout.regions;
  let left = budgetMs(effort, bytes);
  for (const step of planAuto(job, view)) {
    const cost = costMs(step.engine, effort, bytes);
    const refused = whyNot(step, cost > left, contest.bytesOf('align') / bytes);
    if (refused !== undefined) {
      contest.candidates.push({ engine: step.engine, reason: refused });
      continue;
    }
    if (step.unlessHopeless && (await snapshotHopeless(engine, job, contest.best.bytes))) {
      contest.candidates.push({ engine: step.engine, reason: 'a snapshot is much longer than what was reached' });
      continue;
    }
    await contest.run(byName(step.engine), step.reason);
    left -= cost;
  }
  if (snapshotMayWin(contest.best.bytes, bytes, evidence)) {
    await contest.run(byName('zstd'), 'the source helps little: a compressed snapshot may be smaller');
  }
  return evidence;
}

/** Regions when floats were asked for: by header, by samples, else elements of four bytes everywhere. */
async function regionsFor(engine: Engine, job: DeltaJob): Promise<readonly TensorRegion[]> {
  const { source, target, effort } = job;
  const layout = layoutOfHeaders(source, target) ?? (await lookAt(engine, job, effort, source.length > 0)).layout;
  return layout?.regions ?? wholeRegion(source.length, target.length, 4);
}

function whyAuto(best: DeltaEngineName, candidates: readonly DeltaCandidate[]): string {
  const tried = candidates.filter(({ bytes }) => bytes !== undefined);
  if (tried.length === 1) return `${best}: nothing else can help`;
  return `${best}: smallest of ${tried.length} that were tried`;
}

/**
 * The smallest payload of what is worth trying under this choice. `onWork` is called when samples were looked at and an
 * engine works on the whole, once for each engine: what takes processors of its own had better begin then. Throws DK_ABORTED.
 */
export async function encodeBest(
  engine: Engine,
  job: DeltaJob,
  choice: DeltaChoice,
  signal: AbortSignal | undefined,
  onWork: () => void = () => undefined,
): Promise<BestPayload> {
  const contest = new Contest(engine, job, signal, onWork);
  let evidence: PairEvidence | undefined;
  if (choice === 'auto') {
    evidence = await runAuto(engine, job, contest);
  } else {
    if (choice === 'tensor' && job.regions === undefined) contest.regions = await regionsFor(engine, job);
    for (const contestant of DELTA_ENGINES) {
      if (contestant.choice !== choice || !contestant.worthTrying(job.source, job.target)) continue;
      await contest.run(contestant, 'asked for');
    }
  }
  throwIfAborted(signal);
  const { candidates, best } = contest;
  const name = best.engine.name;
  const asked = name === 'raw' ? `raw: ${choice} makes it no smaller` : `${choice} was asked for`;
  const report: DeltaReport = {
    engine: name,
    effort: job.effort,
    why: choice === 'auto' ? whyAuto(name, candidates) : asked,
    budgetMs: choice === 'auto' ? budgetMs(job.effort, job.target.length) : 0,
    ...(evidence === undefined ? {} : { evidence }),
    candidates,
  };
  return { engine: best.engine, payload: best.payload, report };
}
