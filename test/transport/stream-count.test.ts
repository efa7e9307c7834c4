/** The number of streams that a session settles at, on lines that are calculated. */
import { availableParallelism } from 'node:os';
import { describe, expect, it } from 'vitest';
import { SOCKET_FIGURES } from '../../src/engine/engine.js';
import { sessionSettings } from '../../src/transport/session-settings.js';
import { firstStreams, StreamCount } from '../../src/transport/stream-count.js';
import type { StreamRules } from '../../src/transport/transport.js';
import { PLAIN } from './session-fixture.js';

const TICK_MS = 50;
/** Opening a connection, TLS, joining. */
const JOIN_RTTS = 5;

interface Line {
  readonly rttMs: number;
  /** So many streams fill it: each gets at most that share of it. */
  readonly fullAt: number;
  /** What each stream more takes away from the whole, as a share. */
  readonly cost?: number;
  /** How much the rate of each moment is off, as a share. */
  readonly noise?: number;
  /** Whether the kernel tells of round trips. Default true. */
  readonly told?: boolean;
  /** Whether packets wait when the line is full. Default true; false: processors are what is full. */
  readonly queues?: boolean;
  /**
   * What numbers of streams bring under BBR, which keeps to the line's rate, not to its windows: each holds from that number
   * on, up to the next. Instead of `fullAt` and `cost`.
   */
  readonly paced?: readonly (readonly [count: number, rate: number])[];
  /** Whether every ten seconds hardly anything is sent for a moment, as BBR does. */
  readonly pauses?: boolean;
  readonly streams?: StreamRules;
  readonly seed?: number;
}

/** Bytes a second of all streams together. */
const CAPACITY = 300 * 125_000;

const known = new WeakMap<Line, (count: number) => number>();

/** What a number of streams brings when it is up to speed, as a share of the best that a number up to 64 does. */
function sharesOf(line: Line): (count: number) => number {
  const { fullAt, cost = 0, paced } = line;
  const steady = (streams: number): number => {
    if (paced !== undefined) return paced.findLast(([from]) => from <= streams)?.[1] ?? 0;
    return Math.min(1, streams / fullAt) * (1 - cost * streams);
  };
  const rates = Array.from({ length: 65 }, (_, count) => steady(count));
  const best = Math.max(...rates);
  return (count) => (rates[count] ?? 0) / best;
}

function share(line: Line, count: number): number {
  const shares = known.get(line) ?? sharesOf(line);
  known.set(line, shares);
  return shares(count);
}

