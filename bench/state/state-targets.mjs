/** What the figures of the state encoder are to reach, whether they do, and, where not, by how much, why, and what would close it. */
import { showBytes } from '../lib/figures.mjs';
import { judged } from '../lib/judged.mjs';
import { olderFactor, rewrittenFactor, spreadWords } from './workload-figures.mjs';
import { WORKLOADS } from './workloads.mjs';

/** @typedef {import('../lib/judged.mjs').Judged} Judged */

const FASTER = 10;
/** Share above the information that changes hold. */
const ABOVE = 0.05;
/** Longest that the event loop may wait, milliseconds. */
const WAIT_MS = 10;
/** Share of a state that page hashes may take. */
const HASHES = 0.005;
/** How far above the best fixed level the time over a link may be. */
const PACED = 0.1;
/** Share of its bytes that a dictionary is to save. */
const SAVED = 0.1;
/** How many times as long as a copy into memory of its own, which a baseline is, noise may take. */
const COPIES = 2;
/** Memory of the process at most while 10 workers encode and decode 100 keys of 256 KiB. */
const WORKERS_BYTES = 384e6;

const REASONS = {
  older:
    'source and target come out of memory once, which is most of what a state with changes at even distances takes; each scattered change is coded for itself, ' +
    'and a message costs 25 µs of JavaScript, and a turn to another thread beyond 1 MiB. What would close it: results of jobs in one piece of memory.',
  decoded:
    'the state is copied out of the baseline and its digest is made, and each scattered change is read and put in by itself.',
  claimed:
    'a decoder copies the state out of its baseline and checks its digest; the older system does neither. What would close it: decoding into the ' +
    'memory of the baseline.',
  waits:
    'nothing that grows with the state is done there; what is left are collections of garbage, which V8 makes for every 64 MiB of memory, ' +
    'whoever gets it, and turns that the loop does not get while two threads of the engine have both processors.',
  links:
    'a level that was measured in a busy moment of the machine is left alone for some states; more measures of each, or more tries, would cost every state something.',
  noise:
    'it is copied to be a baseline, into memory that was given back before and has to be had anew, and read twice more: samples tell that it is noise, and the digest is made.',
  smaller:
    'key, digests and the check of the message are counted, which are 45 bytes and more; the older figure is of the payload alone.',
};

/**
 * What a row is judged by: the older system's path with its own library, where that was measured.
 * @param {any} row
 * @returns {{ readonly isOwn: boolean, readonly bytes: number }}
 */
function olderPeer({ older, olderOwn }) {
  return olderOwn?.bytes === undefined ? { isOwn: false, bytes: older.bytes } : { isOwn: true, bytes: olderOwn.bytes };
}

const WAYS = /** @type {const} */ (['encode', 'decode']);

/**
 * Deltas in one direction. Undefined where there is nothing to compare with: what was written again with C zstd only codes.
 * @param {any} row
 * @param {typeof WAYS[number]} way
 */
const rowFactor = (row, way) =>
  olderPeer(row).isOwn ? olderFactor(row, way) : way === 'encode' ? rewrittenFactor(row) : undefined;

/**
 * @param {Record<string, any>} workloads
 * @param {readonly string[]} names of deltas
 * @param {typeof WAYS[number]} way
 * @returns {Judged}
 */
function fasterTarget(workloads, names, way) {
  const library = names.every((name) => olderPeer(workloads[name]).isOwn) ? 'with its own library' : 'with C zstd';
  const rows = names.flatMap((name) => {
    const factor = rowFactor(workloads[name], way);
    if (factor === undefined) return [];
    const isCompared = way === 'encode' && olderPeer(workloads[name]).isOwn;
    const rewritten = isCompared ? [`C zstd ${rewrittenFactor(workloads[name]).median.toFixed(1)}x`] : [];
    const inside = [...spreadWords(factor), ...rewritten].join('; ');
    const short = `${name} ${factor.median.toFixed(1)}x`;
    const text = inside === '' ? short : `${short} (${inside})`;
    return [{ text, short, reached: factor.median >= FASTER }];
  });
  return judged(
    `deltas ${way === 'encode' ? 'coded' : 'decoded'} ${FASTER} times faster than by the older path as it runs here, ${library}`,
    rows.map(({ text }) => text),
    rows.filter(({ reached }) => !reached).map(({ short }) => short),
    way === 'encode' ? REASONS.older : REASONS.decoded,
  );
}

