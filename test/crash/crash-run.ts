/**
 * Records the workloads, checks their crash states and prints what came of it.
 *
 *   npm run crash:states [-- --states=100000 --seed=1 --jobs=2 --workload=NAME --keep=DIR]
 *   npm run crash:states -- --trace=FILE --state=NUMBER
 *
 * `states` counts enumerated states; of those that leave the same on the disk one is opened. A failing state is named by trace file and number.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { STATE_KINDS } from './enumerate.js';
import { recordWorkload } from './record-workload.js';
import { addTally, emptyTally, type Failure, type Tally, type TraceReport } from './tally.js';
import { loadTrace, saveTrace, type Trace } from './trace.js';
import { WORKLOADS } from './workloads.js';

interface Job {
  readonly workload: string;
  readonly file: string;
  readonly states: number;
}

const { values: options } = parseArgs({
  options: {
    states: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '1' },
    workload: { type: 'string', multiple: true },
    /** How many crash states of another trace a recovery is recorded from; each workload has its own number. */
    cases: { type: 'string' },
    keep: { type: 'string' },
    trace: { type: 'string' },
    state: { type: 'string' },
    /** For a test of this test: the syncs of the traces are forgotten. */
    'without-syncs': { type: 'boolean', default: false },
  },
});

const checker = path.join(path.dirname(process.argv[1] as string), 'check-trace.mjs');
const scratch = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'dk-crash-'));
const keep = options.keep ?? path.join(scratch, 'traces');
mkdirSync(keep, { recursive: true });

/** One checker, started again behind a state that ended its process. */
async function checkFile(job: Job, only?: string): Promise<TraceReport> {
  const total = emptyTally();
  const failures: Failure[] = [];
  const notes = path.join(scratch, `${path.basename(job.file)}.notes`);
  const place = path.join(scratch, `${path.basename(job.file)}.states`);
  for (let from = 0; ; ) {
    const words = [`--trace=${job.file}`, `--states=${job.states - total.enumerated}`, `--seed=${options.seed}`];
    const more = [`--from=${from}`, `--place=${place}`, `--notes=${notes}`, ...(only ? [`--only=${only}`] : [])];
    const child = spawn(process.execPath, [checker, ...words, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      output += part;
    });
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      errors = (errors + part).slice(-2000);
    });
    const status = await new Promise<string>((done) =>
      child.once('close', (code, signal) => done(String(signal ?? code))),
    );
    const ended = status === '0';
    if (!ended && !existsSync(notes)) throw new Error(`the checker ended with ${status}: ${errors}`);
    const report = JSON.parse(ended ? output : readFileSync(notes, 'utf8')) as TraceReport & { number: number };
    addTally(total, report.tally);
    failures.push(...report.failures);
    if (ended) return { tally: total, failures };
    failures.push({ number: report.number, message: `the process ended with ${status}: ${errors}`, description: '' });
    from = report.number + 1;
    rmSync(notes);
    if (failures.length >= 10 || only) return { tally: total, failures };
  }
}

function withoutSyncs(trace: Trace): Trace {
  return { ...trace, ops: trace.ops.map((op) => (op.kind === 'sync' ? { ...op, covers: 0 } : op)) };
}

async function recordAll(): Promise<Job[]> {
  const chosen = WORKLOADS.filter(({ name }) => !options.workload || options.workload.includes(name));
  const weights = chosen.reduce((sum, { weight }) => sum + weight, 0);
  const jobs: Job[] = [];
  for (const workload of chosen) {
    const traces = recordWorkload(workload, scratch, options.cases ? Number(options.cases) : Number.MAX_SAFE_INTEGER);
    for (const [index, trace] of traces.entries()) {
      const file = path.join(keep, `${workload.name}${traces.length > 1 ? `-${index + 1}` : ''}.trace`);
      saveTrace(file, options['without-syncs'] ? withoutSyncs(trace) : trace);
      const share = (Number(options.states) * workload.weight) / weights / traces.length;
      jobs.push({ workload: workload.name, file, states: Math.ceil(share) });
    }
  }
  return jobs;
}

function showFailures(file: string, failures: readonly Failure[]): void {
  for (const { number, message, description } of failures) {
    console.log(
      `\nFAILED ${path.basename(file)} state ${number}\n${description}\n  ${message.split('\n').slice(0, 6).join('\n  ')}`,
    );
    console.log(`  again: npm run crash:states -- --trace=${file} --state=${number} --seed=${options.seed}`);
  }
}

async function main(): Promise<number> {
  if (options.trace) {
    const job = { workload: loadTrace(options.trace).workload, file: path.resolve(options.trace), states: 1 };
    const { failures } = await checkFile(job, options.state);
    showFailures(job.file, failures);
    console.log(failures.length === 0 ? 'the state is sound' : 'the state is not sound');
    return failures.length;
  }
  const queue = await recordAll();
  const totals = new Map<string, Tally>();
  let failed = 0;
  const work = async () => {
    for (let job = queue.shift(); job; job = queue.shift()) {
      const { tally, failures } = await checkFile(job);
      const total = totals.get(job.workload) ?? emptyTally();
      totals.set(job.workload, total);
      addTally(total, tally);
      failed += failures.length;
      showFailures(job.file, failures);
    }
  };
  await Promise.all(Array.from({ length: Number(options.jobs) }, work));
  const all = emptyTally();
  for (const tally of totals.values()) addTally(all, tally);
  const row = (name: string, cells: readonly unknown[]) =>
    console.log(`${name.padEnd(20)}${cells.map((cell) => String(cell).padStart(11)).join('')}`);
  row('workload', ['distinct', 'enumerated', 'opened', 'thorough', ...STATE_KINDS]);
  const show = (name: string, { distinct, enumerated, checked, thorough, kinds }: Tally) =>
    row(name, [distinct, enumerated, checked, thorough, ...STATE_KINDS.map((kind) => kinds[kind])]);
  for (const [name, tally] of totals) show(name, tally);
  show('all', all);
  console.log(`${all.enumerated} states, ${all.distinct} of them different, ${failed} failed`);
  return failed;
}

let failed = 1;
try {
  failed = await main();
} finally {
  if (options.keep || failed === 0) rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
