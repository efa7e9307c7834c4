/** Requests for a capture that wait for their turn. */
import type { FlushRequest } from './watch-events.js';

export class FlushQueue {
  readonly #waiting: FlushRequest[] = [];

  get empty(): boolean {
    return this.#waiting.length === 0;
  }

  push(request: FlushRequest): void {
    this.#waiting.push(request);
  }

  /** Those that the next capture answers. A checkpoint carries one tag: the second request with one waits for another. */
  take(): FlushRequest[] {
    const first = this.#waiting.findIndex(({ tag }) => tag !== undefined);
    const second = this.#waiting.findIndex(({ tag }, i) => tag !== undefined && i > first);
    return this.#waiting.splice(0, second < 0 ? this.#waiting.length : second);
  }

  takeAll(): FlushRequest[] {
    return this.#waiting.splice(0);
  }
}
