/**
 * What the sidecar costs its application: pauses, throughput of a database, CPU and memory; and how soon changes are
 * durable. Each trial is a process of its own on fresh directories.
 *
 *   npm run bench:sidecar [-- --quick --only=pause,lag,burst,postgres --out=docs/performance.md --results=bench/results]
 *
 * Writes bench/results/sidecar.json and the section of docs/performance.md after each trial (with --quick the section goes beside
 * the results); trials that are not chosen stay as they are. Prints what it measured.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { measuredParts } from '../lib/measured-parts.mjs';
import { ROOT } from '../lib/tools.mjs';
import { database } from './database-trial.mjs';
import { checkpoints, spread, stops, underSidecar } from './sidecar-run.mjs';
import { writeSidecar } from './sidecar-section.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const loads = join(here, 'sidecar-loads.mjs');

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const { quick } = options;

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

const TRIALS = { pause, lag, burst, postgres: (place) => database(place, quick) };

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
