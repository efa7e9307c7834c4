/** What the figures of the transport are to reach, whether they do, and, where not, by how much, why, and what would close it. */
import { showBytes } from '../lib/figures.mjs';
import { judged } from '../lib/judged.mjs';
import { ROUND_TRIPS } from './shaped-lines.mjs';

/** Bytes a second with TLS 1.3, in GB. */
const TLS_GB = 0.8;
const RSYNC_TIMES = 1.2;
/** Of the speed of a program that only copies, from file to socket and from socket to file. */
const LOOP_TIMES = 0.8;
/** Memory of either end, beside the 64 MiB that the sender of these figures holds to send. */
const MEMORY_BYTES = 128 * 2 ** 20;
const OWN_BYTES = 64 * 2 ** 20;
/** Shares of a line that are to be reached, by round trip and loss. */
const LINES = [
  { rttMs: 20, lossPercent: 0, share: 0.9 },
  { rttMs: 20, lossPercent: 0.1, share: 0.9 },
  { rttMs: 80, lossPercent: 0, share: 0.9 },
  { rttMs: 80, lossPercent: 0.1, share: 0.9 },
  { rttMs: 80, lossPercent: 1, share: 0.8 },
];
/** Below the best fixed count. */
const BELOW = 0.05;

const REASONS = {
  loopback:
    'iperf3 neither reads nor checks a byte; ours reads each one at either end to hash it (XXH3, once for frame and whole), runs the loop ' +
    'of Node beside it, all on two threads of one core that both ends share. What would close it: more processors.',
  tls: 'TLS of Node alone takes 0.7 s/GB at either end, in pieces of 16 KB. What would close it: TLS in the addon.',
  file: 'every byte is hashed at either end and is on the disk in the end, on two processors for both. What would close it: more processors.',
  loop:
    'the loop checks nothing and can go on after nothing; ours hashes every byte at either end, and two programs of Node have to start. ' +
    'What would close it: more processors than the two that both ends share.',
  lines:
    'the start counts: until the streams are up to speed more than half a second has passed at 80 ms, of ten; iperf3 with 16 plain streams, its ' +
    'row below, comes to the same share of such a line. What would close it: streams that begin at the rate that an earlier session found.',
  fixed:
    'at 200 ms and 1 % loss the first seconds decide, and single runs differ by as much from one to the next; medians of three are not enough ' +
    'for it. What would close it: more of them than an hour has room for.',
  memory:
    'buffers of sockets and of TLS are outside our bound, and V8 returns memory late. What would close it: smaller pieces of TLS, as above.',
};

/**
 * How many times as fast ours is; undefined where one of them is missing.
 * @param {{ rows: Record<string, any> } | undefined} part @param {string} peer @param {string} ours
 */
function timesOf(part, peer, ours) {
  const [theirs, own] = [part?.rows[peer]?.seconds, part?.rows[ours]?.seconds];
  return theirs === undefined || own === undefined ? undefined : theirs / own;
}

/** @param {number | undefined} value @param {number} least */
const below = (value, least) => value !== undefined && value < least;

