/**
 * The crash states of a trace, in an order that depends on the trace and the seed alone: first, at every moment, each
 * loss by itself; then random mixtures, for as long as somebody asks.
 */
import { type CrashChoice, CrashModel, type CrashPoint, type TornWrite } from './crash-model.js';
import type { DataOp, Trace } from './trace.js';

export const STATE_KINDS = ['prefix', 'dropped', 'torn', 'reordered', 'names'] as const;
export type StateKind = (typeof STATE_KINDS)[number];

export interface CrashState {
  /** Position in the enumeration, from 0. */
  readonly number: number;
  readonly kind: StateKind;
  readonly at: CrashPoint;
  readonly choice: CrashChoice;
}

type Plan = Pick<CrashState, 'kind' | 'choice'>;

const NONE: ReadonlySet<number> = new Set();
const WHOLE: ReadonlyMap<number, TornWrite> = new Map();
/** Sizes of the pieces that a disk writes as a whole. */
const SECTORS = [512, 4096];
/** Longest list of pending operations of which each is dropped by itself; of longer ones the last. */
const SINGLES_MAX = 64;

/** Numbers from 0 to `below` - 1, the same for the same seed (xorshift). */
export function seededNumbers(seed: number): (below: number) => number {
  let state = (seed ^ 0x9e3779b9) | 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function plan(kind: StateKind, choice: Partial<CrashChoice>): Plan {
  return { kind, choice: { names: 'all', dropped: NONE, torn: WHOLE, ...choice } };
}

/** Byte ranges of a write, cut where the sectors of the file begin. */
function sectorsOf(op: DataOp, sector: number): [number, number][] {
  if (op.kind !== 'write') return [];
  const found: [number, number][] = [];
  for (let from = 0; from < op.bytes.length; ) {
    const to = Math.min(op.bytes.length, from + sector - ((op.offset + from) % sector));
    found.push([from, to]);
    from = to;
  }
  return found;
}

function* tornPlans(at: CrashPoint, index: number): Generator<Plan> {
  const later = at.pendingData.filter((other) => other > index);
  for (const size of SECTORS) {
    const all = sectorsOf(at.op(index) as DataOp, size);
    if (all.length < 2) continue;
    const middle = all.length >> 1;
    const parts = [
      all.slice(0, 1),
      all.slice(0, middle),
      all.slice(0, -1),
      all.slice(1),
      all.slice(-1),
      [...all.slice(0, middle), ...all.slice(middle + 1)],
    ];
    for (const ranges of parts) {
      for (const extended of [false, true]) {
        const torn = new Map([[index, { ranges, extended }]]);
        yield plan('torn', { torn });
        if (later.length > 0 && !extended) yield plan('torn', { torn, dropped: new Set(later) });
      }
    }
  }
}

/** Each loss by itself, and all of them. */
function* systematic(at: CrashPoint): Generator<Plan> {
  yield plan('prefix', {});
  const { pendingData, pendingNames, journalFrom } = at;
  if (pendingData.length > 0) yield plan('dropped', { dropped: new Set(pendingData) });
  if (pendingData.length > 0) yield plan('dropped', { dropped: new Set(pendingData), names: journalFrom });
  for (const index of pendingData.slice(-SINGLES_MAX)) {
    yield plan('dropped', { dropped: new Set([index]) });
    yield plan('reordered', { dropped: new Set(pendingData.filter((other) => other !== index)) });
    yield* tornPlans(at, index);
  }
  const inodes = new Set(pendingData.map((index) => (at.op(index) as DataOp).inode));
  for (const inode of inodes) {
    const own = pendingData.filter((index) => (at.op(index) as DataOp).inode === inode);
    if (own.length > 1) yield plan('dropped', { dropped: new Set(own) });
    yield plan('reordered', { dropped: new Set(pendingData.filter((index) => !own.includes(index))) });
  }
  if (pendingNames.length === 0) return;
  if (!at.namesInOrder) {
    yield plan('names', { dropped: new Set(pendingNames) });
    yield plan('names', { dropped: new Set([...pendingNames, ...pendingData]) });
  }
  for (const index of pendingNames.slice(-SINGLES_MAX)) {
    if (!at.namesInOrder) {
      yield plan('names', { dropped: new Set([index]) });
      yield plan('names', { dropped: new Set(pendingNames.filter((other) => other !== index)) });
    }
    if (index < journalFrom) continue;
    yield plan('names', { names: index });
    yield plan('names', { names: index, dropped: new Set(pendingData) });
  }
}

/** Any mixture: half of them with names in the order of a journal, data of each file up to some write or at random. */
function mixture(at: CrashPoint, random: (below: number) => number): Plan {
  const { pendingData, pendingNames, journalFrom } = at;
  const dropped = new Set<number>();
  const torn = new Map<number, TornWrite>();
  const ordered = random(2) === 0;
  const ends = new Map<number, number>();
  const share = 1 + random(6);
  for (const index of pendingData) {
    const op = at.op(index) as DataOp;
    if (!ends.has(op.inode)) ends.set(op.inode, random(3) === 0 ? at.point : random(at.point + 1));
    if (ordered ? index > (ends.get(op.inode) as number) : random(share) === 0) dropped.add(index);
    else if (random(4) === 0) {
      const all = sectorsOf(op, SECTORS[random(2)] as number);
      const keep = random(2) === 0 ? all.slice(0, random(all.length + 1)) : all.filter(() => random(3) > 0);
      if (keep.length < all.length) torn.set(index, { ranges: keep, extended: random(2) === 0 });
    }
  }
  const later = pendingNames.filter((index) => index >= journalFrom);
  const journal = at.namesInOrder || random(2) === 0;
  const names = journal && later.length > 0 ? (later[random(later.length)] as number) : 'all';
  if (!journal) for (const index of pendingNames) if (random(share) === 0) dropped.add(index);
  const kind =
    names !== 'all' || (!journal && pendingNames.length > 0) ? 'names' : torn.size > 0 ? 'torn' : 'reordered';
  return plan(kind, { names, dropped, torn });
}

/** All states one after the other, without end. */
export function* crashStates(trace: Trace, seed: number): Generator<CrashState> {
  const model = new CrashModel(trace);
  const points: CrashPoint[] = [];
  let number = 0;
  const watch = trace.ops.findIndex((op) => op.kind === 'mark' && op.mark.type === 'watch');
  for (let point = Math.max(trace.initial, watch); point <= trace.ops.length; point += 1) {
    const at = model.at(point);
    points.push(at);
    for (const one of systematic(at)) {
      yield { number, at, ...one };
      number += 1;
    }
  }
  const random = seededNumbers(seed);
  // Where nothing is pending there is nothing to mix.
  const open = points.filter((at) => at.pendingData.length + at.pendingNames.length > 1);
  for (;;) {
    const at = open[random(open.length)];
    if (!at) return;
    yield { number, at, ...mixture(at, random) };
    number += 1;
  }
}

/** What is lost in a state, for people. */
export function describeState({ number, kind, at, choice }: CrashState): string {
  const show = (index: number) => {
    const op = at.op(index);
    if (op.kind === 'write') return `${index} write ${op.bytes.length} at ${op.offset} of inode ${op.inode}`;
    if (op.kind === 'truncate') return `${index} truncate inode ${op.inode} to ${op.length}`;
    return `${index} ${op.kind} ${op.name}${op.kind === 'rename' ? ` to ${op.toName}` : ''} (inode ${op.inode})`;
  };
  const lines = [`state ${number} (${kind}), crash after operation ${at.point}`];
  if (choice.names !== 'all') lines.push(`  names from operation ${choice.names} on are lost`);
  for (const index of choice.dropped) lines.push(`  lost: ${show(index)}`);
  for (const [index, { ranges, extended }] of choice.torn) {
    const kept = ranges.map(([from, to]) => `${from}-${to}`).join(' ');
    lines.push(`  torn: ${show(index)}: kept ${kept || 'nothing'}${extended ? ', length as if whole' : ''}`);
  }
  return lines.join('\n');
}
