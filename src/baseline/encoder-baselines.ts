/** The baselines of an encoder: rules of age, memory and use, and what is kept of a state that becomes one. */

import { randomBytes } from '../core/core.js';
import { BaselineLives } from './baseline-lives.js';
import { MemoryReference, pageReference, type Reference, ReferenceCopy } from './reference.js';
import { type BaselineLife, type HeldReference, ReferenceTable } from './reference-table.js';
import { digestBytes } from './state-digest.js';
import type { EncoderSettings } from './state-settings.js';
import { StoredBaselines } from './stored-baselines.js';
import { type KeptBaseline, storedReference } from './stored-reference.js';

/** Takes the segments of a state that becomes a baseline. */
export interface BaselineTaker {
  append(
    segment: Uint8Array,
    groups: Uint8Array,
    from: { readonly owned: boolean; readonly copy: Buffer | undefined },
  ): Promise<void>;
  /** Puts it into the place of the key's older one. */
  finish(id: number, digest: Buffer): Promise<void>;
  abandon(): Promise<void>;
}

export class EncoderBaselines {
  readonly #settings: EncoderSettings;
  readonly #table: ReferenceTable;
  readonly #stored: StoredBaselines;
  readonly #lives: BaselineLives;
  /** Nobody outside can prepare two pages that hash alike. */
  readonly pageSeed = randomBytes(16);
  #lastId: number;
  #prunedMs: number;

  constructor(settings: EncoderSettings) {
    this.#settings = settings;
    const { memoryBytesMax, store, logger, clock } = settings;
    this.#table = new ReferenceTable({ memoryBytesMax, perKey: 1, logger });
    this.#stored = new StoredBaselines(store, logger);
    this.#lives = new BaselineLives(clock);
    // Seconds: a restarted encoder goes on above the ids of its former life, unless its clock was set back.
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

  /** The baseline of a key that is at hand. One that cannot be read is none. */
  held(key: string): HeldReference | undefined {
    const held = this.#table.use(key, this.#settings.clock.steadyMs())[0];
    return held === undefined || this.#stored.damaged(key, held.reference.digest) ? undefined : held;
  }

  /** The baseline of a key, from the store after a restart. One that cannot be read is none. Throws DK_STORE_CLOSED. */
  async find(key: string): Promise<HeldReference | undefined> {
    const held = this.held(key);
    if (held !== undefined) return held;
    this.#table.remove(key);
    const stored = await this.#stored.load(key);
    // Who asks for a strong digest gets no delta against what is known by a quick one alone; decoders of older releases read none.
    if (stored === undefined || stored.digest.length < digestBytes(this.#settings.digest)) return undefined;
    const reference = await this.#loaded(stored);
    if (reference === undefined) return undefined;
    this.#lastId = Math.max(this.#lastId, stored.id);
    this.#put(key, reference, this.#lives.of(key, stored));
    return this.#table.peek(key)[0];
  }

  #put(key: string, reference: Reference, life: BaselineLife): void {
    if (this.#settings.store !== undefined) this.#lives.remember(key, life);
    this.#table.put(key, reference, { nowMs: this.#settings.clock.steadyMs(), life });
  }

  async #loaded(stored: KeptBaseline): Promise<Reference | undefined> {
    const { segmentBytes, stateBytes } = stored;
    const { keep, memoryBytesMax, engine } = this.#settings;
    const whole = keep === 'copy' && stateBytes <= memoryBytesMax / 2;
    const pieces: Buffer[] = [];
    const hashes: Buffer[] = [];
    for (let at = 0; at < stateBytes && (whole || keep === 'pages'); at += segmentBytes) {
      const piece = await stored.read(at, Math.min(segmentBytes, stateBytes - at));
      if (piece === undefined) return undefined;
      if (whole) pieces.push(piece);
      else hashes.push(await engine.pageHashes(piece, this.pageSeed));
    }
    if (!whole) return storedReference(stored, keep === 'pages' ? Buffer.concat(hashes) : undefined);
    return new MemoryReference(engine, stored, { pieces, groups: [] });
  }

  /** Whether the rules ask for a new baseline. In `previous` mode only the age of the chain's start counts. */
  refreshDue(held: HeldReference): boolean {
    const { baselineIntervalMs, baselineAgeMaxMs, deltasMax, clock } = this.#settings;
    const age = clock.steadyMs() - held.life.createdMs;
    return age >= Math.min(baselineIntervalMs, baselineAgeMaxMs) || held.life.deltas >= deltasMax;
  }

  /**
   * Drops what was not used for the interval, and what is too old to be used; the latter from the store, too. Returns how
   * many keys went from memory.
   */
  prune(): number {
    const { pruneIntervalMs, baselineAgeMaxMs, clock } = this.#settings;
    const now = clock.steadyMs();
    this.#prunedMs = now;
    const gone = this.#table.removeWhere(
      ({ usedMs, life }) => now - usedMs >= pruneIntervalMs || now - life.createdMs >= baselineAgeMaxMs,
    );
    this.#stored.sweep({ beforeMs: clock.nowMs() - baselineAgeMaxMs, except: this.#table.keys() });
    return gone;
  }

  pruneDue(): boolean {
    return this.#settings.clock.steadyMs() - this.#prunedMs >= this.#settings.pruneIntervalMs;
  }

  async clear(): Promise<void> {
    await this.#stored.idle();
    this.#table.removeWhere(() => true);
    this.#lives.clear();
  }

  /** Collects a state for `finish`. A state too long for the memory bound is kept in the store alone, or not at all. */
  async take(key: string, stateBytes: number | undefined, chain?: HeldReference): Promise<BaselineTaker> {
    const { segmentBytes, memoryBytesMax, clock, keep, engine, digest: kind } = this.#settings;
    const hashes: Buffer[] = [];
    let bytes = 0;
    const copy = new ReferenceCopy({ engine, kind, segmentBytes, stateBytes, bytesMax: memoryBytesMax });
    // Every state of a `previous` chain would be a commit of its own: only its start goes to the store.
    const writer = chain === undefined ? await this.#stored.begin(key) : undefined;
    return {
      append: async (segment, groups, from) => {
        if (keep === 'copy') await copy.append(segment, groups, from);
        else hashes.push(await engine.pageHashes(segment, this.pageSeed));
        bytes += segment.length;
        await writer?.write(segment);
      },
      finish: async (id, digest) => {
        await writer?.commit({ id, digest, segmentBytes, madeMs: Math.max(0, Math.floor(clock.nowMs())) });
        const stored = writer && (await this.#stored.load(key));
        const facts = { id, digest, stateBytes: bytes, segmentBytes };
        const reference =
          keep === 'pages'
            ? pageReference(facts, Buffer.concat(hashes), async (at, length) => stored?.read(at, length))
            : (copy.finish(id, digest) ?? (stored && storedReference(stored)));
        this.#table.remove(key);
        if (chain) chain.life.deltas += 1;
        if (reference === undefined) this.#table.notKept(key, bytes);
        else this.#put(key, reference, chain?.life ?? { digest, createdMs: clock.steadyMs(), deltas: 0 });
      },
      abandon: async () => writer?.abort(),
    };
  }
}
