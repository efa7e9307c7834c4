/** Signs of life that one side asks for, and how long they take. They are answered in turn. */
import type { Clock, DiffKeeperError } from '../core/core.js';
import { FRAME } from './frame.js';

interface Waiting {
  readonly askedMs: number;
  resolve(ms: number): void;
  reject(reason: DiffKeeperError): void;
}

export class Pings {
  readonly #send: (type: typeof FRAME.ping | typeof FRAME.pong) => void;
  readonly #clock: Clock;
  /** In the order of asking; undefined: nobody waits for it. */
  readonly #asked: (Waiting | undefined)[] = [];

  constructor(clock: Clock, send: (type: typeof FRAME.ping | typeof FRAME.pong) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Asks, and waits for nothing. */
  ask(): void {
    this.#asked.push(undefined);
    this.#send(FRAME.ping);
  }

  /** Milliseconds until the other side has answered. */
  measure(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#asked.push({ askedMs: this.#clock.steadyMs(), resolve, reject });
      this.#send(FRAME.ping);
    });
  }

  /** The other side asks. */
  answer(): void {
    this.#send(FRAME.pong);
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
