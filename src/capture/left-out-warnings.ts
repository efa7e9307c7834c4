/** Warnings about what is left out: each entry once for each reason, and not too many of them. */
import type { Logger } from '../core/core.js';
import type { CaptureSkip } from './types.js';

/** Entries of each kind that are named. */
const NAMED_MAX = 20;

interface Told {
  readonly named: Set<string>;
  /** Largest number of others that was told. */
  others: number;
}

export class LeftOutWarnings {
  readonly #logger: Logger;
  readonly #told = new Map<CaptureSkip['kind'], Told>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Names the first 20 of each kind; of others only how many there are, and again when they are twice as many. */
  tell(skipped: readonly CaptureSkip[]): void {
    const others = new Map<Told, { readonly kind: string; count: number }>();
    for (const { path, kind, reason } of skipped) {
      // Taken a moment later: that it moves is no news.
      if (kind === 'unsettled') continue;
      const told = this.#toldOf(kind);
      const key = `${reason}\0${path}`;
      if (told.named.has(key)) continue;
      if (told.named.size < NAMED_MAX) {
        told.named.add(key);
        this.#logger.warn({ path, reason }, 'left out of the checkpoints');
      } else {
        const other = others.get(told) ?? { kind, count: 0 };
        other.count += 1;
        others.set(told, other);
      }
    }
    for (const [told, { kind, count }] of others) {
      if (count < 2 * told.others) continue;
      told.others = count;
      this.#logger.warn({ kind, entries: count }, 'more entries are left out than those named');
    }
  }

  #toldOf(kind: CaptureSkip['kind']): Told {
    const told = this.#told.get(kind) ?? { named: new Set(), others: 0 };
    this.#told.set(kind, told);
    return told;
  }
}
