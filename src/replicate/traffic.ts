/** What the sessions of followers do on the wire, all together. */
import { isDiffKeeperError } from '../core/core.js';
import { type Session, SessionSums, type TransportTotals } from '../transport/transport.js';

export class Traffic {
  readonly #sums = new SessionSums();
  readonly #open = new Set<Session>();
  #reconnects = 0;

  /** Gives how a follower connects, counted: failures by code, and each session after its first as one that replaced another. */
  counted(connect: (signal: AbortSignal) => Promise<Session>): (signal: AbortSignal) => Promise<Session> {
    let before = false;
    return async (signal) => {
      try {
        const session = await connect(signal);
        this.#watch(session);
        if (before) this.#reconnects += 1;
        before = true;
        return session;
      } catch (error) {
        if (!signal.aborted) this.#sums.failed(isDiffKeeperError(error) ? error.code : 'DK_IO');
        throw error;
      }
    };
  }

  #watch(session: Session): void {
    this.#sums.watch(session);
    this.#open.add(session);
    const gone = (): void => {
      this.#open.delete(session);
    };
    session.closed.then(gone, gone);
  }

  get totals(): TransportTotals {
    return this.#sums.totals([...this.#open], this.#reconnects, new Map());
  }
}
