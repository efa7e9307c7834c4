/** When checkpoints came, so that it is known how long one has been waiting, whoever asks and whenever. */

/** How often is looked for a new one: a comparison of two numbers. */
const LOOK_MS = 50;
/** More are thinned out: of a receiver that is away for long, the oldest one counts. */
const KNOWN_MAX = 1024;

export class Arrivals {
  readonly #newest: () => number;
  /** Ascending. */
  #known: { readonly sequence: number; readonly ms: number }[] = [];
  readonly #timer: NodeJS.Timeout;

  /** @param newest number of the newest checkpoint; 0: none */
  constructor(newest: () => number) {
    this.#newest = newest;
    this.#look();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** For how long the oldest checkpoint after this one has been there, ms; 0: there is none. */
  waitedMs(sequence: number): number {
    this.#look();
    const at = this.#known.findIndex((one) => one.sequence > sequence);
    // It only grows.
    this.#known.splice(0, at < 0 ? this.#known.length - 1 : at);
    const oldest = this.#known[0];
    return oldest === undefined || oldest.sequence <= sequence ? 0 : performance.now() - oldest.ms;
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const sequence = this.#newest();
    if (sequence <= (this.#known.at(-1)?.sequence ?? 0)) return;
    this.#known.push({ sequence, ms: performance.now() });
    if (this.#known.length > KNOWN_MAX) this.#known = this.#known.filter((_, at) => at % 2 === 0);
  }
}
