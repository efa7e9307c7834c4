/** One state into one message: what is decided per state, in which order things become true. */
import { LIMITS } from '../core/core.js';
import { ClassDictionaries, type Dictionary } from './class-dictionary.js';
import { type DirectDelta, inPlaceDelta, mayBeDirect, plainBytes, smallDelta } from './direct-delta.js';
import { EffortControl } from './effort-control.js';
import { encodedState } from './encoded-state.js';
import { type BaselineTaker, EncoderBaselines } from './encoder-baselines.js';
import type { HeldReference } from './reference-table.js';
import { SPARSE } from './state-engines.js';
import { openSegments } from './state-input.js';
import { StateCounters, type StateMetrics } from './state-metrics.js';
import { type CoderParts, headOf, levelsOf, type Plan, readySegments } from './state-plan.js';
import { repeatBaseline } from './state-repeat.js';
import { checkName, type EncoderSettings } from './state-settings.js';
import type { EncodedState, StateFacts, StateInput } from './state-types.js';
import { type ReadySegment, StateWriter } from './state-writer.js';

const PLAIN_SEGMENT = { skipped: false, dictionary: false };
/** Keys that are remembered as asked for; beyond, the one that was asked for first gets what its next state is by the rules. */
const FORCED_MAX = 65_536;

/** The states of one key must come one after the other; those of different keys may come at once. */
export class StateCoder {
  readonly #settings: EncoderSettings;
  readonly #baselines: EncoderBaselines;
  readonly #effort: EffortControl;
  readonly #counters = new StateCounters();
  readonly #dictionaries: ClassDictionaries;
  /** Dictionaries that went out with a message. */
  readonly #sent = new Set<number>();
  readonly #parts: CoderParts;
  /** Keys whose next state must be full: a decoder `asked` and got nothing, or deltas stopped paying. */
  readonly #forced = new Map<string, 'asked' | 'poor'>();

