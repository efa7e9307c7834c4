/** Which records tell the history, once a prune has written it anew; see `docs/format.md`, section 10. */
import type { PruneRecord } from '../format/format.js';
import { isCompacted } from './pack-names.js';

export class HistoryView {
  readonly prune: PruneRecord | null;
  readonly #history: ReadonlySet<number>;
  readonly #retired: ReadonlySet<number>;

  /** @param prune the newest one that is sealed */
  constructor(prune: PruneRecord | null) {
    this.prune = prune;
    this.#history = new Set(prune?.history);
    this.#retired = new Set(prune?.retired);
  }

  /** Whether versions and checkpoints of this sequence in this pack are part of the history. */
  counts(pack: number, sequence: number): boolean {
    if (isCompacted(pack)) return this.#history.has(pack);
    return sequence > (this.prune?.sequence ?? 0);
  }

  /** The last pack of commits that is gone: all of those before it were committed to their end. 0 for none. */
  get lastGone(): number {
    return Math.max(0, ...[...this.#retired].filter((pack) => !isCompacted(pack)));
  }

  /** Whether nothing in this pack counts, blobs included: what it names may be gone. */
  isRetired(pack: number): boolean {
    return this.#retired.has(pack);
  }

  /** The packs to be read, in the order in which they tell the history. */
  order(packs: readonly number[]): number[] {
    const kept = packs.filter((pack) => !this.isRetired(pack));
    return [
      ...kept.filter((pack) => this.#history.has(pack)),
      ...kept.filter((pack) => isCompacted(pack) && !this.#history.has(pack)),
      ...kept.filter((pack) => !isCompacted(pack)),
    ];
  }
}
