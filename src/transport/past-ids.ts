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
    // Numbers that never came, of blobs that were given up before they were sent.
    const [lowest = this.#floor] = [...this.#above].sort((left, right) => left - right);
    this.#floor = lowest;
    while (this.#above.delete(this.#floor)) this.#floor += 1;
  }
}
