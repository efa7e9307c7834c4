/** What others come in by that nobody asked for by name: the control socket in the store, and the one for reading it. */
import type { Logger } from '../core/core.js';
import { type Sharing, type Store, shareStore } from '../store/store.js';
import type { ControlPanel } from './control-panel.js';

/** A recover or a first capture that takes longer than this can be asked how it is, ms. */
const PATIENCE_MS = 100;

export class Doors {
  readonly #store: Store;
  readonly #panel: ControlPanel;
  readonly #logger: Logger;
  readonly #late: NodeJS.Timeout;
  #opening: Promise<void> | undefined;
  #sharing: Sharing | null = null;

  /**
   * They open in a moment, whatever happens until then, or when `open` is called: the application is started first,
   * which needs none of them.
   */
  constructor(store: Store, panel: ControlPanel, logger: Logger) {
    this.#store = store;
    this.#panel = panel;
    this.#logger = logger;
    this.#late = setTimeout(() => void this.open(), PATIENCE_MS);
  }

  /** Opens what is not open yet; resolves when all is. Never rejects: a run goes on without. */
  open(): Promise<void> {
    clearTimeout(this.#late);
    this.#opening ??= this.#openNow();
    return this.#opening;
  }

  async #openNow(): Promise<void> {
    const panel = this.#panel;
    await panel.openUsual();
    try {
      const tag = async (text: string, descriptor: number) => (await panel.capture(text, descriptor)).checkpoint;
      this.#sharing = await shareStore(this.#store, { logger: this.#logger, tag });
    } catch (error) {
      this.#logger.debug({ error: String(error) }, 'other processes cannot read the store');
    }
  }

  /** Nothing opens from now on, and what has been opened for reading is closed. */
  async close(): Promise<void> {
    clearTimeout(this.#late);
    this.#opening ??= Promise.resolve();
    await this.#opening;
    await this.#sharing?.close();
  }
}
