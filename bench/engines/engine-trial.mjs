/** One job at one size on one engine, in a process of its own: what a turn takes, as JSON on stdout. */
import { loadEngine } from '../../dist/esm/index.js';
import { median } from '../lib/statistics.mjs';
import { JOBS, PAIRS } from './jobs.mjs';

const { name, bytes, budgetMs } = JSON.parse(process.argv[2] ?? '{}');
const job = JOBS.find((one) => one.name === name);
if (job === undefined) throw new Error(`no job ${name}`);
const engine = loadEngine();
const begin = performance.now();
const { size, digest, work } = await job.make(engine, PAIRS[job.data](bytes));
const times = [];
const usage = process.cpuUsage();
const start = performance.now();
do {
  const at = performance.now();
  await work();
  times.push(performance.now() - at);
} while (performance.now() - start < budgetMs && times.length < 2000);
const { user, system } = process.cpuUsage(usage);
process.stdout.write(
  JSON.stringify({
    kind: engine.info.kind,
    size,
    digest,
    turns: times.length,
    ms: median(times),
    cpuMs: (user + system) / 1000 / times.length,
    wholeMs: performance.now() - begin,
  }),
);
