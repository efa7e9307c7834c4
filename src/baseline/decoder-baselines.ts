/** The baselines and dictionaries of a decoder. */
import { DiffKeeperError } from '../core/core.js';
import { type MemoryReference, type Reference, ReferenceCopy } from './reference.js';
import { ReferenceTable } from './reference-table.js';
import type { StateHead } from './state-message.js';
import type { DecoderSettings } from './state-settings.js';
import { storedReference } from './stored-reference.js';

/** Takes the segments of a state that becomes a baseline. */
export interface StateTaker {
  append(segment: Uint8Array, groups: Uint8Array): Promise<void>;
  finish(digest: Buffer): Promise<void>;
  abandon(): Promise<void>;
}

/** Dictionaries remembered over all classes; the least recently used goes. */
const DICTIONARIES_MAX = 64;

export class DecoderBaselines {
  readonly #settings: DecoderSettings;
  readonly #table: ReferenceTable;
  readonly #dictionaries = new Map<string, Buffer>();

  constructor(settings: DecoderSettings) {
    this.#settings = settings;
    const { memoryBytesMax, baselinesPerKey } = settings;
    this.#table = new ReferenceTable({ memoryBytesMax, perKey: baselinesPerKey });
  }

  metrics(): {
    readonly baselineCount: number;
    readonly baselineMemoryBytes: number;
    readonly baselinesEvicted: number;
  } {
    const { count, memoryBytes, evicted } = this.#table;
    return { baselineCount: count, baselineMemoryBytes: memoryBytes, baselinesEvicted: evicted };
  }

  /** The reference with this digest. Throws DK_BASELINE_MISSING, DK_BASELINE_MISMATCH. */
  async find(key: string, wanted: { readonly id: number; readonly digest: Buffer }): Promise<Reference> {
    const held = this.#table.use(key, this.#settings.clock.steadyMs()).map(({ reference }) => reference);
    const known = held.find(({ digest }) => digest.equals(wanted.digest));
    if (known !== undefined) return known;
    const stored = await this.#settings.store?.load(key);
    if (stored?.digest.equals(wanted.digest)) {
      const reference = storedReference(stored);
      this.#table.put(key, reference, this.#settings.clock.steadyMs());
      return reference;
    }
    const other = held[0]?.digest ?? stored?.digest;
    const expected = wanted.digest.toString('hex');
    const facts = { key, baselineId: wanted.id, expected };
    if (other === undefined) {
      throw new DiffKeeperError('DK_BASELINE_MISSING', `no baseline of ${key} is here; ${wanted.id} is needed`, facts);
    }
    throw new DiffKeeperError(
      'DK_BASELINE_MISMATCH',
      `the baseline of ${key} is another one than the delta was made against (${wanted.id}, ${expected})`,
      { ...facts, actual: other.toString('hex') },
    );
  }

  async take(head: StateHead): Promise<StateTaker> {
    const { key, baselineId: id = 0, segmentBytes, stateBytes } = head;
    const { memoryBytesMax, store, clock } = this.#settings;
    const copy = new ReferenceCopy({ segmentBytes, stateBytes, bytesMax: memoryBytesMax });
    // Only full states go to the store: every state of a `previous` chain would be a commit of its own.
    const writer = head.source === undefined ? await store?.begin(key) : undefined;
    return {
      append: async (segment, groups) => {
        await copy.append(segment, groups, false);
        await writer?.write(segment);
      },
      finish: async (digest) => {
        await writer?.commit({ id, digest, segmentBytes });
        const reference: MemoryReference | Reference | undefined =
          copy.finish(id, digest) ?? (await this.#stored(key, digest));
        if (reference !== undefined) this.#table.put(key, reference, clock.steadyMs());
      },
      abandon: async () => writer?.abort(),
    };
  }

  async #stored(key: string, digest: Buffer): Promise<Reference | undefined> {
    const stored = await this.#settings.store?.load(key);
    return stored?.digest.equals(digest) ? storedReference(stored) : undefined;
  }

  learn(keyClass: string, id: number, bytes: Uint8Array): void {
    const name = `${id} ${keyClass}`;
    this.#dictionaries.delete(name);
    this.#dictionaries.set(name, Buffer.from(bytes));
    if (this.#dictionaries.size > DICTIONARIES_MAX) {
      this.#dictionaries.delete(this.#dictionaries.keys().next().value as string);
    }
  }

  /** Throws DK_DICTIONARY_MISSING. */
  dictionary(head: StateHead, id: number): Buffer {
    const name = `${id} ${head.keyClass}`;
    const bytes = this.#dictionaries.get(name);
    if (bytes === undefined) {
      throw new DiffKeeperError('DK_DICTIONARY_MISSING', `dictionary ${id} of class ${head.keyClass} is not here`, {
        key: head.key,
        name: head.keyClass,
        expected: id,
      });
    }
    this.#dictionaries.delete(name);
    this.#dictionaries.set(name, bytes);
    return bytes;
  }

  prune(): number {
    const now = this.#settings.clock.steadyMs();
    return this.#table.removeWhere(({ usedMs }) => now - usedMs >= this.#settings.pruneIntervalMs);
  }

  clear(): void {
    this.#table.removeWhere(() => true);
    this.#dictionaries.clear();
  }
}