/** @param {any} own */
const encodeRate = (own) => own.stateBytes / (own.encode.cpuMs / 1000);
/** @param {any} own */
const decodeRate = (own) => own.stateBytes / (own.decode.cpuMs / 1000);

/** @param {Record<string, any>} workloads @returns {Judged[]} */
function workloadTargets(workloads) {
  const rows = Object.entries(WORKLOADS).filter(([name]) => workloads[name]);
  const sizes = rows.filter(([, { claimed }]) => claimed !== undefined);
  const size = (/** @type {[string, any]} */ [name, { claimed }]) =>
    `${name} ${showBytes(workloads[name].own.bytes)} of ${showBytes(claimed)}`;
  const deltas = rows.filter(([, { full = false }]) => !full);
  const firsts = rows.filter(([, { full = false }]) => full);
  const peer = (/** @type {string} */ name) => olderPeer(workloads[name]);
  const libraryOf = (/** @type {typeof rows} */ some) =>
    some.every(([name]) => peer(name).isOwn) ? 'with its own library' : 'with C zstd';
  const claims = rows.flatMap(([name, { claimedRates }]) => {
    if (!claimedRates) return [];
    const { own } = workloads[name];
    return [
      { what: `${name} coded`, times: encodeRate(own) / claimedRates[0] },
      { what: `${name} decoded`, times: decodeRate(own) / claimedRates[1] },
    ];
  });
  const claim = (/** @type {{ what: string, times: number }} */ one) => `${one.what} ${one.times.toFixed(1)}x`;
  const bounds = rows.flatMap(([name]) => {
    const { bound, own } = workloads[name];
    return bound === undefined ? [] : [{ name, above: own.bytes / bound - 1 }];
  });
  const share = (/** @type {{ name: string, above: number }} */ { name, above }) =>
    `${name} ${(100 * above).toFixed(1)} %`;
  return [
    judged(
      'smaller than claimed for the older system, on each',
      sizes.map(size),
      sizes.filter(([name, { claimed = 0 }]) => workloads[name].own.bytes >= claimed).map(size),
    ),
    judged(
      `smaller than the older path as it runs here, ${libraryOf(deltas)}, deltas`,
      deltas.map(([name]) => `${name} ${showBytes(workloads[name].own.bytes)} of ${showBytes(peer(name).bytes)}`),
      deltas.filter(([name]) => workloads[name].own.bytes >= peer(name).bytes).map(([name]) => name),
      REASONS.smaller,
    ),
    judged(
      `smaller than the older path as it runs here, ${libraryOf(firsts)}, first messages`,
      firsts.map(([name]) => `${name} ${showBytes(workloads[name].own.bytes)} of ${showBytes(peer(name).bytes)}`),
      firsts.filter(([name]) => workloads[name].own.bytes >= peer(name).bytes).map(([name]) => name),
      REASONS.smaller,
    ),
    ...WAYS.map((way) =>
      fasterTarget(
        workloads,
        deltas.map(([name]) => name),
        way,
      ),
    ),
    judged(
      `${FASTER} times the rates claimed for the older system`,
      claims.map(claim),
      claims.filter((one) => one.times < FASTER).map(claim),
      REASONS.claimed,
    ),
    judged(
      `at most ${100 * ABOVE} % above the information of random changes`,
      bounds.map(share),
      bounds.filter(({ above }) => above > ABOVE).map(share),
    ),
  ];
}

