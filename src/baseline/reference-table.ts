/** Which references there are: bounded in memory, least recently used first to go. Touches no clock of its own. */
import type { Logger } from '../core/core.js';
import type { Reference } from './reference.js';

/** What the rules of age and count go by. In a chain of previous states it is the life of the whole chain. */
export interface BaselineLife {
  /** Of the baseline, or of the start of its chain. */
  readonly digest: Buffer;
  /** Steady milliseconds. */
  readonly createdMs: number;
  /** Deltas made against it, or in its chain. */
  deltas: number;
}

export interface HeldReference {
  readonly key: string;
  readonly reference: Reference;
  readonly life: BaselineLife;
  /** Steady milliseconds. */
  usedMs: number;
}

/**
 * What an entry takes beside the bytes of the reference itself and its key: measured 1.0 to 1.2 KB of V8's heap for digest, life,
 * lists and maps; the rest is for two pieces of memory outside of it, which cost more than they hold.
 */
const ENTRY_BYTES = 1536;

/** Strings have up to two bytes per character. */
function bytesOf(key: string, reference: Reference): number {
  return reference.memoryBytes + ENTRY_BYTES + 2 * key.length;
}

export class ReferenceTable {
  /** Oldest use first: every use moves a key to the end. */
  readonly #keys = new Map<string, HeldReference[]>();
  readonly #memoryBytesMax: number;
  readonly #perKey: number;
  readonly #logger: Logger;
  #memoryBytes = 0;
  #count = 0;
  #evicted = 0;

  constructor(options: { readonly memoryBytesMax: number; readonly perKey: number; readonly logger: Logger }) {
    this.#memoryBytesMax = options.memoryBytesMax;
    this.#perKey = options.perKey;
    this.#logger = options.logger;
  }

  get memoryBytes(): number {
    return this.#memoryBytes;
  }

  get count(): number {
    return this.#count;
  }

  /** References that went because of the memory bound. */
  get evicted(): number {
    return this.#evicted;
  }

  keys(): readonly string[] {
    return [...this.#keys.keys()];
  }

  /** References of a key, the one that came last first, without counting as a use. */
  peek(key: string): readonly HeldReference[] {
    return this.#keys.get(key) ?? [];
  }

  /** As `peek`, and the key counts as used. */
  use(key: string, nowMs: number): readonly HeldReference[] {
    const held = this.#keys.get(key);
    if (held === undefined) return [];
    this.#keys.delete(key);
    this.#keys.set(key, held);
    for (const one of held) one.usedMs = nowMs;
    return held;
  }

  /**
   * Adds a reference as the newest use; one of the same id is replaced. False when it alone is too large. The key keeps
   * those that came last, whatever their ids: after a restart an encoder may count from below those of its former life.
   * @param use `life`: default one that begins now
   */
  put(key: string, reference: Reference, use: { readonly nowMs: number; readonly life?: BaselineLife }): boolean {
    const { nowMs, life = { digest: reference.digest, createdMs: nowMs, deltas: 0 } } = use;
    const others = this.peek(key).filter((one) => one.reference.id !== reference.id);
    this.remove(key);
    const fits = bytesOf(key, reference) <= this.#memoryBytesMax;
    if (!fits) this.notKept(key, reference.stateBytes);
    const fresh: HeldReference[] = fits ? [{ key, reference, life, usedMs: nowMs }] : [];
    const held = [...fresh, ...others].slice(0, this.#perKey);
    for (const one of held) this.#add(one);
    const evicted = this.#evicted;
    this.#shrink(key);
    if (this.#evicted > evicted) {
      this.#logger.debug({ key, count: this.#evicted - evicted }, 'baselines were evicted for a newer one');
    }
    return fits;
  }

  /** Says that a state is too large to be a baseline. */
  notKept(key: string, stateBytes: number): void {
    this.#logger.warn(
      { key, stateBytes, memoryBytesMax: this.#memoryBytesMax },
      'a state is too large to be kept as a baseline',
    );
  }

  remove(key: string): boolean {
    const held = this.#keys.get(key);
    if (held === undefined) return false;
    for (const one of held) {
      this.#memoryBytes -= bytesOf(key, one.reference);
      this.#count -= 1;
    }
    return this.#keys.delete(key);
  }

  /** Removes keys all of whose references match; returns how many keys went. */
  removeWhere(matches: (held: HeldReference) => boolean): number {
    const gone = [...this.#keys.entries()].filter(([, held]) => held.every(matches)).map(([key]) => key);
    for (const key of gone) this.remove(key);
    return gone.length;
  }

  #add(held: HeldReference): void {
    const list = this.#keys.get(held.key);
    if (list === undefined) this.#keys.set(held.key, [held]);
    else list.push(held);
    this.#memoryBytes += bytesOf(held.key, held.reference);
    this.#count += 1;
  }

  /** Older references of the same key go first, then the keys that were not used for longest. */
  #shrink(newest: string): void {
    while (this.#memoryBytes > this.#memoryBytesMax) {
      const oldest = this.#keys.keys().next().value;
      if (oldest === undefined) return;
      const own = this.#keys.get(newest);
      if (own !== undefined && own.length > 1) {
        const gone = own.pop() as HeldReference;
        this.#memoryBytes -= bytesOf(newest, gone.reference);
        this.#count -= 1;
        this.#evicted += 1;
        continue;
      }
      this.#evicted += this.#keys.get(oldest)?.length ?? 0;
      this.remove(oldest);
    }
  }
}
