/** Traces of a workload: prepares what stands before it, and knows what was promised then. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { knownRoots, promisedAt, writeTree } from './check-state.js';
import { treeDigest } from './crash-model.js';
import { type CrashState, crashStates, seededNumbers } from './enumerate.js';
import { type Recording, record } from './record-trace.js';
import type { Mark, Trace } from './trace.js';
import { WORKLOADS, type Workload } from './workloads.js';

const child = path.join(path.dirname(process.argv[1] as string), 'workload-child.mjs');
const SEED = 20_241_121;

/** Records once, or once per crash state that the workload begins from (at most `casesMax`). */
export function recordWorkload(workload: Workload, scratch: string, casesMax: number): Trace[] {
  const traces = recordTraces(workload, scratch, casesMax);
  const { encrypted } = workload;
  // What LevelDB alone has is lost with it, and it counts on the order of names.
  const damaged = workload.damaged && { damaged: true, namesInOrder: true };
  return traces.map((trace) => ({ ...trace, ...(encrypted && { encrypted }), ...damaged }));
}

function recordTraces(workload: Workload, scratch: string, casesMax: number): Trace[] {
  const { name, after } = workload;
  const base = (index: number) => path.join(scratch, `${name}-${index}`);
  if (after) {
    const source = WORKLOADS.find((one) => one.name === after.workload) as Workload;
    const [trace] = recordWorkload(source, path.join(scratch, `for-${name}`), 1);
    return chooseStates(trace as Trace, Math.min(casesMax, after.cases)).map((state, index) => {
      writeTree(base(index), state.at.tree(state.choice));
      return recordAt(base(index), { workload: name, ...inherited(trace as Trace, state.at.point) });
    });
  }
  mkdirSync(base(0), { recursive: true });
  const promised = workload.before ? prepare(name, base(0)) : [];
  const trace = recordAt(base(0), { workload: name, promised });
  const last = trace.ops
    .flatMap((op) => (op.kind === 'mark' && op.mark.type === 'acknowledged' ? [op.mark] : []))
    .pop();
  const root = last?.root ?? '';
  if (workload.migrates) return [{ ...trace, migrated: root, namesInOrder: true }];
  return [workload.stateDirectory ? { ...trace, recapture: { directory: `${base(0)}.state`, root } } : trace];
}

function recordAt(base: string, rest: Pick<Recording, 'workload' | 'promised' | 'known'>): Trace {
  const trace = record({ base, command: [process.execPath, child, rest.workload, base], ...rest });
  rmSync(base, { recursive: true });
  return trace;
}

/** Runs the part that is not recorded, with the same small bounds. */
function prepare(name: string, base: string): Mark[] {
  const marks = `${base}.marks`;
  const env = { ...process.env, DK_CRASH_MARKS: marks };
  const run = spawnSync(process.execPath, [child, name, base, 'before'], { encoding: 'utf8', env });
  if (run.status !== 0) throw new Error(`before ${name}: ${run.stdout}${run.stderr}`);
  const lines = existsSync(marks) ? readFileSync(marks, 'utf8').trim().split('\n') : [];
  rmSync(marks, { force: true });
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Mark);
}

function inherited(trace: Trace, point: number): Pick<Trace, 'promised' | 'known'> {
  const { opened, required } = promisedAt(trace, point);
  const roots = knownRoots(trace);
  const promised: Mark[] = opened ? [{ type: 'opened' }] : [];
  for (const sequence of required) {
    const [root = ''] = roots.get(sequence) ?? [];
    promised.push({ type: 'acknowledged', sequence, root });
  }
  const known = [...roots].flatMap(([sequence, set]) => [...set].map((root) => [sequence, root] as const));
  return { promised, known };
}

/** States in which something is lost, no two alike, spread over the trace. */
function chooseStates(trace: Trace, count: number): CrashState[] {
  const seen = new Set<string>();
  const found: CrashState[] = [];
  for (const state of crashStates(trace, SEED)) {
    if (state.number > 20_000 || (state.at.point === trace.ops.length && found.length > 500)) break;
    if (state.kind === 'prefix' || promisedAt(trace, state.at.point).newest < 2) continue;
    const digest = treeDigest(state.at.tree(state.choice));
    if (!seen.has(digest)) found.push(state);
    seen.add(digest);
  }
  const random = seededNumbers(SEED);
  const share = Math.floor(found.length / count);
  return Array.from({ length: count }, (_, index) => found[index * share + random(share)] as CrashState);
}
