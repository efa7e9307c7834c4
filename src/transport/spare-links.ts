/**
 * Connections for the data streams, made while the control stream still shakes hands and greets: on a long way they can join as
 * soon as there is a session, instead of two round trips later.
 */
import { Link } from './link.js';
import type { SessionSettings } from './session-settings.js';
import { connectSocket, type Target } from './sockets.js';

/** A connection of its own, on which nothing was said yet. Throws what `connectSocket` does. */
export async function dialLink(settings: SessionSettings, target: Target): Promise<Link> {
  const link = new Link(settings);
  link.begin(await connectSocket(target, link));
  return link;
}

interface Spare {
  readonly made: Promise<Link | undefined>;
  readonly stop: AbortController;
}

export class SpareLinks {
  readonly #settings: SessionSettings;
  readonly #target: Target;
  readonly #spares: Spare[] = [];

  constructor(settings: SessionSettings, target: Target) {
    this.#settings = settings;
    this.#target = target;
  }

  /** Begins to make so many. Those that fail are not there: whoever needs one makes another, and learns why. */
  dial(count: number): void {
    for (let dialed = 0; dialed < count; dialed += 1) {
      const stop = new AbortController();
      const made = dialLink(this.#settings, { ...this.#target, signal: stop.signal }).catch(() => undefined);
      this.#spares.push({ made, stop });
    }
  }

  /** The next one, once it is there; undefined when there is none that can be used. `signal` ends it while it is made. */
  async take(signal: AbortSignal): Promise<Link | undefined> {
    const spare = this.#spares.shift();
    if (spare === undefined) return undefined;
    const onAbort = (): void => spare.stop.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    const link = await spare.made;
    signal.removeEventListener('abort', onAbort);
    return link?.phase === 'over' ? undefined : link;
  }

  /** Ends those that nobody took. */
  end(): void {
    for (const { made, stop } of this.#spares.splice(0)) {
      stop.abort();
      void made.then((link) => link?.destroy());
    }
  }
}