  constructor(settings: EncoderSettings) {
    this.#settings = settings;
    this.#baselines = new EncoderBaselines(settings);
    this.#effort = new EffortControl(settings);
    this.#dictionaries = new ClassDictionaries(settings.engine);
    this.#parts = {
      settings,
      baselines: this.#baselines,
      effort: this.#effort,
      counters: this.#counters,
      dictionaries: this.#dictionaries,
    };
  }

  prune(): number {
    const gone = this.#baselines.prune();
    this.#counters.baselinesPruned += gone;
    return gone;
  }

  metrics(): StateMetrics {
    const { table } = this.#baselines;
    return this.#counters.snapshot({
      baselineCount: table.count,
      baselineMemoryBytes: table.memoryBytes,
      baselinesEvicted: table.evicted,
      levelChanges: this.#effort.changes,
      dictionariesTrained: this.#dictionaries.trained,
      dictionariesRejected: this.#dictionaries.rejected,
    });
  }

  /** Gives all memory back. */
  async clear(): Promise<void> {
    await this.#dictionaries.idle();
    this.#dictionaries.clear();
    await this.#baselines.clear();
    this.#forced.clear();
  }

  /** What `small` may be asked for; undefined: it takes another way. */
  smallBytes(state: StateInput): Uint8Array | undefined {
    return mayBeDirect(this.#settings) ? plainBytes(state, LIMITS.syncStateBytes) : undefined;
  }

  /** The message of a small state of which little changed, made at once; undefined: it takes another way. */
  small(key: string, target: Uint8Array): EncodedState | undefined {
    if (this.#forced.has(key)) return undefined;
    try {
      if (this.#baselines.pruneDue()) this.prune();
      const made = smallDelta(this.#parts, { key, keyClass: this.#classOf(key) }, target);
      return made && this.#finished(key, target, made);
    } catch (error) {
      this.#counters.failures += 1;
      throw error;
    }
  }

  /** The message of a state that mostly stayed in place, by one job of the engine; undefined: it takes `frames`. */
  async direct(key: string, state: StateInput): Promise<EncodedState | undefined> {
    const target = mayBeDirect(this.#settings) ? plainBytes(state, this.#settings.segmentBytes) : undefined;
    if (target === undefined || this.#forced.has(key)) return undefined;
    try {
      if (this.#baselines.pruneDue()) this.prune();
      const made = await inPlaceDelta(this.#parts, { key, keyClass: this.#classOf(key) }, target);
      return made && this.#finished(key, target, made);
    } catch (error) {
      this.#counters.failures += 1;
      throw error;
    }
  }

  #classOf(key: string): string {
    return checkName('class', this.#settings.classOf(key));
  }

  #finished(key: string, target: Uint8Array, made: DirectDelta): EncodedState {
    const { parts, facts, held } = made;
    this.#counters.segment(SPARSE.name, PLAIN_SEGMENT);
    this.#offer(made.keyClass, target);
    held.life.deltas += 1;
    this.#judge(key, facts, held);
    this.#count(facts, { ...made, levelled: true });
    return encodedState(facts, parts);
  }

  #count(
    facts: StateFacts,
    how: { readonly keyClass: string; readonly level: number; readonly ms: number; readonly levelled: boolean },
  ): void {
    const { keyClass, level, ms, levelled } = how;
    const kind = facts.kind === 'delta' ? 'delta' : 'full';
    const { stateBytes, messageBytes } = facts;
    this.#counters.operation({ delta: facts.kind === 'delta', stateBytes, messageBytes, level, ms });
    this.#effort.observe(keyClass, { kind, level, inBytes: stateBytes, outBytes: messageBytes, ms, levelled });
  }

  /** Pieces of the message; the facts come back at the end. A failure leaves the baseline as it was. */
  async *frames(key: string, state: StateInput): AsyncGenerator<Buffer[], StateFacts, undefined> {
    let plan: Plan | undefined;
    try {
      if (this.#baselines.pruneDue()) this.prune();
      plan = await this.#plan(key, state);
      const facts = yield* this.#settings.enabled ? this.#coded(plan) : this.#plain(plan);
      // A state that was better coded alone was coded at that level.
      const level = facts.kind === 'delta' ? plan.level : plan.aloneLevel;
      this.#count(facts, { keyClass: plan.keyClass, level, ms: plan.codingMs, levelled: plan.levelled });
      return facts;
    } catch (error) {
      this.#counters.failures += 1;
      throw error;
    } finally {
      await plan?.input.close();
    }
  }

  async #plan(key: string, state: StateInput): Promise<Plan> {
    const { enabled, segmentBytes } = this.#settings;
    const keyClass = this.#classOf(key);
    // The state last: what is opened here is closed by whoever gets the plan.
    const held = enabled ? await this.#baselines.find(key) : undefined;
    const due = held !== undefined && (this.#baselines.refreshDue(held) || this.#forced.has(key));
    const input = await openSegments(this.#settings.engine, state, segmentBytes);
    if (due) this.#counters.baselineRefreshes += 1;
    const carries = this.#forced.get(key) === 'asked';
    const source = due ? undefined : held;
    const levels = levelsOf(this.#parts, keyClass, { stateBytes: input.stateBytes, source });
    return { key, keyClass, ...levels, input, source, carries, codingMs: 0, levelled: false };
  }

  async *#plain(plan: Plan): AsyncGenerator<Buffer[], StateFacts, undefined> {
    const writer = new StateWriter(this.#settings.engine, headOf(this.#settings, plan, { plain: true }));
    yield await writer.head();
    for await (const segment of readySegments(this.#parts, plan)) yield await writer.segment(segment);
    const { parts, facts } = writer.end();
    yield parts;
    return facts;
  }

  async *#coded(plan: Plan): AsyncGenerator<Buffer[], StateFacts, undefined> {
    const segments = readySegments(this.#parts, plan);
    let taker: BaselineTaker | undefined;
    try {
      const first = await segments.next();
      if (first.done) throw new Error('a state has at least one segment');
      // A state of one segment that was better coded alone becomes a baseline at no cost.
      const alone =
        plan.source !== undefined && isOnlySegment(plan, first.value) && first.value.coded.engine.reads === 'nothing';
      const source = alone ? undefined : plan.source;
      const establishes = source === undefined || this.#settings.reference === 'previous';
      const baselineId = establishes ? this.#baselines.nextId() : undefined;
      const head = headOf(this.#settings, plan, {
        baselineId,
        source: source && { id: source.reference.id, digest: source.reference.digest },
      });
      const writer = new StateWriter(this.#settings.engine, head);
      taker = establishes ? await this.#baselines.take(plan.key, plan.input.stateBytes, source) : undefined;
      const carried = new Set<number>();
      yield await writer.head();
      for (let next: IteratorResult<ReadySegment> = first; !next.done; next = await segments.next()) {
        const { target, groups, copy } = next.value;
        await taker?.append(target, groups, { owned: plan.input.owned, copy });
        if (isOnlySegment(plan, next.value) && !next.value.coded.skipped) this.#offer(plan.keyClass, target);
        const dictionary = this.#unsent(plan, carried, next.value.coded.dictionaryId);
        if (dictionary) yield await writer.dictionary(dictionary.id, dictionary.bytes);
        yield await writer.segment(next.value);
      }
      const { parts, facts, digest } = writer.end();
      for (const id of carried) this.#sent.add(id);
      // Whoever takes the last piece has all of it.
      await this.#settle(plan, { taker, baselineId, digest, source, facts });
      taker = undefined;
      yield parts;
      return facts;
    } finally {
      await taker?.abandon();
      await segments.return(undefined);
    }
  }

  /** Samples for dictionaries: whole states that are small. */
  #offer(keyClass: string, state: Uint8Array): void {
    if (this.#settings.dictionaries && state.length <= DICTIONARY_STATE_BYTES)
      this.#dictionaries.offer(keyClass, state);
  }

  /** The dictionary of this id, unless this message carries it already, or another one did and the decoder has not asked. */
  #unsent(plan: Plan, carried: Set<number>, id: number): Dictionary | undefined {
    if (id === 0 || carried.has(id) || (this.#sent.has(id) && !plan.carries)) return undefined;
    carried.add(id);
    return this.#dictionaries.all(plan.keyClass).find((dictionary) => dictionary.id === id);
  }

  async #settle(
    plan: Plan,
    made: {
      readonly taker: BaselineTaker | undefined;
      readonly baselineId: number | undefined;
      readonly digest: Buffer;
      readonly source: HeldReference | undefined;
      readonly facts: StateFacts;
    },
  ): Promise<void> {
    const { taker, baselineId, digest, source, facts } = made;
    if (taker && baselineId !== undefined) await taker.finish(baselineId, digest);
    else if (source) source.life.deltas += 1;
    this.#judge(plan.key, facts, source);
  }

  #judge(key: string, facts: StateFacts, source: HeldReference | undefined): void {
    // Deltas that go on saving next to nothing: the next state starts afresh, and is measured afresh. One that is poor
    // against a fresh baseline, or against the state just before, would be poor against a fresher one, too.
    const poor = facts.messageBytes * this.#settings.minCompressionRatio > facts.stateBytes;
    const stale = this.#settings.reference === 'baseline' && source !== undefined && source.life.deltas > 1;
    if (poor && stale && facts.stateBytes > POOR_BYTES_MIN) {
      this.#forced.set(key, 'poor');
    } else this.#forced.delete(key);
  }

  /** The baseline of a key as a full message; undefined when its bytes are gone: the next state is full then. */
  async repeat(key: string): Promise<EncodedState | undefined> {
    const message = await repeatBaseline(this.#parts, key);
    if (message !== undefined) return message;
    this.#baselines.table.remove(key);
    this.#forced.set(key, 'asked');
    if (this.#forced.size > FORCED_MAX) this.#forced.delete(this.#forced.keys().next().value as string);
    return undefined;
  }
}
/** Larger states gain too little from what others of their class look like. */
const DICTIONARY_STATE_BYTES = 256 << 10;
/** Below this the frame itself outweighs what a delta can save. */
const POOR_BYTES_MIN = 1024;

function isOnlySegment(plan: Plan, segment: ReadySegment): boolean {
  return plan.input.stateBytes === segment.target.length;
}
