// What the deltas have to reach, and whether they do. Times of ours are those of the library's call; a tool's are those
// of its process, which is all that it offers.

import { showBytes } from '../lib/figures.mjs';

/**
 * @typedef {import('./delta-section.mjs').PairResult} PairResult
 * @typedef {import('./delta-section.mjs').Tool} Tool
 * @typedef {{ target: string, measured: string, verdict: string }} Judged
 * @typedef {{ targetBytes: number, date: string, diff: { rssBytes: number }, patch: { rssBytes: number } }} LargeResult
 * @typedef {readonly { name: string, both: boolean }[]} ComparedEngines
 */

const MIB = 2 ** 20;
const GB = 1e9;

/**
 * A tool's figures on a pair, where there are any to trust.
 * @param {PairResult} pair
 * @param {string} name
 */
function toolOf(pair, name) {
  const tool = pair.tools?.[name];
  return tool === undefined || tool.skipped !== undefined || !tool.verified ? undefined : tool;
}

/** @param {number} value */
const shown = (value) => (Number.isFinite(value) ? `${value.toPrecision(3)}` : 'none');

/**
 * One target over many pairs: each gives a number that must not pass the limit.
 * @param {string} target
 * @param {number} limit
 * @param {readonly PairResult[]} pairs
 * @param {(pair: PairResult) => number | undefined} measure
 * @returns {Judged}
 */
function everywhere(target, limit, pairs, measure) {
  const values = pairs.flatMap((pair) => {
    const value = measure(pair);
    return value === undefined || Number.isNaN(value) ? [] : [{ name: pair.name, value }];
  });
  if (values.length === 0) return { target, measured: 'nothing measured', verdict: 'not measured' };
  const worst = values.reduce((most, one) => (one.value > most.value ? one : most));
  const missed = values.filter(({ value }) => value > limit);
  const measured = `worst ${shown(worst.value)} (${worst.name}), of ${values.length} pairs`;
  if (missed.length === 0) return { target, measured, verdict: 'met' };
  return {
    target,
    measured,
    verdict: `missed on ${missed.map(({ name, value }) => `${name} ${shown(value)}`).join(', ')}`,
  };
}

/**
 * @param {string} one
 * @param {readonly string[]} others
 * @param {(tool: Tool) => number | undefined} figure
 * @param {(tool: Tool) => number | undefined} [ofOthers]
 */
const ratioTo =
  (one, others, figure, ofOthers = figure) =>
  (/** @type {PairResult} */ pair) => {
    const mine = toolOf(pair, one);
    const theirs = others.flatMap((name) => toolOf(pair, name) ?? []).map((tool) => ofOthers(tool) ?? Number.NaN);
    return mine === undefined || theirs.length === 0 ? undefined : (figure(mine) ?? Number.NaN) / Math.min(...theirs);
  };
const bytes = (/** @type {Tool} */ tool) => tool.deltaBytes;
const call = (/** @type {Tool} */ tool) => tool.diff.callMs;
const wall = (/** @type {Tool} */ tool) => tool.diff.wallMs;

/**
 * How often `max` is the smallest.
 * @param {readonly PairResult[]} pairs
 * @returns {Judged}
 */
function smallest(pairs) {
  const peers = (/** @type {PairResult} */ pair) =>
    Object.keys(pair.tools ?? {}).filter((name) => !name.startsWith('diffkeeper'));
  const judged = pairs.flatMap((pair) => {
    const ratio = ratioTo('diffkeeper max', peers(pair), bytes)(pair);
    return ratio === undefined ? [] : [{ name: pair.name, ratio }];
  });
  const beaten = judged.filter(({ ratio }) => ratio > 1);
  const measured = `${judged.length - beaten.length} of ${judged.length}${beaten.length > 0 ? `; not on ${beaten.map(({ name, ratio }) => `${name} (${shown(ratio)}×)`).join(', ')}` : ''}`;
  const good = judged.length - beaten.length >= 0.75 * judged.length;
  return {
    target: '3: `max` smallest of all tools on at least 9 of 12 pairs',
    measured,
    verdict: good ? 'met' : 'missed',
  };
}

/**
 * How many bytes more one takes than the other.
 * @param {string} one
 * @param {string} other
 */
const bytesOver = (one, other) => (/** @type {PairResult} */ pair) => {
  const [mine, theirs] = [toolOf(pair, one), toolOf(pair, other)];
  return mine === undefined || theirs === undefined ? undefined : mine.deltaBytes - theirs.deltaBytes;
};

