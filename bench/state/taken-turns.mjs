/**
 * Ours and the older path take turns in short blocks, in changing order, so that a machine whose speed drifts is as fast for one
 * as for the other: what counts is the ratio of neighbours.
 */
import { BLOCK, timedBlock, WARM } from './timed-calls.mjs';

/** @typedef {import('./timed-calls.mjs').Times} Times */
/** @typedef {import('./timed-calls.mjs').Least} Least */
/** @typedef {{ readonly own: Times, readonly older?: Times }} Turn neighbouring blocks of both sides */
/** @typedef {Pick<import('./older-system.mjs').OlderProcess, 'block'>} OlderSide */

/**
 * A block of each side, the older one first where asked.
 * @param {{ own: () => Promise<Times>, older?: () => Promise<Times> }} sides
 * @param {boolean} olderFirst
 * @returns {Promise<Turn>}
 */
export async function turn({ own, older }, olderFirst) {
  if (older === undefined) return { own: await own() };
  const before = olderFirst ? await older() : undefined;
  const mine = await own();
  return { own: mine, older: before ?? (await older()) };
}

/** @param {{ wallMs: number, cpuMs: number }} block */
const timesOf = ({ wallMs, cpuMs }) => ({ wallMs, cpuMs });

/**
 * Rounds of blocks in both directions, each side warm before. Every block's message is decoded and compared.
 * @param {import('./coded-states.mjs').CodedState} own
 * @param {OlderSide | undefined} older
 * @param {{ rounds: number, ms: number, warm?: Least, block?: Least }} least
 */
export async function takeTurns(own, older, { rounds, ms, warm = WARM, block = BLOCK }) {
  const sides = {
    encode: async (/** @type {Least} */ size) => {
      const times = await timedBlock(() => own.encode(), size);
      own.spoil();
      own.check(await own.decode());
      return times;
    },
    decode: (/** @type {Least} */ size) => {
      own.spoil();
      return timedBlock(() => own.decode(), size, own.check);
    },
  };
  const ways = /** @type {const} */ (['encode', 'decode']);
  /** @type {Record<'encode' | 'decode', Turn[]>} */
  const turns = { encode: [], decode: [] };
  /** @type {{ bytes: number, threads: number } | undefined} */
  let olderFacts;
  for (const way of ways) {
    await sides[way](warm);
    if (older) olderFacts = await older.block(way, warm);
  }
  const begun = performance.now();
  for (let round = 0; round < rounds || performance.now() - begun < ms; round += 1) {
    for (const way of ways) {
      const pair = {
        own: () => sides[way](block),
        ...(older && { older: async () => timesOf(await older.block(way, block)) }),
      };
      turns[way].push(await turn(pair, round % 2 === 1));
    }
  }
  return { turns, ...(olderFacts && { olderFacts: { bytes: olderFacts.bytes, threads: olderFacts.threads } }) };
}
