/**
 * What a long history costs: N versions of a 64 MB file with 1 % of its pages changed at random each time, and of a 10 KB
 * configuration; what recovers, storage and index take over N. Each trial is a process of its own, everything that comes
 * back is compared.
 *
 *   npm run bench:history [-- --quick --megabytes=64 --lengths=1,10,100 --only=pages,config --dir=/tmp --out=docs/performance.md --results=bench/results]
 */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { mean, median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';
import { runTrial } from '../lib/trial-process.mjs';
import { openWorkspace, settleDisk } from '../lib/workspace.mjs';
import { writeHistory } from './history-section.mjs';

const TRIAL = fileURLToPath(new URL('history-trial.mjs', import.meta.url));

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    megabytes: { type: 'string' },
    lengths: { type: 'string' },
    only: { type: 'string', default: 'pages,config' },
    dir: { type: 'string', default: tmpdir() },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const { quick } = options;
const megabytes = Number(options.megabytes ?? (quick ? 4 : 64));
const SERIES = {
  pages: { lengths: quick ? [1, 10, 40] : [1, 10, 100, 1000], sampleEvery: quick ? 10 : 50, trials: quick ? 1 : 7 },
  config: {
    lengths: quick ? [1, 10, 200] : [1, 10, 100, 1000, 10_000],
    sampleEvery: quick ? 10 : 100,
    trials: quick ? 1 : 15,
  },
};
const chosen = /** @type {(keyof typeof SERIES)[]} */ (options.only.split(','));
const unknown = chosen.filter((name) => !(name in SERIES));
if (unknown.length > 0)
  throw new Error(`unknown "${unknown.join(', ')}"; there are: ${Object.keys(SERIES).join(', ')}`);
const workspace = openWorkspace(options.dir);

/** Versions of a history of n that are brought back: spread over it, the ends included. @param {number} n */
const spreadOver = (n) => [
  ...new Set([1, 0.25, 0.5, 0.75, 0.9, 1].map((share) => Math.max(1, Math.round(n * share))).concat(1)),
];

/**
 * @typedef {object} Asked a recover
 * @property {string} store
 * @property {number} at
 * @property {string} digest of what has to come back
 */

/**
 * What recovers take, each the median of its trials: all of them once, then all of them again, so that what the machine does
 * meanwhile meets each alike.
 * @param {readonly Asked[]} asked
 * @param {number} trials
 * @param {string} targets
 */
function byTurns(asked, trials, targets) {
  const all = asked.map((job) => ({ job, walls: /** @type {number[]} */ ([]), cpus: /** @type {number[]} */ ([]) }));
  for (let turn = 0; turn < trials; turn += 1) {
    // Nobody always follows the same one.
    const first = turn % all.length;
    for (const { job, walls, cpus } of [...all.slice(first), ...all.slice(0, first)]) {
      settleDisk(workspace.root);
      const { wallMs, cpuMs } = runTrial(TRIAL, { ...job, kind: 'recover', target: join(targets, `${turn}`) });
      walls.push(wallMs);
      cpus.push(cpuMs);
    }
  }
  return all.map(({ job: { at }, walls, cpus }) => ({ at, wallMs: median(walls), cpuMs: median(cpus) }));
}

/** A copy of the store that is condensed; undefined where that changes nothing. @param {string} store */
function condensedCopy(store) {
  const copy = `${store}-condensed`;
  rmSync(copy, { recursive: true, force: true });
  cpSync(store, copy, { recursive: true });
  const { packs, packBytes, ms } = runTrial(TRIAL, { kind: 'condense', store: copy });
  // It does not pay for a few versions.
  return packs === 0 ? undefined : { copy, packBytes, ms };
}

/**
 * What recovers take after so many versions: of the state alone, of the newest version, of versions spread over the history, and the
 * same of the condensed copy.
 * @param {{ store: string, alone: string, length: number, dense: ReturnType<typeof condensedCopy> }} stores
 * @param {{ digests: Record<string, string>, targets: string, trials: number }} how
 */
function recoversOf({ store, alone, length, dense }, { digests, targets, trials }) {
  const digestOf = (/** @type {number} */ at) => digests[at] ?? '';
  const versions = [length, ...spreadOver(length).filter((at) => at !== length)];
  const asked = [store, ...(dense ? [dense.copy] : [])].flatMap((place) =>
    versions.map((at) => ({ store: place, at, digest: digestOf(at) })),
  );
  const [snapshot, ...rest] = byTurns([{ store: alone, at: 1, digest: digestOf(length) }, ...asked], trials, targets);
  const [newest, ...others] = rest.slice(0, versions.length);
  const [denseNewest, ...denseOthers] = rest.slice(versions.length);
  const condensed = dense && { newest: denseNewest, others: denseOthers, packBytes: dense.packBytes, ms: dense.ms };
  return { snapshot, newest, others, ...(condensed && { condensed }) };
}

/** @param {keyof typeof SERIES} what */
function series(what) {
  const { sampleEvery, trials } = SERIES[what];
  const lengths = options.lengths?.split(',').map(Number) ?? SERIES[what].lengths;
  const [state, store] = [join(workspace.place(what), 'state'), join(workspace.place(what), 'keep')];
  const targets = workspace.place(what, 'targets');
  const keep = lengths.flatMap(spreadOver);
  /** @type {Record<string, string>} */
  const digests = {};
  /** @type {number[]} */
  const deltas = [];
  const rows = [];
  let from = 0;
  let first = { packBytes: 0, metaBytes: 0 };
  for (const length of lengths) {
    const grown = runTrial(TRIAL, {
      kind: 'grow',
      what,
      state,
      store,
      from,
      to: length,
      bytes: megabytes << 20,
      sampleEvery: length <= 100 ? Math.min(sampleEvery, 5) : sampleEvery,
      keep,
    });
    Object.assign(digests, grown.digests);
    deltas.push(...grown.deltas);
    if (length === 1) first = grown;
    const alone = join(workspace.place(what), `plain-${length}`);
    runTrial(TRIAL, { kind: 'plain', state, store: alone });
    const dense = what === 'config' && length > 1 ? condensedCopy(store) : undefined;
    const recovers = recoversOf({ store, alone, length, dense }, { digests, targets, trials });
    const standalone = first.packBytes + (length > 1 ? mean(deltas) * (length - 1) : 0);
    const indexBytes = length > 1 ? (grown.metaBytes - first.metaBytes) / (length - 1) : grown.metaBytes;
    const captureMs = grown.captureMs / (length - from);
    const { packBytes, depths } = grown;
    rows.push({ length, trials, ...recovers, packBytes, standalone, indexBytes, depths, captureMs });
    const { snapshot, newest, others, condensed } = recovers;
    console.error(
      `${what} ${length}: newest ${(newest.wallMs / snapshot.wallMs).toFixed(2)}x (CPU ${(newest.cpuMs / snapshot.cpuMs).toFixed(2)}x), ` +
        `slowest ${(Math.max(newest.wallMs, ...others.map(({ wallMs }) => wallMs)) / snapshot.wallMs).toFixed(2)}x, ` +
        `storage ${(packBytes / standalone).toFixed(3)}x, index ${indexBytes.toFixed(0)} B a version`,
    );
    if (condensed) {
      const slowest = Math.max(condensed.newest.wallMs, ...condensed.others.map(({ wallMs }) => wallMs));
      console.error(
        `  condensed in ${condensed.ms.toFixed(0)} ms: newest ${(condensed.newest.wallMs / snapshot.wallMs).toFixed(2)}x, slowest ` +
          `${(slowest / snapshot.wallMs).toFixed(2)}x, storage ${(condensed.packBytes / standalone).toFixed(3)}x`,
      );
    }
    from = length;
  }
  return rows;
}

/** @type {Record<string, any>} */
const result = {
  schema: 1,
  quick,
  megabytes,
  date: new Date().toISOString().slice(0, 10),
  machine: machineFacts(workspace.root),
  series: {},
};
for (const what of chosen) result.series[what] = series(what);
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'history.json'), `${JSON.stringify(result, null, 2)}\n`);
writeHistory(options.out, result);
