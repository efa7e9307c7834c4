/**
 * Figures of the state encoder: each trial in a process of its own, ours and the older path by turns in it, everything that
 * is measured is verified in the same run. Writes bench/results/state/state.json and the section of docs/performance.md after each part; parts that are not
 * chosen stay as they are.
 *
 *   node bench/state/run-states.mjs [--quick] [--only=workloads,noise,dictionary,long,scaling,...]
 *                            [--out docs/performance.md] [--results bench/results/state]
 *
 * Needs redis-server, qemu-system-x86 (and Debian's packages of a kernel and busybox), zstd and time, and for the older system's own
 * path golang-go and golang-github-klauspost-compress-dev. What cannot be had
 * is named in the result with the reason.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { measuredParts } from '../lib/measured-parts.mjs';
import { ROOT } from '../lib/tools.mjs';
import { runTrial } from '../lib/trial-process.mjs';
import { trainCheckpoints } from './checkpoints.mjs';
import { guestMemory } from './guest-memory.mjs';
import { buildOlder } from './older-system.mjs';
import { redisMemory } from './redis-memory.mjs';
import { writeStates } from './state-section.mjs';
import { pooled } from './workload-figures.mjs';
import { WORKLOADS } from './workloads.mjs';

const TRIAL = fileURLToPath(new URL('trial.mjs', import.meta.url));
const PARTS = [
  'workloads',
  'noise',
  'delay',
  'pageMode',
  'links',
  'dictionary',
  'long',
  'scaling',
  'concurrency',
  'redis',
  'guest',
  'checkpoints',
];

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: PARTS.join(',') },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results', 'state') },
  },
});
const { quick } = options;
const trials = quick ? 1 : 7;
const work = mkdtempSync(join(tmpdir(), 'dk-bench-state-'));

/** @param {object} job */
const trial = (job) => runTrial(TRIAL, { ...job, directory: work });

/**
 * Some trials of one workload. Short workloads get more rounds than these, heavy ones no more.
 * @param {string} name
 * @param {import('./older-system.mjs').OlderBuild} older
 */
function workload(name, older) {
  const { full = false } = /** @type {typeof WORKLOADS[string]} */ (WORKLOADS[name]);
  const least = quick ? { rounds: 1, ms: 0 } : { rounds: 3, ms: full ? 300 : 800 };
  const job = { kind: 'workload', name, older, ...least };
  return pooled(Array.from({ length: trials }, (_, i) => trial({ ...job, peers: i === 0 })));
}

/** @param {string} name */
function folder(name) {
  const directory = join(work, name);
  mkdirSync(directory);
  return directory;
}

/** @param {readonly string[]} files */
const seriesOf = (files) => trial({ kind: 'series', files, times: quick ? 1 : 3 }).rows;

const part = measuredParts({
  file: join(options.results, 'state.json'),
  names: PARTS,
  only: options.only,
  quick,
  machine: machineFacts(work),
  report: (result) => writeStates(options.out, result),
});
try {
  await part('workloads', () => {
    const older = buildOlder(work);
    return Object.fromEntries(Object.keys(WORKLOADS).map((name) => [name, workload(name, older)]));
  });
  await part('noise', () => trial({ kind: 'noise', bytes: quick ? 1 << 20 : 64 << 20, times: quick ? 2 : 9 }));
  await part('delay', () => trial({ kind: 'delay', bytes: quick ? 1 << 20 : 64 << 20, times: quick ? 3 : 20 }));
  await part('pageMode', () => trial({ kind: 'pageMode', bytes: quick ? 1 << 20 : 64 << 20, times: quick ? 2 : 15 }));
  await part('links', () =>
    trial({
      kind: 'links',
      bytes: quick ? 1 << 16 : 1 << 20,
      count: quick ? 9 : 72,
      rates: [10, 100, 1000, 10_000],
      levels: quick ? [0, 1, 3] : [0, 1, 3, 6, 9, 12, 15, 19],
    }),
  );
  await part('dictionary', () => trial({ kind: 'dictionary', states: quick ? 100 : 500 }));
  await part('long', () =>
    trial({ kind: 'long', bytes: quick ? 9 << 20 : 4.5 * 2 ** 30, changes: quick ? 9 : 10_000 }),
  );
  await part('scaling', () =>
    [1, 10, 100].map((keys) => trial({ kind: 'scaling', keys, bytes: quick ? 1 << 18 : 8 << 20 })),
  );
  await part('concurrency', () => trial({ kind: 'concurrency', rounds: quick ? 1 : 5 }));
  await part('redis', async () =>
    seriesOf(
      await redisMemory({
        directory: folder('redis'),
        count: quick ? 2 : 4,
        keys: quick ? 2000 : 60_000,
        changes: quick ? 100 : 3000,
      }),
    ),
  );
  await part('checkpoints', () =>
    seriesOf(trainCheckpoints({ directory: folder('checkpoints'), count: quick ? 2 : 4, steps: quick ? 2 : 40 })),
  );
  await part('guest', async () =>
    seriesOf(
      await guestMemory({
        directory: folder('guest'),
        count: quick ? 2 : 4,
        memoryMib: 128,
        intervalMs: quick ? 500 : 3000,
      }),
    ),
  );
} finally {
  rmSync(work, { recursive: true, force: true });
}
