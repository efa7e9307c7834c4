/** Who reads through this process: each with the metadata of one moment, and a lease on the packs that it names. */
import type { MetaView } from './meta-view.js';

export interface OwnerView {
  readonly meta: MetaView;
  /** Gives everything back. May be called again. */
  end(): Promise<void>;
}

interface Held extends OwnerView {
  /** It cannot go on. */
  readonly stopped: () => void;
}

export class OwnerViews {
  readonly #views = new Set<Held>();
  #closeSharing: () => Promise<void> = async () => {};
  #replacing = 0;
  #replaced: Promise<void> = Promise.resolve();

  get replacing(): boolean {
    return this.#replacing > 0;
  }

  /** Resolves while the database is one that can be looked at. */
  async ready(): Promise<void> {
    while (this.#replacing > 0) await this.#replaced;
  }

  /** @param release the lease on the packs */
  add(meta: MetaView, release: () => void, stopped: () => void): OwnerView {
    let ending: Promise<void> | undefined;
    const view: Held = {
      meta,
      stopped,
      end: () => {
        ending ??= meta.close().finally(() => {
          this.#views.delete(view);
          release();
        });
        return ending;
      },
    };
    this.#views.add(view);
    return view;
  }

  /** Stops everybody, and lets nobody begin before the work is done: the database is opened anew or replaced. */
  async without<T>(work: () => Promise<T>): Promise<T> {
    this.#replacing += 1;
    const done = this.#stopAll().then(work);
    const over = done.then(
      () => {},
      () => {},
    );
    this.#replaced = Promise.all([this.#replaced, over]).then(() => {});
    try {
      return await done;
    } finally {
      this.#replacing -= 1;
    }
  }

  async #stopAll(): Promise<void> {
    const views = [...this.#views];
    for (const view of views) view.stopped();
    await Promise.all(views.map((view) => view.end()));
  }

  /** What lets readers in, to be ended before the store is closed; it takes the place of the one before. */
  async attach(close: () => Promise<void>): Promise<void> {
    const before = this.#closeSharing;
    this.#closeSharing = close;
    await before();
  }

  async close(): Promise<void> {
    await this.#closeSharing();
    await this.#stopAll();
  }
}
