/**
 * Files whose new bytes have nothing to do with the old ones, from one capture to the next: a segment of a log that is
 * written once more. To find that out anew each time takes longer than to code the bytes.
 */
import type { BytePath } from '../core/core.js';

/** Files remembered, the newest. */
const FILES_MAX = 256;
/** Captures after which it is found out anew, whatever was written meanwhile. */
const CAPTURES_MAX = 16;

/** What was found out when the bytes were coded with the older ones and without. */
export interface ContextWorth {
  /** Neither the older bytes nor compression made them smaller. */
  readonly incompressible: boolean;
  /** Changed bytes until it is to be found out anew. */
  readonly bytesLeft: number;
}

export class UnlikeFiles {
  readonly #known = new Map<BytePath, { readonly worth: ContextWorth; readonly captures: number }>();

  get size(): number {
    return this.#known.size;
  }

  /**
   * What is known of a file.
   *
   * @param path its name as of the version that it is compared with
   */
  of(path: BytePath): ContextWorth | undefined {
    return this.#known.get(path)?.worth;
  }

  /**
   * After a capture of this file.
   *
   * @param path its name now
   * @param before its name as of the version that it was compared with
   * @param worth undefined: older bytes help
   */
  note(path: BytePath, before: BytePath, worth: ContextWorth | undefined): void {
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
