/**
 * What the sidecar costs its application: pauses, throughput of a database, CPU and memory; and how soon changes are
 * durable. Each trial is a process of its own on fresh directories.
 *
 *   npm run bench:sidecar [-- --quick --only=pause,lag,burst,postgres --out=docs/performance.md --results=bench/results]
 *
 * Writes bench/results/sidecar.json and the section of docs/performance.md after each trial (with --quick the section goes beside
 * the results); trials that are not chosen stay as they are. Prints what it measured.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { postgres } from '../../scripts/servers/postgres-server.mjs';
import { machineFacts } from '../lib/machine.mjs';
import { measuredParts } from '../lib/measured-parts.mjs';
import { CLI, ROOT } from '../lib/tools.mjs';
import { writeSidecar } from './sidecar-section.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const loads = join(here, 'sidecar-loads.mjs');
const TICKS_PER_SECOND = 100;
/** Of a turn of the database. */
const BEGINNING_MS = 10_000;
/** Percent of the machine that the sidecar may take in the turns with a limit. */
const OVERHEAD = 4;

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const { quick } = options;

function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const spread = (values) => ({
  count: values.length,
  p50: quantile(values, 0.5),
  p99: quantile(values, 0.99),
  max: quantile(values, 1),
});

/** Processor seconds and peak memory (bytes) of a process so far, and its own memory now: what is of no file. */
function costOf(pid) {
  const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const bytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    peakBytes: bytes('VmHWM'),
    ownBytes: bytes('RssAnon'),
  };
}

