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
const trials = quick ? 1 : 7;
const SERIES = {
  pages: { lengths: quick ? [1, 10, 40] : [1, 10, 100, 1000], sampleEvery: quick ? 10 : 50 },
  config: { lengths: quick ? [1, 10, 200] : [1, 10, 100, 1000, 10_000], sampleEvery: quick ? 10 : 100 },
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

/** @param {string} store @param {number} at @param {string} digest @param {string} target */
function recovered(store, at, digest, target) {
  const all = [];
  for (let turn = 0; turn < trials; turn += 1) {
    settleDisk(workspace.root);
    all.push(runTrial(TRIAL, { kind: 'recover', store, at, digest, target: join(target, `${at}-${turn}`) }));
  }
  return { wallMs: median(all.map(({ wallMs }) => wallMs)), cpuMs: median(all.map(({ cpuMs }) => cpuMs)) };
}

/**
 * The same of a copy of the store that is condensed; undefined where that changes nothing.
 * @param {string} store
 * @param {{ length: number, others: readonly { at: number }[] }} row
 * @param {{ digests: Record<string, string>, targets: string }} known
 */
function condensedCopy(store, { length, others }, { digests, targets }) {
  const copy = `${store}-condensed`;
  rmSync(copy, { recursive: true, force: true });
  cpSync(store, copy, { recursive: true });
  const { packs, packBytes, ms } = runTrial(TRIAL, { kind: 'condense', store: copy });
  // It does not pay for a few versions.
  if (packs === 0) return undefined;
  const newest = recovered(copy, length, digests[length] ?? '', targets);
  const spread = others.map(({ at }) => ({ at, ...recovered(copy, at, digests[at] ?? '', targets) }));
  return { newest, others: spread, packBytes, ms };
}

/** @param {keyof typeof SERIES} what */
function series(what) {
  const { sampleEvery } = SERIES[what];
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
    const snapshot = recovered(alone, 1, digests[length] ?? '', targets);
    const newest = recovered(store, length, digests[length] ?? '', targets);
    const others = spreadOver(length)
      .filter((at) => at !== length)
      .map((at) => ({ at, ...recovered(store, at, digests[at] ?? '', targets) }));
    const standalone = first.packBytes + (length > 1 ? mean(deltas) * (length - 1) : 0);
    const indexBytes = length > 1 ? (grown.metaBytes - first.metaBytes) / (length - 1) : grown.metaBytes;
    const captureMs = grown.captureMs / (length - from);
    const { packBytes, depths } = grown;
    const row = { length, snapshot, newest, others, packBytes, standalone, indexBytes, depths, captureMs };
    rows.push({
      ...row,
      ...(what === 'config' && length > 1 && { condensed: condensedCopy(store, row, { digests, targets }) }),
    });
    console.error(
      `${what} ${length}: newest ${(newest.wallMs / snapshot.wallMs).toFixed(2)}x (CPU ${(newest.cpuMs / snapshot.cpuMs).toFixed(2)}x), ` +
        `slowest ${(Math.max(newest.wallMs, ...others.map(({ wallMs }) => wallMs)) / snapshot.wallMs).toFixed(2)}x, ` +
        `storage ${(packBytes / standalone).toFixed(3)}x, index ${indexBytes.toFixed(0)} B a version`,
    );
    const { condensed } = rows[rows.length - 1] ?? {};
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
  trials,
  date: new Date().toISOString().slice(0, 10),
  machine: machineFacts(workspace.root),
  series: {},
};
for (const what of chosen) result.series[what] = series(what);
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'history.json'), `${JSON.stringify(result, null, 2)}\n`);
writeHistory(options.out, result);
