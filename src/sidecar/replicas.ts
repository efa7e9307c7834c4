/** The receivers that each checkpoint of a run goes to. The application never waits for them. */
import type { Logger } from '../core/core.js';
import {
  type Follower,
  type FollowFigures,
  followCounted,
  type LinkOptions,
  Traffic,
  type TransportTotals,
} from '../replicate/replicate.js';
import type { Store } from '../store/store.js';

/** A receiver of every checkpoint. */
export interface ReplicaTarget {
  /** `tls://HOST:PORT`, or `tcp://HOST:PORT` on this machine. */
  readonly url: string;
  readonly link: LinkOptions;
}

/** When the run ends, what is new goes to the receivers for at most this long. */
const GRACE_MS = 5000;

export class Replicas {
  readonly #followers: readonly Follower[];
  readonly #traffic = new Traffic();

  /** @throws DK_CONFIG for a bad address */
  constructor(store: Store, targets: readonly ReplicaTarget[], logger: Logger) {
    this.#followers = targets.map(({ url, link }) =>
      followCounted(store, url, { link, logger, traffic: this.#traffic }),
    );
  }

  figures(): FollowFigures[] {
    return this.#followers.map((follower) => follower.figures());
  }

  /** What the sessions with all of them did. */
  get traffic(): TransportTotals {
    return this.#traffic.totals;
  }

  async close(): Promise<void> {
    await Promise.all(this.#followers.map((follower) => follower.close(GRACE_MS)));
  }
}
