/** The baselines of an encoder: rules of age, memory and use, and what is kept of a state that becomes one. */

import { randomBytes } from '../core/core.js';
import { MemoryReference, pageReference, type Reference, ReferenceCopy } from './reference.js';
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
  /** Nobody outside can prepare two pages that hash alike. */
  readonly pageSeed = randomBytes(16);
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
    const { keep, memoryBytesMax, engine } = this.#settings;
    const whole = keep === 'copy' && stateBytes <= memoryBytesMax / 2;
    const pieces: Buffer[] = [];
    const hashes: Buffer[] = [];
    for (let at = 0; at < stateBytes && (whole || keep === 'pages'); at += segmentBytes) {
      const piece = await stored.read(at, Math.min(segmentBytes, stateBytes - at));
      if (whole) pieces.push(piece);
      else hashes.push(await engine.pageHashes(piece, this.pageSeed));
    }
    if (!whole) return storedReference(stored, keep === 'pages' ? Buffer.concat(hashes) : undefined);
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
    const { segmentBytes, memoryBytesMax, store, clock, keep, engine } = this.#settings;
    const hashes: Buffer[] = [];
    let bytes = 0;
    const copy = new ReferenceCopy({ segmentBytes, stateBytes, bytesMax: memoryBytesMax });
    // Every state of a `previous` chain would be a commit of its own: only its start goes to the store.
    const writer: BaselineWriter | undefined = chain === undefined ? await store?.begin(key) : undefined;
    return {
      append: async (segment, groups, owned) => {
        if (keep === 'copy') await copy.append(segment, groups, owned);
        else hashes.push(await engine.pageHashes(segment, this.pageSeed));
        bytes += segment.length;
        await writer?.write(segment);
      },
      finish: async (id, digest) => {
        await writer?.commit({ id, digest, segmentBytes });
        const stored = writer === undefined ? undefined : await store?.load(key);
        const facts = { id, digest, stateBytes: bytes, segmentBytes };
        const reference =
          keep === 'pages'
            ? pageReference(facts, Buffer.concat(hashes), async (at, length) => stored?.read(at, length))
            : (copy.finish(id, digest) ?? (stored && storedReference(stored)));
        this.#table.remove(key);
        if (reference === undefined) return;
        this.#table.put(key, reference, clock.steadyMs());
        if (chain) this.#table.follow(key, chain);
      },
      abandon: async () => writer?.abort(),
    };
  }
}
