/** Connections that have not said yet what they are. There is room for so many; then the one that is silent longest makes room. */

/** A quarter of the connections, or this many where that is more. */
const CROWD_MIN = 256;

export class Crowd {
  readonly #most: number;
  readonly #onFull: () => void;
  /** What ends each, the oldest first. */
  readonly #ends = new Set<() => void>();

  /** @param onFull told of each that has to go */
  constructor(most: number, onFull: () => void) {
    this.#most = most;
    this.#onFull = onFull;
  }

  /** Counts a connection, until what it gives is called: when it is known, or over. */
  join(end: () => void): () => void {
    this.#ends.add(end);
    const [oldest] = this.#ends;
    if (this.#ends.size > this.#most && oldest !== undefined) {
      this.#ends.delete(oldest);
      this.#onFull();
      oldest();
    }
    return () => void this.#ends.delete(end);
  }

  /** Ends all. */
  end(): void {
    for (const end of [...this.#ends]) end();
    this.#ends.clear();
  }
}

/** So many of all connections may not have greeted: strangers must not take the places of those that are known. */
export function crowdMax(connectionsMax: number): number {
  return Math.min(Math.ceil(connectionsMax / 2), Math.max(CROWD_MIN, Math.ceil(connectionsMax / 4)));
}