/** Runs an application under the sidecar to its end (or until `enough`); gives log entries and what the sidecar cost. */
async function underSidecar(place, flags, command, enough = () => false) {
  const base = [
    CLI,
    `--state-dir=${join(place, 'state')}`,
    `--store=${join(place, 'keep')}`,
    '--debug',
    '--log-format=json',
  ];
  const sidecar = spawn(process.execPath, [...base, ...flags, '--', ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  const entries = [];
  const lines = [];
  let cost = { cpuSeconds: 0, peakBytes: 0, ownPeakBytes: 0 };
  for (const stream of [sidecar.stdout, sidecar.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (part) => {
      const all = (rest + part).split('\n');
      rest = all.pop() ?? '';
      for (const line of all)
        if (line.startsWith('{')) entries.push(JSON.parse(line));
        else lines.push(line);
    });
  }
  const startMs = performance.now();
  const ended = new Promise((resolve) => sidecar.once('exit', resolve));
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!over) {
    try {
      const { ownBytes, ...now } = costOf(sidecar.pid);
      // Of an ended process only the times are left.
      if (now.peakBytes > 0) cost = { ...now, ownPeakBytes: Math.max(cost.ownPeakBytes, ownBytes) };
    } catch {
      // It ended in this moment.
    }
    // A server of databases takes this as an order to end at once, whoever is connected.
    if (enough(entries, lines)) sidecar.kill('SIGINT');
    await Promise.race([ended, sleep(100)]);
  }
  return { entries, lines, ...cost, seconds: (performance.now() - startMs) / 1000 };
}

/** Until everybody stood still, a part of each pause. */
const stops = (entries) =>
  entries.filter(({ msg }) => msg === 'the application stood still').map(({ stopMs }) => stopMs);
const checkpoints = (entries) => entries.filter(({ msg }) => msg === 'checkpoint');

async function pause(place) {
  const seconds = quick ? 10 : 120;
  const command = [process.execPath, loads, 'dirty', join(place, 'state'), '50', String(seconds)];
  const run = await underSidecar(place, ['--consistency=freeze', '--checkpoint-interval=1s'], command);
  // The first ones find the file still growing.
  const pauses = checkpoints(run.entries)
    .map(({ pauseMs }) => pauseMs)
    .filter((ms) => ms > 0)
    .slice(2);
  return {
    pauses: spread(pauses),
    stops: spread(stops(run.entries).slice(2)),
    cpuShare: run.cpuSeconds / run.seconds,
    peakBytes: run.peakBytes,
    ownPeakBytes: run.ownPeakBytes,
  };
}

async function lag(place) {
  const seconds = quick ? 5 : 30;
  const command = [process.execPath, loads, 'changes', join(place, 'state'), '1000', String(seconds)];
  const run = await underSidecar(place, [], command);
  const acknowledged = new Map(checkpoints(run.entries).map(({ sequence, time }) => [sequence, time]));
  const { openStore } = await import('../../dist/esm/index.js');
  const store = await openStore(join(place, 'keep'));
  const lags = [];
  for await (const { sequence } of store.checkpoints()) {
    const ackMs = acknowledged.get(sequence);
    if (ackMs === undefined) continue;
    for (const version of await store.changes(sequence)) {
      if (!/^f\d+$/.test(version.path)) continue;
      lags.push(ackMs - Number((await store.reader(version).read(0, 13)).toString()));
    }
  }
  await store.close();
  return {
    lags: spread(lags),
    cpuShare: run.cpuSeconds / run.seconds,
    peakBytes: run.peakBytes,
    ownPeakBytes: run.ownPeakBytes,
  };
}

async function burst(place) {
  const count = 10_000;
  const command = [process.execPath, loads, 'burst', join(place, 'state'), String(count)];
  const found = (entries) => checkpoints(entries).reduce((sum, { added }) => sum + added, 0);
  const run = await underSidecar(place, [], command, (entries) => found(entries) >= count);
  const at = (word) => Number(run.lines.find((line) => line.startsWith(word))?.split(' ')[1]);
  let files = 0;
  const last = checkpoints(run.entries).find(({ added }) => {
    files += added;
    return files >= count;
  });
  const writingMs = at('ended') - at('began');
  const completeMs = (last?.time ?? Number.NaN) - at('began');
  const { peakBytes, ownPeakBytes } = run;
  return { count, files, writingMs, completeMs, cpuShare: run.cpuSeconds / run.seconds, peakBytes, ownPeakBytes };
}

/** Each turn has its own part of the journal. */
let turns = 0;

/**
 * Transactions per second of pgbench against a running server: of the whole turn, and without its beginning, in which files
 * are met for the first time.
 */
async function transactions(facts, seconds) {
  turns += 1;
  const load = await postgres.load({ ...facts, round: `turn${turns}` });
  const startMs = Date.now();
  await sleep(seconds * 1000);
  const endMs = Date.now();
  return async () => {
    await load.stop();
    const rate = (fromMs) =>
      load.acknowledged().filter(({ timeMs }) => timeMs >= fromMs && timeMs < endMs).length / ((endMs - fromMs) / 1000);
    return { whole: rate(startMs), steady: rate(startMs + Math.min(BEGINNING_MS, (endMs - startMs) / 2)) };
  };
}

/** What keeps the server in a turn; `alone`: nobody. */
const KEEPERS = { alone: null, kept: [], limited: [`--max-overhead=${OVERHEAD}%`] };

/** One turn of pgbench beside a server of its own. */
async function turn({ place, facts, seconds }, flags) {
  const command = postgres.command(facts);
  if (flags === null) {
    const server = spawn(command[0], command.slice(1), { stdio: 'ignore', cwd: '/' });
    const ended = new Promise((resolve) => server.once('exit', resolve));
    const count = await transactions(facts, seconds);
    server.kill('SIGINT');
    await ended;
    return { rates: await count() };
  }
  let stop = false;
  const words = ['--consistency=freeze', '--checkpoint-interval=1s', '--stop-timeout=5s', ...flags];
  const run = underSidecar(place, words, command, () => stop);
  const count = await transactions(facts, seconds);
  stop = true;
  const cost = await run;
  return { rates: await count(), cost };
}

async function database(place) {
  const seconds = quick ? 4 : 40;
  const facts = { state: join(place, 'state'), run: join(place, 'run') };
  mkdirSync(facts.run);
  await postgres.prepare(facts);
  const names = Object.keys(KEEPERS);
  const results = Object.fromEntries(names.map((name) => [name, { whole: [], steady: [], checkpoints: [] }]));
  let cost = {};
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    // Each has every place in the order once: the database grows from turn to turn.
    for (const at of names.keys()) {
      const name = names[(at + round) % names.length];
      const { rates, cost: own } = await turn({ place, facts, seconds }, KEEPERS[name]);
      results[name].whole.push(rates.whole);
      results[name].steady.push(rates.steady);
      results[name].checkpoints.push(own ? checkpoints(own.entries).length : 0);
      if (name === 'kept') cost = own;
      console.error(
        `${name}: ${rates.whole.toFixed(0)} transactions/s, ${rates.steady.toFixed(0)} without the beginning`,
      );
    }
  }
  const pauses = checkpoints(cost.entries)
    .map(({ pauseMs }) => pauseMs)
    .filter((ms) => ms > 0);
  return {
    transactions: { seconds, beginningMs: BEGINNING_MS, overhead: OVERHEAD, turns: results },
    pauses: spread(pauses),
    stops: spread(stops(cost.entries)),
    cpuShare: cost.cpuSeconds / cost.seconds,
    peakBytes: cost.peakBytes,
    ownPeakBytes: cost.ownPeakBytes,
  };
}

const TRIALS = { pause, lag, burst, postgres: database };

const part = measuredParts({
  file: join(options.results, 'sidecar.json'),
  names: Object.keys(TRIALS),
  only: options.only ?? Object.keys(TRIALS).join(','),
  quick,
  machine: machineFacts(tmpdir()),
  report: (result) => writeSidecar(quick ? join(options.results, 'sidecar.md') : options.out, result),
});

spawnSync('sync');
for (const [name, trial] of Object.entries(TRIALS)) {
  await part(name, async () => {
    const place = mkdtempSync(join(tmpdir(), 'dk-bench-sidecar-'));
    chmodSync(place, 0o755);
    try {
      const measured = await trial(place);
      console.log(`${name}: ${JSON.stringify(measured)}`);
      return measured;
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  });
}