/** @param {Record<string, any>} parts */
function localTargets({ loopback, tls, files, changed }) {
  const auto = loopback?.['diffkeeper, auto'];
  const peer = loopback?.['iperf3 -P 16'];
  const times = auto && peer ? auto.rate / peer.rate : undefined;
  const secure = tls?.['diffkeeper, TLS 1.3'];
  const file = timesOf(files, 'rsync -W', 'diffkeeper send');
  const loop = timesOf(files, 'plain C++ loop', 'diffkeeper send');
  const state = timesOf(changed, 'rsync --inplace', 'diffkeeper, state delta');
  const one = (/** @type {number | undefined} */ value, /** @type {string} */ unit) =>
    value === undefined ? [] : [`${value.toFixed(2)}${unit}`];
  const ends = Object.entries({ ...loopback, ...tls }).filter(([name]) => name.startsWith('diffkeeper'));
  const most = ends.map(([name, { sendRss, receiveRss }]) => ({
    name,
    bytes: Math.max(sendRss - OWN_BYTES, receiveRss),
  }));
  const end = (/** @type {{ name: string, bytes: number }} */ { name, bytes }) => `${name} ${showBytes(bytes)}`;
  return [
    judged(
      'loopback at least 1.0 times iperf3 -P 16, verified',
      one(times, 'x'),
      times < 1 ? one(times, 'x') : [],
      REASONS.loopback,
    ),
    judged(
      `TLS 1.3 at least ${TLS_GB} GB/s on two cores`,
      one(secure?.rate, ' GB/s'),
      secure?.rate < TLS_GB ? one(secure.rate, ' GB/s') : [],
      REASONS.tls,
    ),
    judged(
      `a file at least ${RSYNC_TIMES} times as fast as rsync -W`,
      one(file, 'x'),
      below(file, RSYNC_TIMES) ? one(file, 'x') : [],
      REASONS.file,
    ),
    judged(
      `a file at least ${LOOP_TIMES} times as fast as a plain C++ loop`,
      one(loop, 'x'),
      below(loop, LOOP_TIMES) ? one(loop, 'x') : [],
      REASONS.loop,
    ),
    judged('1 % of a state sooner than rsync --inplace', one(state, 'x'), below(state, 1) ? one(state, 'x') : []),
    judged(
      `at most ${showBytes(MEMORY_BYTES)} at each end, what is sent apart`,
      most.map(end),
      most.filter(({ bytes }) => bytes > MEMORY_BYTES).map(end),
      REASONS.memory,
    ),
  ];
}

/** All lines that were measured, as one. @param {Record<string, any>} parts */
export function shapedOf(parts) {
  const lines = ROUND_TRIPS.flatMap((rttMs) => parts[`shaped${rttMs}`] ?? []);
  return lines.length === 0 ? undefined : { ...lines[0], rows: lines.flatMap(({ rows }) => rows) };
}

/** @param {{ mbit: number, rows: readonly any[] }} shaped */
function lineTargets({ mbit, rows }) {
  const wanted = LINES.flatMap((line) => {
    const row = rows.find(({ rttMs, lossPercent }) => rttMs === line.rttMs && lossPercent === line.lossPercent);
    return row === undefined ? [] : [{ ...line, name: `${line.rttMs} ms ${line.lossPercent} %`, row }];
  });
  const share = (/** @type {any} */ { name, row }) => `${name}: ${((100 * row.longAuto) / mbit).toFixed(1)} %`;
  const best = (/** @type {any} */ row) =>
    Math.max(...Object.entries(row).flatMap(([key, value]) => (/^longStreams/.test(key) ? [Number(value)] : [])));
  const below = rows.map((row) => ({
    name: `${row.rttMs} ms ${row.lossPercent} %`,
    below: 1 - row.longAuto / best(row),
  }));
  const apart = (/** @type {{ name: string, below: number }} */ { name, below: by }) =>
    `${name}: ${(100 * by).toFixed(1)} %`;
  return [
    judged(
      'of a line of 300 Mbit/s in 10 s, start included: at least 90 % (80 % at 80 ms, 1 %)',
      wanted.map(share),
      wanted.filter(({ row, share: least }) => row.longAuto < least * mbit).map(share),
      REASONS.lines,
    ),
    judged(
      `automatic count at most ${100 * BELOW} % below the best fixed one, 10 s`,
      below.map(apart),
      below.filter(({ below: by }) => by > BELOW).map(apart),
      REASONS.fixed,
    ),
  ];
}

/** @param {Record<string, any>} parts of the results */
export const judgeTransport = (parts) => [
  ...localTargets(parts),
  ...lineTargets(shapedOf(parts) ?? { mbit: 1, rows: [] }),
];
