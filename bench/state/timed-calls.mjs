/** Blocks of calls in this process, measured as `older-path.go` measures its own: wall and processor time, medians. */
import { median } from '../lib/statistics.mjs';

/** What a block takes at least. Short, so that what two sides took in neighbouring blocks is of the same moment. */
export const BLOCK = { calls: 3, ms: 12 };
/** Before anything counts, on every side: compilers and memory have come to rest then. */
export const WARM = { calls: 3, ms: 250 };

/**
 * @typedef {{ readonly wallMs: number, readonly cpuMs: number }} Times medians of a block, processor time of all threads
 * @typedef {{ readonly calls: number, readonly ms: number }} Least
 */

/**
 * At least so many calls, for at least so long. What came of each is checked, off the clock.
 * @template T
 * @param {() => Promise<T>} call
 * @param {Least} least
 * @param {(made: T) => void} [check]
 * @returns {Promise<Times>}
 */
export async function timedBlock(call, { calls, ms }, check = () => {}) {
  const walls = [];
  const cpus = [];
  const begun = performance.now();
  while (walls.length < calls || performance.now() - begun < ms) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    const made = await call();
    walls.push(performance.now() - start);
    const { user, system } = process.cpuUsage(cpu);
    cpus.push((user + system) / 1000);
    check(made);
  }
  return { wallMs: median(walls), cpuMs: median(cpus) };
}

/**
 * The same number of calls each time, after a warm-up.
 * @template T
 * @param {number} times
 * @param {() => Promise<T>} call
 * @param {(made: T) => void} [check]
 */
export async function timed(times, call, check) {
  await timedBlock(call, WARM, check);
  return timedBlock(call, { calls: times, ms: 0 }, check);
}
