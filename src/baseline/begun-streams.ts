/** Streams that somebody began: whoever leaves one unread must not hold up a close. */
import { DiffKeeperError } from '../core/core.js';

export class BegunStreams {
  readonly #what: string;
  /** Each ends one whose reader has a piece and did not ask for the next yet. */
  readonly #unread = new Set<() => Promise<void>>();
  #closed = false;

  /** @param what has the streams, for the error */
  constructor(what: string) {
    this.#what = what;
  }

  /** Pieces of `stream` as they come. Throws DK_STORE_CLOSED instead of the next one after `close`. */
  async *through<T, R>(stream: AsyncGenerator<T, R, undefined>): AsyncGenerator<T, R, undefined> {
    const end = async (): Promise<void> => {
      await stream.return(undefined as never);
    };
    try {
      for (;;) {
        if (this.#closed) throw new DiffKeeperError('DK_STORE_CLOSED', `the ${this.#what} is closed`);
        const { value, done } = await stream.next();
        if (done) return value;
        if (this.#closed) continue;
        this.#unread.add(end);
        try {
          yield value;
        } finally {
          this.#unread.delete(end);
        }
      }
    } finally {
      await end();
    }
  }

  /** Ends all that wait for their readers: what they held is given back when this resolves, whether or not they are read on. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#unread].map((end) => end()));
  }
}
