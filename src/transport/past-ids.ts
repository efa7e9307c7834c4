/** Numbers that were used: a frame that was sent twice must not be taken for something new. */

/** Numbers are given in order and most are over soon: what is this far behind the newest counts as used. */
const SPAN = 1 << 16;

export class PastIds {
  /** All below are used. */
  #floor = 1;
  readonly #above = new Set<number>();

  has(id: number): boolean {
    return id < this.#floor || this.#above.has(id);
  }

  add(id: number): void {
    if (this.has(id)) return;
    this.#above.add(id);
    while (this.#above.delete(this.#floor)) this.#floor += 1;
    if (this.#above.size <= SPAN) return;
    // Numbers that never came, of blobs that were given up before they were sent. Half of them at once: putting them in
    // order for each further number would take all the time there is.
    const sorted = Float64Array.from(this.#above).sort();
    const half = sorted.length >> 1;
    for (const old of sorted.subarray(0, half)) this.#above.delete(old);
    this.#floor = sorted[half] as number;
    while (this.#above.delete(this.#floor)) this.#floor += 1;
  }
}
