/** One state into one message: what is decided per state, in which order things become true. */
import { DiffKeeperError } from '../core/core.js';
import { ClassDictionaries, type Dictionary } from './class-dictionary.js';
import { EffortControl } from './effort-control.js';
import { encodedState } from './encoded-state.js';
import { EncoderBaselines } from './encoder-baselines.js';
import type { HeldReference } from './reference-table.js';
import { openSegments, type StateSegments } from './state-input.js';
import type { StateHead } from './state-message.js';
import { StateCounters, type StateMetrics } from './state-metrics.js';
import { checkName, type EncoderSettings } from './state-settings.js';
import type { EncodedState, StateFacts, StateInput } from './state-types.js';
import { prepareSegment, type ReadySegment, StateWriter } from './state-writer.js';

interface Plan {
  readonly key: string;
  readonly keyClass: string;
  readonly level: number;
  /** What the delta is made against; undefined for a full state. */
  readonly source: HeldReference | undefined;
  readonly input: StateSegments;
}

/** The states of one key must come one after the other; those of different keys may come at once. */
export class StateCoder {
  readonly #settings: EncoderSettings;
  readonly #baselines: EncoderBaselines;
  readonly #effort: EffortControl;
  readonly #counters = new StateCounters();
  readonly #dictionaries: ClassDictionaries;
  /** Dictionaries that went out with a message. */
  readonly #sent = new Set<number>();
  /** Keys whose next state must be full: a decoder asked, or deltas stopped paying. */
  readonly #forced = new Set<string>();

  constructor(settings: EncoderSettings) {
    this.#settings = settings;
    this.#baselines = new EncoderBaselines(settings);
    this.#effort = new EffortControl(settings);
    this.#dictionaries = new ClassDictionaries(settings.engine);
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
    this.#baselines.table.removeWhere(() => true);
    this.#forced.clear();
  }

  /** Pieces of the message; the facts come back at the end. A failure leaves the baseline as it was. */
  async *frames(key: string, state: StateInput): AsyncGenerator<Buffer[], StateFacts, undefined> {
    const started = this.#settings.clock.steadyMs();
    try {
      if (this.#baselines.pruneDue()) this.prune();
      const plan = await this.#plan(key, state);
      const facts = yield* this.#settings.enabled ? this.#coded(plan) : this.#plain(plan);
      const ms = this.#settings.clock.steadyMs() - started;
      const { stateBytes, messageBytes } = facts;
      this.#counters.operation({ delta: facts.kind === 'delta', stateBytes, messageBytes, ms });
      this.#effort.observe(plan.keyClass, { level: plan.level, inBytes: stateBytes, outBytes: messageBytes, ms });
      return facts;
    } catch (error) {
      this.#counters.failures += 1;
      throw error;
    }
  }

  async #plan(key: string, state: StateInput): Promise<Plan> {
    const { enabled, segmentBytes, classOf } = this.#settings;
    const keyClass = checkName('class', classOf(key));
    const input = await openSegments(state, segmentBytes);
    const level = this.#effort.level(keyClass);
    const held = enabled ? await this.#baselines.find(key) : undefined;
    if (held === undefined) return { key, keyClass, level, input, source: undefined };
    const due = this.#baselines.refreshDue(held) || this.#forced.has(key);
    if (due) this.#counters.baselineRefreshes += 1;
    return { key, keyClass, level, input, source: due ? undefined : held };
  }

