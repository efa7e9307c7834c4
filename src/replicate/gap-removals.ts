/**
 * When a prune at the source has dropped the newest checkpoint of the replica, the next kept one does not say what was
 * removed in between of what had come in between: a removal with nothing older of its path is left out. So whatever came
 * here since the last checkpoint that both keep, and is not in the next one, is asked for by name.
 */
import type { BytePath } from '../core/core.js';
import type { Version } from '../format/format.js';
import type { Store } from '../store/store.js';
import { decodeAlive, encodePaths, PATHS_MAX } from './blob-messages.js';

const BYTES_AT_ONCE = 512 << 10;

export class GapRemovals {
  readonly #candidates: Set<BytePath>;

  private constructor(candidates: Set<BytePath>) {
    this.#candidates = candidates;
  }

  /** @param base sequence of the last checkpoint that both sides keep; 0 for none */
  static async since(store: Store, base: number): Promise<GapRemovals> {
    const candidates = new Set<BytePath>();
    if (base === 0) {
      for await (const batch of store.entries()) for (const { path } of batch) candidates.add(path);
      return new GapRemovals(candidates);
    }
    for await (const { sequence } of store.checkpoints()) {
      if (sequence <= base) break;
      for (const { path } of await store.changes(sequence)) candidates.add(path);
    }
    const paths = [...candidates];
    const heads = await store.heads(paths);
    for (const [index, path] of paths.entries()) if (!heads[index]) candidates.delete(path);
    return new GapRemovals(candidates);
  }

  /** What the next checkpoint says something of needs no question. */
  seen(versions: readonly Version[]): void {
    for (const { path } of versions) this.#candidates.delete(path);
  }

  /** Paths that are not there any more at a checkpoint of the source. */
  async removed(sequence: number, ask: (question: Buffer) => Promise<Buffer>): Promise<BytePath[]> {
    const removed: BytePath[] = [];
    let group: BytePath[] = [];
    let bytes = 0;
    const look = async (): Promise<void> => {
      const alive = decodeAlive(await ask(encodePaths(sequence, group)), group.length);
      for (const [index, path] of group.entries()) if (!alive[index]) removed.push(path);
      group = [];
      bytes = 0;
    };
    for (const path of this.#candidates) {
      group.push(path);
      bytes += path.length + 3;
      if (group.length >= PATHS_MAX || bytes >= BYTES_AT_ONCE) await look();
    }
    if (group.length > 0) await look();
    return removed;
  }
}
