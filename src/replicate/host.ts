/** A store that others may pull from and push to. */
import { DiffKeeperError, type Logger, silentLogger, throwIfAborted } from '../core/core.js';
import type { Store } from '../store/store.js';
import type { Session } from '../transport/transport.js';
import { Giver } from './giver.js';
import { decodeHello, VERB } from './protocol.js';
import { encodeReport } from './push-pull.js';
import { Taker } from './taker.js';
import type { SyncReport } from './types.js';

/** Who is silent for so long, when another session of the same name comes, is taken for gone. */
const ANSWER_MS = 2000;

export interface HostOptions {
  readonly logger?: Logger;
  /** Told when a peer has pushed something. */
  readonly onPushed?: (peer: string, report: SyncReport) => void;
}

/** Serves one store to many sessions; one of them at a time may push. */
export class StoreHost {
  readonly #store: Store;
  readonly #logger: Logger;
  readonly #options: HostOptions;
  /** Who pushes. */
  #writer: Session | null = null;
  #work: Promise<unknown> = Promise.resolve();

  constructor(store: Store, options: HostOptions = {}) {
    this.#store = store;
    this.#logger = options.logger ?? silentLogger;
    this.#options = options;
  }

  /** Serves a session until it ends. To be called before anything is asked. */
  attach(session: Session): void {
    const { peer } = session;
    Giver.attach(this.#store, session);
    const taker = new Taker(this.#store, session, this.#logger);
    session.onRequest(VERB.advance, async (body, { signal }) => {
      const hello = decodeHello(body);
      if (peer.rights === 'read') throw refused(peer.name, 'push');
      if (hello.takeOver && peer.rights !== 'admin') throw refused(peer.name, 'take over from another writer');
      await this.#claim(session, signal);
      const work = this.#work.then(() => taker.run(hello, peer.name, { signal, logger: this.#logger }));
      this.#work = work.catch(() => {});
      const report = await work;
      if (report.checkpoints > 0) this.#options.onPushed?.(peer.name, report);
      return encodeReport(report);
    });
    const ended = (): void => {
      this.#work = this.#work.then(() => taker.idle());
      if (this.#writer === session) this.#writer = null;
    };
    session.closed.then(ended, ended);
  }

  /** A session that has pushed is the writer until it ends. @throws DK_REPLICA, DK_ABORTED when it ended meanwhile */
  async #claim(session: Session, signal: AbortSignal): Promise<void> {
    for (let before = this.#writer; before !== null && before !== session; before = this.#writer) {
      const { name } = before.peer;
      // After a cut nobody knows of, the same writer comes again while its old session still seems to live.
      if (name !== session.peer.name || (await answers(before))) {
        throw new DiffKeeperError('DK_REPLICA', `${name} writes to this replica at the moment`, { name });
      }
      throwIfAborted(signal);
      // Another session may have taken its place meanwhile: then that one is asked, too.
      if (this.#writer !== before) continue;
      this.#writer = session;
      before.destroy(new DiffKeeperError('DK_CONNECTION', 'a newer session of the same writer took its place'));
    }
    this.#writer = session;
  }

  /** Resolves when nothing is being written: then the store may be closed. */
  async idle(): Promise<void> {
    await this.#work;
  }
}

/** Whether the other side of a session is there. */
async function answers(session: Session): Promise<boolean> {
  try {
    await session.request(VERB.hello, Buffer.alloc(0), { signal: AbortSignal.timeout(ANSWER_MS) });
    return true;
  } catch {
    return false;
  }
}

function refused(name: string, what: string): DiffKeeperError {
  return new DiffKeeperError('DK_REFUSED', `${name} may not ${what} here`, { name });
}
