/** Time passed in, so that tests own it. */
export interface Clock {
  /** Wall clock in milliseconds since 1970 (UTC). May jump. */
  nowMs(): number;
  /** Monotonic milliseconds from an arbitrary start. Never jumps. */
  steadyMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  steadyMs: () => performance.now(),
};
