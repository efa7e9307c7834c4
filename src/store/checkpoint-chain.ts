/** Each checkpoint names the record of the one before it: whoever cuts one out, or puts another in its place, is seen. */
import type { Digest, PruneRecord } from '../format/format.js';
import type { ReplayedCheckpoint } from './replay.js';
import type { DamageReport } from './types.js';

const NONE = Buffer.alloc(32);

export class CheckpointChain {
  readonly #prune: PruneRecord | null;
  #before: Digest = NONE;

  /** @param prune the newest one that is sealed: what it wrote is a chain of its own */
  constructor(prune: PruneRecord | null) {
    this.#prune = prune;
  }

  /** What is wrong with the place of the next checkpoint; null when it follows the one before. */
  add({ checkpoint, digest, previous }: ReplayedCheckpoint): DamageReport | null {
    const follows = previous.equals(this.#before);
    // A prune gives its last checkpoint another record: the next commit names the one that it replaced.
    this.#before = this.#prune?.sequence === checkpoint.sequence ? this.#prune.digest : digest;
    if (follows) return null;
    const message = 'it does not follow the checkpoint before it: one in between is missing, or was replaced';
    return { kind: 'checkpoint', where: `checkpoint ${checkpoint.sequence}`, message, affected: [] };
  }
}
