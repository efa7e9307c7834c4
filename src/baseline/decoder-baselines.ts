/** The baselines and dictionaries of a decoder. */
import { DiffKeeperError } from '../core/core.js';
import { KeyUses } from './key-uses.js';
import type { MessageDictionaries } from './message-bounds.js';
import { type MemoryReference, type Reference, ReferenceCopy } from './reference.js';
import { ReferenceTable } from './reference-table.js';
import type { StateHead } from './state-message.js';
import type { DecoderSettings } from './state-settings.js';
import { StoredBaselines } from './stored-baselines.js';
import { type KeptBaseline, storedReference } from './stored-reference.js';

/** Takes the segments of a state that becomes a baseline. */
export interface StateTaker {
  /** Whether it makes a copy of each segment, which may as well be handed in. */
  readonly copies: boolean;
  append(segment: Uint8Array, groups: Uint8Array, copy?: Buffer): Promise<void>;
  finish(digest: Buffer): Promise<void>;
  abandon(): Promise<void>;
}

/** Dictionaries remembered over all classes; the least recently used goes. */
const DICTIONARIES_MAX = 64;

export class DecoderBaselines {
  readonly #settings: DecoderSettings;
  readonly #table: ReferenceTable;
  readonly #kept: StoredBaselines;
  readonly #dictionaries = new Map<string, Buffer>();
  readonly #uses: KeyUses;

  constructor(settings: DecoderSettings) {
    this.#settings = settings;
    const { memoryBytesMax, baselinesPerKey, store, logger } = settings;
    this.#table = new ReferenceTable({ memoryBytesMax, perKey: baselinesPerKey, logger });
    this.#kept = new StoredBaselines(store, logger);
    this.#uses = new KeyUses(settings.clock.steadyMs(), settings.pruneIntervalMs);
  }

  metrics(): {
    readonly baselineCount: number;
    readonly baselineMemoryBytes: number;
    readonly baselinesEvicted: number;
  } {
    const { count, memoryBytes, evicted } = this.#table;
    return { baselineCount: count, baselineMemoryBytes: memoryBytes, baselinesEvicted: evicted };
  }

  /** The reference with this digest that is at hand. */
  held(key: string, wanted: Wanted): Reference | undefined {
    return this.#held(key, this.#settings.clock.steadyMs()).find(({ digest }) => digest.equals(wanted.digest));
  }

  #held(key: string, now: number): readonly Reference[] {
    this.#uses.used(key, now);
    return this.#table
      .use(key, now)
      .map(({ reference }) => reference)
      .filter(({ digest }) => !this.#kept.damaged(key, digest));
  }

  /**
   * The reference with this digest. Throws DK_BASELINE_MISSING, also for one in the store whose bytes cannot be read, now or
   * when they are asked for; DK_BASELINE_MISMATCH; DK_STORE_CLOSED.
   */
  async find(key: string, wanted: Wanted): Promise<Reference> {
    const now = this.#settings.clock.steadyMs();
    const held = this.#held(key, now);
    const known = held.find(({ digest }) => digest.equals(wanted.digest));
    if (known !== undefined) return known;
    const stored = await this.#kept.load(key);
    if (stored?.digest.equals(wanted.digest)) {
      const reference = readable(key, stored);
      this.#table.put(key, reference, { nowMs: now });
      return reference;
    }
    const other = held[0]?.digest ?? stored?.digest;
    if (other === undefined) throw missing(key, wanted);
    const expected = wanted.digest.toString('hex');
    throw new DiffKeeperError(
      'DK_BASELINE_MISMATCH',
      `the baseline of ${key} is another one than the delta was made against (${wanted.id}, ${expected})`,
      { key, baselineId: wanted.id, expected, actual: other.toString('hex') },
    );
  }

  async take(head: StateHead): Promise<StateTaker> {
    const { key, baselineId: id = 0, segmentBytes, stateBytes } = head;
    const { memoryBytesMax, clock, engine } = this.#settings;
    this.#uses.used(key, clock.steadyMs());
    const copy = new ReferenceCopy({
      engine,
      kind: head.digestKind,
      segmentBytes,
      stateBytes,
      bytesMax: memoryBytesMax,
    });
    // Only full states go to the store: every state of a `previous` chain would be a commit of its own.
    const writer = head.source === undefined ? await this.#kept.begin(key) : undefined;
    return {
      copies: copy.apart,
      append: async (segment, groups, made) => {
        await copy.append(segment, groups, { owned: false, copy: made });
        await writer?.write(segment);
      },
      finish: async (digest) => {
        await writer?.commit({ id, digest, segmentBytes, madeMs: Math.max(0, Math.floor(clock.nowMs())) });
        const reference: MemoryReference | Reference | undefined =
          copy.finish(id, digest) ?? (await this.#stored(key, digest));
        if (reference === undefined) this.#table.notKept(key, stateBytes ?? 0);
        else this.#table.put(key, reference, { nowMs: clock.steadyMs() });
      },
      abandon: async () => writer?.abort(),
    };
  }

  async #stored(key: string, digest: Buffer): Promise<Reference | undefined> {
    const stored = await this.#kept.load(key);
    return stored?.digest.equals(digest) ? readable(key, stored) : undefined;
  }

  /** The dictionaries of a message that is verified. */
  learn(keyClass: string, dictionaries: MessageDictionaries): void {
    for (const [id, bytes] of dictionaries.entries()) {
      const name = `${id} ${keyClass}`;
      this.#dictionaries.delete(name);
      this.#dictionaries.set(name, bytes);
      if (this.#dictionaries.size > DICTIONARIES_MAX) {
        this.#dictionaries.delete(this.#dictionaries.keys().next().value as string);
      }
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

  /** Drops what was not used for the interval, from the store, too. Returns how many keys went from memory. */
  prune(): number {
    const { clock, pruneIntervalMs } = this.#settings;
    const now = clock.steadyMs();
    const except = this.#uses.recent(now);
    if (except !== undefined) this.#kept.sweep({ beforeMs: clock.nowMs() - pruneIntervalMs, except });
    return this.#table.removeWhere(({ usedMs }) => now - usedMs >= pruneIntervalMs);
  }

  async clear(): Promise<void> {
    await this.#kept.idle();
    this.#table.removeWhere(() => true);
    this.#dictionaries.clear();
  }
}

interface Wanted {
  readonly id: number;
  readonly digest: Buffer;
}

function missing(key: string, { id, digest }: Wanted): DiffKeeperError {
  return new DiffKeeperError('DK_BASELINE_MISSING', `no baseline of ${key} is here; ${id} is needed`, {
    key,
    baselineId: id,
    expected: digest.toString('hex'),
  });
}

/** Bytes that turn out damaged when they are read are missing like a baseline that was never here. */
function readable(key: string, stored: KeptBaseline): Reference {
  return {
    ...storedReference(stored),
    read: async (offset, length) => {
      const bytes = await stored.read(offset, length);
      if (bytes === undefined) throw missing(key, stored);
      return bytes;
    },
  };
}
