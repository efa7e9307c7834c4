/** Signs of life that one side asks for, and how long they take. They are answered in turn. */
import type { Clock, DiffKeeperError } from '../core/core.js';

interface Waiting {
  readonly askedMs: number;
  resolve(ms: number): void;
  reject(reason: DiffKeeperError): void;
}

export class Pings {
  readonly #send: () => void;
  readonly #clock: Clock;
  /** In the order of asking; undefined: nobody waits for it. */
  readonly #asked: (Waiting | undefined)[] = [];

  constructor(clock: Clock, send: () => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Asks, and waits for nothing. */
  ask(): void {
    this.#asked.push(undefined);
    this.#send();
  }

  /** Milliseconds until the other side has answered. */
  measure(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ askedMs: this.#clock.steadyMs(), resolve, reject });
      this.#send();
    });
  }

  /** The other side has answered the oldest; one that nobody asked for is no harm. */
  answered(): void {
    const waiting = this.#asked.shift();
    waiting?.resolve(this.#clock.steadyMs() - waiting.askedMs);
  }

  fail(reason: DiffKeeperError): void {
    for (const waiting of this.#asked.splice(0)) waiting?.reject(reason);
  }
}
