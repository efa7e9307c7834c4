/** Which keys were used within an interval: more of them than there are baselines in memory. */

/** Keys that are remembered; beyond, it is not known for an interval which of the others were used. */
const KEYS_MAX = 65_536;

export class KeyUses {
  readonly #intervalMs: number;
  /** Oldest use first. Steady milliseconds. */
  readonly #uses = new Map<string, number>();
  /** All uses since then are known. */
  #knownFromMs: number;

  constructor(nowMs: number, intervalMs: number) {
    this.#knownFromMs = nowMs;
    this.#intervalMs = intervalMs;
  }

  used(key: string, nowMs: number): void {
    this.#uses.delete(key);
    this.#uses.set(key, nowMs);
    if (this.#uses.size <= KEYS_MAX) return;
    this.#uses.delete(this.#uses.keys().next().value as string);
    this.#knownFromMs = nowMs;
  }

  /** Keys used within the last interval; undefined as long as not all of them are known, as after a start. */
  recent(nowMs: number): readonly string[] | undefined {
    for (const [key, usedMs] of this.#uses) {
      if (nowMs - usedMs < this.#intervalMs) break;
      this.#uses.delete(key);
    }
    return nowMs - this.#knownFromMs >= this.#intervalMs ? [...this.#uses.keys()] : undefined;
  }
}