/** Share of the target, percent. */
const share = (/** @type {PairResult} */ pair) => {
  const tool = toolOf(pair, 'diffkeeper fast');
  return tool === undefined ? undefined : (100 * tool.deltaBytes) / pair.targetBytes;
};

/**
 * A core's seconds for each GB of target, so that less is better as everywhere.
 * @param {'diff' | 'patch'} part
 */
const secondsPerGb = (part) => (/** @type {PairResult} */ pair) => {
  const tool = toolOf(pair, 'diffkeeper fast');
  return tool === undefined ? undefined : (tool[part].callCpuMs ?? Number.NaN) / 1000 / (pair.targetBytes / GB);
};

/**
 * How often `fast` is smaller than both quick peers.
 * @param {readonly PairResult[]} pairs
 * @returns {Judged}
 */
function smallerOnMost(pairs) {
  const ratios = pairs.flatMap((pair) => ratioTo(FAST, QUICK_PEERS, bytes)(pair) ?? []);
  const smaller = ratios.filter((ratio) => ratio < 1).length;
  const target = '1: `fast` smaller than both on most pairs';
  if (ratios.length === 0) return { target, measured: 'nothing measured', verdict: 'not measured' };
  return {
    target,
    measured: `${smaller} of ${ratios.length}`,
    verdict: 2 * smaller > ratios.length ? 'met' : 'missed',
  };
}

/** MiB of the process at its peak, in diff or patch, above source and target, which both are in memory. */
const memoryAbove = (/** @type {PairResult} */ pair) => {
  const tool = toolOf(pair, FAST);
  if (tool === undefined) return undefined;
  return (Math.max(tool.diff.rssBytes, tool.patch.rssBytes) - pair.sourceBytes - pair.targetBytes) / MIB;
};

/**
 * A long file from disk, where `large-files.mjs` has measured one.
 * @param {LargeResult | undefined} large
 * @returns {Judged}
 */
function fromDisk(large) {
  const target = '6: 5 GB from disk, `delta` and `patch` at most 512 MB';
  if (large === undefined) return { target, measured: 'nothing measured', verdict: 'not measured' };
  const [diff, patch] = [large.diff.rssBytes, large.patch.rssBytes];
  const measured = `${showBytes(large.targetBytes)}: ${showBytes(diff)} and ${showBytes(patch)} (${large.date})`;
  if (large.targetBytes < 4.9 * GB) return { target, measured, verdict: 'not measured at this size' };
  const most = Math.max(diff, patch);
  return { target, measured, verdict: most <= 512 * MIB ? 'met' : `missed: ${showBytes(most)}` };
}

/**
 * Whether the table of native and TypeScript holds every engine, both ways.
 * @param {ComparedEngines | undefined} engines
 * @returns {Judged}
 */
function oneTable(engines) {
  const target = '7: native beside TypeScript, one table, every engine both ways';
  if (engines === undefined || engines.length === 0)
    return { target, measured: 'nothing measured', verdict: 'not measured' };
  const wanted = ENGINES.flatMap((name) => [`${name} diff`, `${name} patch`]);
  const missing = wanted.filter((name) => !engines.some((row) => row.name === name && row.both));
  const measured = `${wanted.length - missing.length} of ${wanted.length}, in the section below`;
  return { target, measured, verdict: missing.length === 0 ? 'met' : `missed: ${missing.join(', ')}` };
}

const ENGINES = ['align', 'bsdiff', 'xdelta', 'zstd prefix', 'xor', 'tensor'];
const QUICK_PEERS = ['zstd -3', 'xdelta3 -1'];
const [FAST, BALANCED, MOST] = ['diffkeeper fast', 'diffkeeper balanced', 'diffkeeper max'];
const callCpu = (/** @type {Tool} */ tool) => tool.diff.callCpuMs;
const processCpu = (/** @type {Tool} */ tool) => tool.diff.cpuMs;
const patchCall = (/** @type {Tool} */ tool) => tool.patch.callMs;
const patchWall = (/** @type {Tool} */ tool) => tool.patch.wallMs;

const all = () => true;
const large = (/** @type {PairResult} */ { targetBytes }) => targetBytes > MIB;
const named =
  (/** @type {RegExp} */ pattern) =>
  (/** @type {PairResult} */ { name }) =>
    pattern.test(name);
