/** The baselines of an encoder: rules of age, memory and use, and what is kept of a state that becomes one. */

import { MemoryReference, type Reference, ReferenceCopy } from './reference.js';
import { type HeldReference, ReferenceTable } from './reference-table.js';
import type { EncoderSettings } from './state-settings.js';
import { type BaselineWriter, type StoredBaseline, storedReference } from './stored-reference.js';

/** Takes the segments of a state that becomes a baseline. */
export interface BaselineTaker {
  append(segment: Uint8Array, groups: Uint8Array, owned: boolean): Promise<void>;
  /** Puts it into the place of the key's older one. */
  finish(id: number, digest: Buffer): Promise<void>;
  abandon(): Promise<void>;
}

export class EncoderBaselines {
  readonly #settings: EncoderSettings;
  readonly #table: ReferenceTable;
  #lastId: number;
  #prunedMs: number;

  constructor(settings: EncoderSettings) {
    this.#settings = settings;
    this.#table = new ReferenceTable({ memoryBytesMax: settings.memoryBytesMax, perKey: 1 });
    // Seconds: a restarted encoder goes on above the ids of its former life.
    this.#lastId = Math.floor(settings.clock.nowMs() / 1000);
    this.#prunedMs = settings.clock.steadyMs();
  }

  get table(): ReferenceTable {
    return this.#table;
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  /** The baseline of a key, from the store after a restart; its age counts from when it was loaded. */
  async find(key: string): Promise<HeldReference | undefined> {
    const now = this.#settings.clock.steadyMs();
    const held = this.#table.use(key, now)[0];
    if (held !== undefined) return held;
    const stored = await this.#settings.store?.load(key);
    if (stored === undefined) return undefined;
    this.#lastId = Math.max(this.#lastId, stored.id);
    this.#table.put(key, await this.#loaded(stored), now);
    return this.#table.peek(key)[0];
  }

  async #loaded(stored: StoredBaseline): Promise<Reference> {
    const { segmentBytes, stateBytes } = stored;
    const whole = this.#settings.keep === 'copy' && stateBytes <= this.#settings.memoryBytesMax / 2;
    if (!whole) return storedReference(stored);
    const pieces: Buffer[] = [];
    for (let at = 0; at < stateBytes; at += segmentBytes) {
      pieces.push(await stored.read(at, Math.min(segmentBytes, stateBytes - at)));
    }
    return new MemoryReference(stored.id, stored.digest, stateBytes, segmentBytes, pieces, []);
  }

  /** Whether the rules ask for a new baseline. In `previous` mode only the age of the chain's start counts. */
  refreshDue(held: HeldReference): boolean {
    const { baselineIntervalMs, baselineAgeMaxMs, deltasMax, clock } = this.#settings;
    const age = clock.steadyMs() - held.createdMs;
    return age >= Math.min(baselineIntervalMs, baselineAgeMaxMs) || held.deltas >= deltasMax;
  }

  /** Drops what was not used for the interval, and what is too old to be used. Returns how many keys went. */
  prune(): number {
    const now = this.#settings.clock.steadyMs();
    this.#prunedMs = now;
    const { pruneIntervalMs, baselineAgeMaxMs } = this.#settings;
    return this.#table.removeWhere(
      ({ usedMs, createdMs }) => now - usedMs >= pruneIntervalMs || now - createdMs >= baselineAgeMaxMs,
    );
  }

  pruneDue(): boolean {
    return this.#settings.clock.steadyMs() - this.#prunedMs >= this.#settings.pruneIntervalMs;
  }

  /** Collects a state for `finish`. A state too long for the memory bound is kept in the store alone, or not at all. */
  async take(key: string, stateBytes: number | undefined, chain?: HeldReference): Promise<BaselineTaker> {
    const { segmentBytes, memoryBytesMax, store, clock } = this.#settings;
    const copy = new ReferenceCopy({ segmentBytes, stateBytes, bytesMax: memoryBytesMax });
    // Every state of a `previous` chain would be a commit of its own: only its start goes to the store.
    const writer: BaselineWriter | undefined = chain === undefined ? await store?.begin(key) : undefined;
    return {
      append: async (segment, groups, owned) => {
        await copy.append(segment, groups, owned);
        await writer?.write(segment);
      },
      finish: async (id, digest) => {
        await writer?.commit({ id, digest, segmentBytes });
        const reference = copy.finish(id, digest) ?? (await this.#fromStore(key, writer));
        this.#table.remove(key);
        if (reference === undefined) return;
        this.#table.put(key, reference, clock.steadyMs());
        if (chain) this.#table.follow(key, chain);
      },
      abandon: async () => writer?.abort(),
    };
  }

  async #fromStore(key: string, writer: BaselineWriter | undefined): Promise<Reference | undefined> {
    const stored = writer === undefined ? undefined : await this.#settings.store?.load(key);
    return stored === undefined ? undefined : storedReference(stored);
  }
}
