/**
 * What was found out about the new bytes of a file, from one capture to the next: of a segment of a log that is written once
 * more, say, that they have nothing to do with the old ones. To find that out anew each time takes longer than to code them.
 */
import type { BytePath } from '../core/core.js';

/** Files remembered, the newest. */
const FILES_MAX = 256;
/** Captures after which it is found out anew, whatever was written meanwhile. */
const CAPTURES_MAX = 16;

interface Passing {
  /** Changed bytes until it is to be found out anew. */
  readonly bytesLeft: number;
}

/** What was found out when the bytes were coded with the older ones and without. */
export interface ContextWorth extends Passing {
  /** Neither the older bytes nor compression made them smaller. */
  readonly incompressible: boolean;
}

/** What was found out when the bytes were coded at the lowest level and at the usual one. */
export interface LevelWorth extends Passing {
  /** The lowest level does nearly as well. */
  readonly quick: boolean;
}

class FoundOut<Worth extends Passing> {
  readonly #known = new Map<BytePath, { readonly worth: Worth; readonly captures: number }>();

  get size(): number {
    return this.#known.size;
  }

  /**
   * What is known of a file.
   *
   * @param path its name as of the version that it is compared with
   */
  of(path: BytePath): Worth | undefined {
    return this.#known.get(path)?.worth;
  }

  /**
   * After a capture of this file.
   *
   * @param path its name now
   * @param before its name as of the version that it was compared with
   * @param worth undefined: there is nothing to be remembered
   */
  note(path: BytePath, before: BytePath, worth: Worth | undefined): void {
    const captures = (this.#known.get(before)?.captures ?? 0) + 1;
    this.#known.delete(before);
    this.#known.delete(path);
    if (!worth || worth.bytesLeft <= 0 || captures > CAPTURES_MAX) return;
    this.#known.set(path, { worth, captures });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= FILES_MAX) break;
      this.#known.delete(oldest);
    }
  }
}

/** Files whose new bytes have nothing to do with the old ones. */
export class UnlikeFiles extends FoundOut<ContextWorth> {}

/** Files of which it is known how much a level above the lowest gains. */
export class LevelFiles extends FoundOut<LevelWorth> {}
