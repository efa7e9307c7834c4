/** Time passed in, so that tests own it. */
export interface Clock {
  /** Wall clock in milliseconds since 1970 (UTC). May jump. */
  nowMs(): number;
  /** Monotonic milliseconds from an arbitrary start. Never jumps. */
  steadyMs(): number;
}

const NS_PER_MS = 1e6;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  // Node loads a module for `performance`, which a program that has just started need not wait for.
  steadyMs: () => Number(process.hrtime.bigint()) / NS_PER_MS,
};
