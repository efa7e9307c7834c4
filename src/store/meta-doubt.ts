/** What a failed write leaves open until the metadata is opened again: what it holds, and whether its places are right. */
import { DiffKeeperError } from '../core/core.js';

export class MetaDoubt {
  /** The metadata batch failed: what LevelDB kept is unknown until it is opened again. */
  present = false;
  /** A pack may have been replaced, and the places in it are those of before: not even reading is safe. */
  misplaced = false;

  /** On half of the metadata nothing is written, and nothing is taken for needless. Throws DK_IO. */
  assertNone(): void {
    if (!this.present) return;
    throw new DiffKeeperError('DK_IO', 'the last metadata write failed: call `reopen` before writing again');
  }

  /** Throws DK_IO. */
  assertReadable(): void {
    if (!this.misplaced) return;
    throw new DiffKeeperError('DK_IO', 'a pack was replaced and the metadata could not follow: call `reopen`');
  }

  /** The metadata was opened or made anew. */
  clear(): void {
    this.present = false;
    this.misplaced = false;
  }
}
