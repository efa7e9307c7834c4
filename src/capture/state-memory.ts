/** What a session knows about the state directory between two captures. */
import type { BytePath } from '../core/core.js';
import type { StatIndex } from '../engine/engine.js';
import type { Store } from '../store/store.js';
import { LinkGroups } from './link-groups.js';

export class StateMemory {
  readonly #store: Store;
  index: StatIndex;
  /** The index knows every entry of the store: what it does not report is unchanged. */
  primed = false;
  readonly links = new LinkGroups();
  /** Newest checkpoint that the index describes; -1 without one. */
  sequence = -1;
  #generation: bigint;
  /** Entries that the store may have but the index does not: checked for removal at each full scan. */
  readonly unindexed = new Set<BytePath>();
  /**
   * Files that were mapped for writing at the last capture which asked. A store to a page that is dirty already moves no
   * time and raises no event, so what came after their bytes were taken, up to the end of the mapping, shows in nothing.
   */
  mapped: ReadonlySet<BytePath> = new Set();

  constructor(store: Store) {
    this.#store = store;
    this.#generation = store.mended.generation;
    this.index = store.engine.createStatIndex();
  }

  /** Whether somebody else added a checkpoint, so that the index describes an older one, or content was found lost. */
  get outdated(): boolean {
    return this.newestSequence !== this.sequence || this.#store.mended.generation !== this.#generation;
  }

  /** Whether the index may be kept for the next session. One that does not know everything would be taken for one that does. */
  get whole(): boolean {
    return this.primed && this.unindexed.size === 0 && !this.outdated;
  }

  get newestSequence(): number {
    return this.#store.newest?.sequence ?? -1;
  }

  /** Forgets everything: the next capture compares contents. */
  reset(): void {
    this.index = this.#store.engine.createStatIndex();
    this.primed = false;
    this.unindexed.clear();
    this.sequence = this.newestSequence;
    this.#generation = this.#store.mended.generation;
  }
}