/** Numbers from 0 to 1 that are the same each time. */
function seededNumbers(seed: number): () => number {
  let state = seed * 7919;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Taken over in each tick: on a busy machine the rate is off for a second or two, and for a moment. */
class Rate {
  #share = 0;
  #drift = 0;
  #held = 0;
  /** What the line has carried. */
  carried = 0;

  bytes(goal: number, { rttMs, noise = 0, paced }: Line, random: () => number): number {
    this.#share += (goal - this.#share) * (1 - Math.exp(-TICK_MS / (2 * rttMs)));
    this.#drift = this.#drift * 0.95 + 0.31 * noise * (2 * random() - 1);
    const factor = Math.max(0.1, 1 + this.#drift + noise * (2 * random() - 1));
    const arrived = ((CAPACITY * TICK_MS) / 1000) * this.#share * factor;
    this.carried += arrived;
    this.#held += arrived;
    // What waits for a lost packet is taken over all at once: seen are pauses of some round trips, and bursts.
    if (paced !== undefined && random() > TICK_MS / (5 * rttMs)) return 0;
    const bytes = this.#held;
    this.#held = 0;
    return bytes;
  }
}

interface Outcome {
  /** Streams in the end. */
  readonly count: number;
  /** Most streams that were wanted at a time. */
  readonly most: number;
  /** The share of the best rate that those in use stood for, from then on. */
  mean(fromS: number): number;
  /** When so many bytes had arrived; infinite: not in this time. */
  secondsFor(bytes: number): number;
}

/** What the kernel would tell of all streams together. */
function tell(figures: Float64Array, line: Line, active: number, random: () => number, paused = false): void {
  const { rttMs, queues = true, paced } = line;
  const waits = queues && !paused && (paced === undefined ? active >= line.fullAt : random() < 0.6);
  const tripMs = rttMs + (waits ? Math.max(20, rttMs) * 0.8 : rttMs * 0.1 * random());
  const windows = paused ? 0.05 : paced === undefined ? 1 + 0.2 * random() : 2 + 1.5 * random();
  figures[SOCKET_FIGURES.minRttMs] = rttMs;
  figures[SOCKET_FIGURES.rttMs] = tripMs;
  figures[SOCKET_FIGURES.windowBytes] = (CAPACITY * share(line, active) * windows * tripMs) / 1000;
  figures[SOCKET_FIGURES.applicationLimited] = Number(!queues);
}

/** A transfer over a line. */
function transfer(line: Line, seconds: number): Outcome {
  const { rttMs, told = true } = line;
  let nowMs = 0;
  const random = seededNumbers(line.seed ?? 1);
  const settings = {
    ...sessionSettings({ trust: PLAIN, ...(line.streams && { streams: line.streams }) }),
    clock: { nowMs: () => nowMs, steadyMs: () => nowMs },
  };
  const figures = new Float64Array(8);
  const links = [{ figures: () => (told ? figures : undefined) }];
  tell(figures, line, 1, random);
  let connected = firstStreams(settings.streams, links[0] as (typeof links)[0]);
  const streams = { wanted: connected, active: connected };
  const outbox = { takenBytes: 0, hungry: true, windowFull: false, hedge: { minRttMs: 0 } };
  const count = new StreamCount({ settings, streams, outbox, maximum: 64 });
  const joins: number[] = [];
  const rate = new Rate();
  const shares: number[] = [];
  const carried: number[] = [];
  let most = 0;
  for (; nowMs < seconds * 1000; nowMs += TICK_MS) {
    for (; (joins[0] ?? Number.POSITIVE_INFINITY) <= nowMs; joins.shift()) connected += 1;
    streams.active = Math.min(connected, streams.wanted);
    shares.push(share(line, streams.active));
    const paused = line.pauses === true && nowMs % 10_000 > 9500 - rttMs;
    outbox.takenBytes += rate.bytes(paused ? 0.05 : (shares.at(-1) ?? 0), line, random);
    carried.push(rate.carried);
    tell(figures, line, streams.active, random, paused);
    const wanted = count.look(links) ?? 0;
    most = Math.max(most, streams.wanted);
    while (connected + joins.length < wanted) joins.push(nowMs + JOIN_RTTS * rttMs);
  }
  const mean = (fromS: number): number => {
    const some = shares.slice((fromS * 1000) / TICK_MS);
    return some.reduce((total, one) => total + one, 0) / some.length;
  };
  const secondsFor = (bytes: number): number => {
    const at = carried.findIndex((sum) => sum >= bytes);
    return at < 0 ? Number.POSITIVE_INFINITY : ((at + 1) * TICK_MS) / 1000;
  };
  return { count: streams.wanted, most, mean, secondsFor };
}

const SEEDS = Array.from({ length: 20 }, (_, index) => index + 1);
const lines: Line[] = [20, 80, 200].flatMap((rttMs) => [1, 4, 16, 40, 100].map((fullAt) => ({ rttMs, fullAt })));

/** Mbit/s of 94 MB with a fixed number of streams, as measured under BBR on shaped lines. */
const PACED: readonly (readonly [name: string, line: Line, least: number])[] = (
  [
    [20, 0, [272, 271, 259, 203]],
    [20, 0.1, [270, 262, 247, 218]],
    [80, 0, [232, 241, 245, 251]],
    [80, 0.1, [217, 222, 223, 226]],
    [80, 1, [214, 231, 231, 233]],
    [200, 0, [163, 163, 165, 178]],
    [200, 0.1, [142, 161, 166, 168]],
    [200, 1, [105, 138, 156, 149]],
  ] as const
).map(([rttMs, loss, rates]) => {
  const paced = [[1, 0.5 * rates[0]], [2, 0.7 * rates[0]], ...rates.map((rate, at) => [4 << at, rate])];
  // At 200 ms 32 streams bring more where nothing is lost, and less where much is.
  const least = rttMs === 200 ? 0.9 : 0.95;
  return [`${rttMs} ms, ${loss} %`, { rttMs, fullAt: 0, paced: paced as [number, number][] }, least];
});

const SIZES = [94e6, 375e6];

/** The speed of transfers of each size as a share of what the best fixed number reaches, at worst over the seeds. */
function besideFixed(line: Line): number[] {
  const shares = SEEDS.map((seed) => {
    const noisy = { ...line, noise: 0.2, seed };
    const auto = transfer(noisy, 40);
    const fixed = [4, 8, 16, 32].map((count) =>
      transfer({ ...noisy, streams: { minimum: count, maximum: count } }, 40),
    );
    return SIZES.map((size) => Math.min(...fixed.map((one) => one.secondsFor(size))) / auto.secondsFor(size));
  });
  return SIZES.map((_, at) => Math.min(...shares.map((some) => some[at] ?? 0)));
}

describe('the number of streams', () => {
  it.each(PACED)('transfers nearly as fast as with the best fixed one: %s', (_name, line, least) => {
    for (const share of besideFixed(line)) expect(share).toBeGreaterThan(least);
  });

  it.each(lines)('comes to within 5 % of the best fixed one: $rttMs ms, full at $fullAt', (line) => {
    // Streams have to be opened, and need some round trips to get up to speed.
    const fromS = 5 + line.rttMs / 50;
    expect(transfer(line, 20).mean(fromS)).toBeGreaterThan(0.95);
    for (const noise of [0.2, 0.4]) {
      const means = SEEDS.map((seed) => transfer({ ...line, noise, seed }, 20).mean(fromS));
      expect(Math.min(...means)).toBeGreaterThan(0.95);
    }
  });

  it('stays low where a few fill the line', () => {
    expect(transfer({ rttMs: 20, fullAt: 4 }, 20).count).toBeLessThanOrEqual(8);
    expect(transfer({ rttMs: 5, fullAt: 2 }, 20).count).toBeLessThanOrEqual(8);
    expect(transfer({ rttMs: 0.1, fullAt: 1, noise: 0.2 }, 20).count).toBeLessThanOrEqual(2 * availableParallelism());
  });

  it.each([
    [5, 4],
    [40, 8],
    [60, 16],
    [200, 16],
  ])('begins by the length of the way: %d ms', (rttMs, count) => {
    const figures = new Float64Array(8);
    figures[SOCKET_FIGURES.minRttMs] = rttMs;
    const { streams } = sessionSettings({ trust: PLAIN });
    expect(firstStreams(streams, { figures: () => figures })).toBe(count);
    expect(firstStreams({ ...streams, maximum: 6 }, { figures: () => figures })).toBe(Math.min(count, 6));
    expect(firstStreams({ ...streams, initial: 3 }, { figures: () => figures })).toBe(3);
  });

  it('tries no more where packets wait, whatever the rate does and BBR pauses', () => {
    for (const rttMs of [20, 80, 200]) {
      for (const seed of SEEDS) {
        const outcome = transfer({ rttMs, fullAt: 4, noise: 0.6, pauses: true, seed }, 40);
        expect(outcome.most).toBe(transfer({ rttMs, fullAt: 4 }, 0.1).count);
      }
    }
  });

  it('does not grow where processors are what is full and more do harm', () => {
    for (const seed of SEEDS) {
      const line = { rttMs: 20, fullAt: 4, cost: 0.01, queues: false, noise: 0.1, seed };
      expect(transfer(line, 30).mean(5)).toBeGreaterThan(0.9);
    }
  });

  it('goes by what is taken over alone where the kernel tells nothing', () => {
    for (const seed of SEEDS) {
      const line = { rttMs: 80, fullAt: 40, told: false, noise: 0.1, seed };
      expect(transfer(line, 20).mean(6)).toBeGreaterThan(0.9);
    }
  });

  it('keeps to the numbers that it was given', () => {
    const line = { rttMs: 200, fullAt: 100 };
    expect(transfer({ ...line, streams: { minimum: 6, maximum: 6 } }, 10).count).toBe(6);
    expect(transfer({ ...line, streams: { initial: 2, maximum: 24, scaling: 1.5 } }, 20).count).toBe(24);
  });

  it('says nothing while there is nothing to judge', () => {
    const settings = sessionSettings({ trust: PLAIN });
    let nowMs = 0;
    const clock = { nowMs: () => nowMs, steadyMs: () => nowMs };
    const streams = { wanted: 4, active: 4 };
    for (const [hungry, windowFull, rateLimit] of [
      [false, false, undefined],
      [true, true, undefined],
      [true, false, 1e6],
    ] as const) {
      const outbox = { takenBytes: 0, hungry, windowFull, hedge: { minRttMs: 0 } };
      const count = new StreamCount({ settings: { ...settings, clock, rateLimit }, streams, outbox, maximum: 64 });
      for (const endMs = nowMs + 10_000; nowMs < endMs; nowMs += TICK_MS) expect(count.look([])).toBeUndefined();
    }
    expect(streams.wanted).toBe(4);
  });
});