  /** Head of a message; the facts that differ are given. */
  #head(plan: Plan, facts: Partial<StateHead>): StateHead {
    const { hashAlgo, segmentBytes, clock } = this.#settings;
    const { stateBytes } = plan.input;
    return {
      key: plan.key,
      keyClass: plan.keyClass,
      hashAlgo,
      plain: false,
      timestampMs: Math.max(0, Math.floor(clock.nowMs())),
      baselineId: undefined,
      source: undefined,
      segmentBytes,
      stateBytes,
      digests: stateBytes === undefined || stateBytes > segmentBytes,
      ...facts,
    };
  }

  /** Segments made ready in order. */
  async *#ready(plan: Plan): AsyncGenerator<ReadySegment> {
    const { engine, hashAlgo, segmentBytes, choice, minCompressionRatio, enabled } = this.#settings;
    let offset = 0;
    for await (const target of plan.input.segments) {
      const segment = await prepareSegment(engine, hashAlgo, {
        target,
        offset,
        segmentBytes,
        source: plan.source?.reference,
        choice,
        level: plan.level,
        minRatio: minCompressionRatio,
        dictionary: this.#dictionaries.current(plan.keyClass),
        pageSeed: this.#baselines.pageSeed,
        digested:
          hashAlgo === 'blake3' &&
          plan.source !== undefined &&
          plan.source.reference.pages === undefined &&
          (choice === 'auto' || choice === 'sparse'),
        plain: !enabled,
      });
      offset += target.length;
      this.#counters.segment(segment.coded.engine.name, {
        skipped: segment.coded.skipped,
        dictionary: segment.coded.dictionaryId !== 0,
      });
      yield segment;
    }
  }

  async *#plain(plan: Plan): AsyncGenerator<Buffer[], StateFacts, undefined> {
    const writer = new StateWriter(this.#settings.engine, this.#head(plan, { plain: true }));
    yield writer.head();
    for await (const segment of this.#ready(plan)) yield writer.segment(segment);
    const { parts, facts } = writer.end();
    yield parts;
    return facts;
  }

  async *#coded(plan: Plan): AsyncGenerator<Buffer[], StateFacts, undefined> {
    const segments = this.#ready(plan);
    const first = await segments.next();
    if (first.done) throw new Error('a state has at least one segment');
    // A state of one segment that was better coded alone becomes a baseline at no cost.
    const alone =
      plan.source !== undefined && isOnlySegment(plan, first.value) && first.value.coded.engine.reads === 'nothing';
    const source = alone ? undefined : plan.source;
    const establishes = source === undefined || this.#settings.reference === 'previous';
    const baselineId = establishes ? this.#baselines.nextId() : undefined;
    const head = this.#head(plan, {
      baselineId,
      source: source && { id: source.reference.id, digest: source.reference.digest },
    });
    const writer = new StateWriter(this.#settings.engine, head);
    const taker = establishes ? await this.#baselines.take(plan.key, plan.input.stateBytes, source) : undefined;
    let done = false;
    try {
      yield writer.head();
      for (let next: IteratorResult<ReadySegment> = first; !next.done; next = await segments.next()) {
        await taker?.append(next.value.target, next.value.groups, plan.input.owned);
        this.#offer(plan, next.value);
        const dictionary = this.#unsent(plan.keyClass, next.value.coded.dictionaryId);
        if (dictionary) yield writer.dictionary(dictionary.id, dictionary.bytes);
        yield writer.segment(next.value);
      }
      const { parts, facts, digest } = writer.end();
      if (facts.dictionaryId !== 0) this.#sent.add(facts.dictionaryId);
      // Whoever takes the last piece has all of it.
      await this.#settle(plan, { taker, baselineId, digest, source, facts });
      done = true;
      yield parts;
      return facts;
    } finally {
      if (!done) await taker?.abandon();
      await segments.return(undefined);
    }
  }

  /** Samples for dictionaries: whole states that are small. */
  #offer(plan: Plan, { target, coded }: ReadySegment): void {
    const small = plan.input.stateBytes === target.length && target.length <= DICTIONARY_STATE_BYTES;
    if (this.#settings.dictionaries && small && !coded.skipped) this.#dictionaries.offer(plan.keyClass, target);
  }

  /** The dictionary of this id, unless a message has carried it already. */
  #unsent(keyClass: string, id: number): Dictionary | undefined {
    if (id === 0 || this.#sent.has(id)) return undefined;
    return this.#dictionaries.all(keyClass).find((dictionary) => dictionary.id === id);
  }

  async #settle(
    plan: Plan,
    made: {
      readonly taker: Awaited<ReturnType<EncoderBaselines['take']>> | undefined;
      readonly baselineId: number | undefined;
      readonly digest: Buffer;
      readonly source: HeldReference | undefined;
      readonly facts: StateFacts;
    },
  ): Promise<void> {
    const { taker, baselineId, digest, source, facts } = made;
    if (taker && baselineId !== undefined) await taker.finish(baselineId, digest);
    else if (source) source.deltas += 1;
    // Deltas that go on saving next to nothing: the next state starts afresh, and is measured afresh. One that is poor
    // against a fresh baseline, or against the state just before, would be poor against a fresher one, too.
    const poor = facts.messageBytes * this.#settings.minCompressionRatio > facts.stateBytes;
    const stale = this.#settings.reference === 'baseline' && source !== undefined && source.deltas > 1;
    if (poor && stale && facts.stateBytes > POOR_BYTES_MIN) {
      this.#forced.add(plan.key);
    } else this.#forced.delete(plan.key);
  }

  /** The baseline of a key as a full message; undefined when its bytes are gone. */
  async repeat(key: string): Promise<EncodedState | undefined> {
    const { engine, hashAlgo, classOf } = this.#settings;
    const reference = (await this.#baselines.find(key))?.reference;
    const probe = reference && (await reference.read(0, Math.min(1, reference.stateBytes)));
    if (reference === undefined || probe === undefined) {
      this.#baselines.table.remove(key);
      return undefined;
    }
    const { id, segmentBytes, stateBytes } = reference;
    const input: StateSegments = { stateBytes, owned: true, segments: segmentsOf(reference) };
    const plan: Plan = {
      key,
      keyClass: classOf(key),
      level: this.#effort.level(classOf(key)),
      source: undefined,
      input,
    };
    const head = this.#head(plan, { baselineId: id, segmentBytes, digests: stateBytes > segmentBytes });
    const writer = new StateWriter(engine, { ...head, hashAlgo });
    const parts = writer.head();
    for (const { id: number, bytes } of this.#dictionaries.all(plan.keyClass))
      parts.push(...writer.dictionary(number, bytes));
    for await (const segment of this.#ready(plan)) parts.push(...writer.segment(segment));
    const end = writer.end();
    if (!end.digest.equals(reference.digest)) {
      this.#baselines.table.remove(key);
      throw new DiffKeeperError('DK_DIGEST_MISMATCH', `the baseline of ${key} is damaged`, { key });
    }
    this.#counters.resyncs += 1;
    return encodedState(end.facts, [...parts, ...end.parts]);
  }
}
/** Larger states gain too little from what others of their class look like. */
const DICTIONARY_STATE_BYTES = 256 << 10;
/** Below this the frame itself outweighs what a delta can save. */
const POOR_BYTES_MIN = 1024;

function isOnlySegment(plan: Plan, segment: ReadySegment): boolean {
  return plan.input.stateBytes === segment.target.length;
}

async function* segmentsOf(reference: HeldReference['reference']): AsyncGenerator<Uint8Array> {
  const { stateBytes, segmentBytes } = reference;
  if (stateBytes === 0) yield new Uint8Array(0);
  for (let at = 0; at < stateBytes; at += segmentBytes) {
    const segment = await reference.read(at, Math.min(segmentBytes, stateBytes - at));
    if (segment === undefined) throw new DiffKeeperError('DK_NOT_FOUND', 'the bytes of a baseline are gone');
    yield segment;
  }
}