/** @param {Record<string, any>} parts @returns {Judged[]} */
function otherTargets({ dictionary, concurrency, long, noise }) {
  const kinds = Object.entries(dictionary ?? {}).map(([name, { alone, trained }]) => ({
    name,
    saved: 1 - trained / alone,
  }));
  const kind = (/** @type {{ name: string, saved: number }} */ { name, saved }) =>
    `${name} ${(100 * saved).toFixed(1)} %`;
  const memory = concurrency ? [showBytes(concurrency.rssMax)] : [];
  const copyMs = noise?.keptMs ?? noise?.copyMs;
  const copies = noise ? [`${(noise.encodeMs / copyMs).toFixed(1)} times`] : [];
  const lost = concurrency ? [`${concurrency.lost} lost, ${concurrency.failures} failures`] : [];
  return [
    judged(
      `a dictionary saves ${100 * SAVED} % or more on small states`,
      kinds.map(kind),
      kinds.filter(({ saved }) => saved < SAVED).map(kind),
    ),
    judged('100 keys from 10 workers: no lost update', lost, concurrency?.lost + concurrency?.failures > 0 ? lost : []),
    judged(
      `100 keys from 10 workers: at most ${showBytes(WORKERS_BYTES)} of memory`,
      memory,
      concurrency?.rssMax > WORKERS_BYTES ? memory : [],
    ),
    judged(
      `noise goes out at memory speed: at most ${COPIES} times a copy into memory of its own`,
      copies,
      noise?.encodeMs > COPIES * copyMs ? copies : [],
      REASONS.noise,
    ),
    judged('a state beyond 4 GiB comes back exactly', long?.bytes > 2 ** 32 ? [showBytes(long.bytes)] : [], []),
  ];
}

/** @param {Record<string, any>} parts @returns {Judged[]} */
function pacedTargets({ delay, pageMode, links }) {
  // Older results have the longest alone.
  const most = (/** @type {any} */ { mostMs, maxMs }) => mostMs ?? maxMs;
  const waits = (delay?.rows ?? []).filter((/** @type {any} */ { own = false }) => !own);
  const longest = Math.max(0, ...waits.map((/** @type {any} */ { maxMs }) => maxMs));
  const wait = (/** @type {any} */ row) => `${row.state} ${most(row).toFixed(1)} ms`;
  const kept = (pageMode?.rows ?? []).filter((/** @type {any} */ { keep }) => keep === 'pages');
  const hashes = (/** @type {any} */ { memoryBytes }) => `${((100 * memoryBytes) / pageMode.bytes).toFixed(2)} %`;
  const lines = links?.rows ?? [];
  const line = (/** @type {any} */ { mbits, ms, best }) => `${mbits} Mbit/s ${(100 * (ms / best.ms - 1)).toFixed(0)} %`;
  return [
    judged(
      `encoding and decoding hold the event loop up by at most ${WAIT_MS} ms in 19 of 20 calls (the longest of all ${longest.toFixed(1)} ms)`,
      waits.map(wait),
      waits.filter((/** @type {any} */ row) => most(row) > WAIT_MS).map(wait),
      REASONS.waits,
    ),
    judged(
      `page hashes take at most ${100 * HASHES} % of the state`,
      kept.map(hashes),
      kept.filter((/** @type {any} */ { memoryBytes }) => memoryBytes > HASHES * pageMode.bytes).map(hashes),
    ),
    judged(
      `over a link at most ${100 * PACED} % above the best fixed level`,
      lines.map(line),
      lines.filter((/** @type {any} */ { ms, best }) => ms > (1 + PACED) * best.ms).map(line),
      REASONS.links,
    ),
  ];
}

/** @param {Record<string, any>} parts of the results @returns {Judged[]} */
export const judgeStates = (parts) => [
  ...workloadTargets(parts.workloads ?? {}),
  ...otherTargets(parts),
  ...pacedTargets(parts),
];
