/**
 * Our own garbage: a collection that comes due while the application stands still lengthens that by 10 to 20 ms, so it
 * is done at another time. What counts is memory outside of V8's heap: 32 MB more of it, and V8 begins to collect.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Less has hardly any share in when V8 collects by itself, bytes. */
const WORTH_BYTES = 8 << 20;

/** Node's own, where the process was started with it; else V8 gives it to contexts made while the flag is set, for good. */
function collector(): () => void {
  if (globalThis.gc) return globalThis.gc;
  setFlagsFromString('--expose-gc');
  try {
    return runInNewContext('gc') as () => void;
  } finally {
    setFlagsFromString('--no-expose-gc');
  }
}

export class Heap {
  readonly #on: boolean;
  #collector: (() => void) | undefined;
  /** Memory outside of the heap after the last collection, bytes. */
  #left = 0;

  /** `on`: false leaves everything to V8. */
  constructor(on: boolean) {
    this.#on = on;
  }

  /** Collects all garbage now: about 10 ms for the heap of a program that does nothing but this. */
  collect(): void {
    this.#collector ??= collector();
    this.#collector();
    this.#left = process.memoryUsage().external;
  }

  /** After a freeze point that read so many bytes: the next one finds nothing to collect. */
  afterFreeze(readBytes: number): void {
    if (this.#on && readBytes >= WORTH_BYTES) this.collect();
  }

  /** Before a freeze point: only if much was read since, for what is freed right now still keeps the processor busy. */
  beforeFreeze(): void {
    if (this.#on && process.memoryUsage().external - this.#left >= WORTH_BYTES) this.collect();
  }
}