const changed =
  (/** @type {string[]} */ ...changes) =>
  (/** @type {PairResult} */ { change }) =>
    changes.includes(change);
const tiny = (/** @type {PairResult} */ { targetBytes }) => targetBytes < 65_536;
const fewBytes = (/** @type {PairResult} */ pair) => large(pair) && (share(pair) ?? 100) < 5;

/**
 * Figures 1 and 2, 3 to 5, 6: target, limit, which pairs, what of them.
 * @type {readonly (readonly [string, number, (pair: PairResult) => boolean, (pair: PairResult) => number | undefined])[]}
 */
const UP_TO_2 = [
  ['1: `fast` at most 1.02 times the smaller of zstd -3 and xdelta3 -1', 1.02, all, ratioTo(FAST, QUICK_PEERS, bytes)],
  [
    '1: `fast` at most 0.2 of the time of xdelta3 -1, in place and shifted',
    0.2,
    changed('in place', 'shifted'),
    ratioTo(FAST, ['xdelta3 -1'], call, wall),
  ],
  ['1: `fast` at most 0.5 of the time of zstd -3, over 1 MiB', 0.5, large, ratioTo(FAST, ['zstd -3'], call, wall)],
  [
    '2: executables, `balanced` at most 0.55 times the bytes of zstd -3',
    0.55,
    changed('executable'),
    ratioTo(BALANCED, ['zstd -3'], bytes),
  ],
  [
    '2: executables, `balanced` at most 0.5 of the time of zstd -3',
    0.5,
    changed('executable'),
    ratioTo(BALANCED, ['zstd -3'], call, wall),
  ],
  ['2: executables, `max` at most the bytes of bsdiff', 1, changed('executable'), ratioTo(MOST, ['bsdiff'], bytes)],
  [
    '2: executables, `max` at most 0.25 of the time of bsdiff',
    0.25,
    changed('executable'),
    ratioTo(MOST, ['bsdiff'], call, wall),
  ],
];
/** @type {typeof UP_TO_2} */
const FROM_3 = [
  ['3: `max` at most the time of zstd -19', 1, all, ratioTo(MOST, ['zstd -19'], call, wall)],
  ['3: `max` at most 24 bytes more than zstd -19, under 64 KiB', 24, tiny, bytesOver(MOST, 'zstd -19')],
  ['4: SQLite, `fast` at most the bytes of xdelta3 -9', 1, named(/^sqlite/), ratioTo(FAST, ['xdelta3 -9'], bytes)],
  [
    '4: SQLite, `fast` at most 0.2 of the CPU of xdelta3 -1',
    0.2,
    named(/^sqlite/),
    ratioTo(FAST, ['xdelta3 -1'], callCpu, processCpu),
  ],
  [
    '4: patch at most 1 core second for each GB, deltas under 5 %, digests included',
    1,
    fewBytes,
    secondsPerGb('patch'),
  ],
  ['4: patch at most 0.5 of the time of xdelta3', 0.5, all, ratioTo(FAST, ['xdelta3 -1'], patchCall, patchWall)],
  ['5: fp32 weights after a step, at most 63 % of raw', 63, named(/^weights-fp32/), share],
  ['5: bf16 weights after a step, at most 26 % of raw', 26, named(/^weights-bf16/), share],
  ['5: weights at most 1 core second for each GB, digests included', 1, named(/^weights/), secondsPerGb('diff')],
];

/** @type {typeof UP_TO_2} */
const MEMORY = [['6: `fast` peak memory at most source + target + 64 MiB, whole process', 64, all, memoryAbove]];

/**
 * Figures 1 to 7.
 * @param {readonly PairResult[]} measured
 * @param {{ large?: LargeResult | undefined, engines?: ComparedEngines | undefined }} [beside] figures that other programs took
 * @returns {Judged[]}
 */
export function judgeDeltas(measured, { large, engines } = {}) {
  const pairs = measured.filter(({ failed }) => failed === undefined);
  const judge = (/** @type {typeof UP_TO_2} */ rules) =>
    rules.map(([target, limit, which, measure]) => everywhere(target, limit, pairs.filter(which), measure));
  const [first, ...others] = judge(UP_TO_2);
  return [
    ...(first === undefined ? [] : [first]),
    smallerOnMost(pairs),
    ...others,
    smallest(pairs),
    ...judge(FROM_3),
    ...judge(MEMORY),
    fromDisk(large),
    oneTable(engines),
  ];
}
