/** Turns messages back into states, verified, or says what it lacks. */
import { constants } from 'node:buffer';
import { ByteBudget, DiffKeeperError, LIMITS } from '../core/core.js';
import { BegunStreams } from './begun-streams.js';
import { DecoderBaselines, type StateTaker } from './decoder-baselines.js';
import { DecoderCounters, type StateDecoderMetrics } from './decoder-metrics.js';
import { KeyedQueue } from './keyed-queue.js';
import { hasLoopShare, takeLoopShare } from './loop-share.js';
import { MessageBounds, MessageDictionaries } from './message-bounds.js';
import { messageKey } from './message-key.js';
import { type MessageInput, messageParts } from './message-parts.js';
import { allParts, headOf, inOrder, startingWith } from './part-lists.js';
import {
  isSmall,
  type PatchSource,
  type PlainMessage,
  patchDirect,
  patchSmall,
  patchSource,
  plainMessage,
} from './plain-message.js';
import type { Reference } from './reference.js';
import { decodeSegment } from './segment-decode.js';
import { stateDigest } from './state-digest.js';
import { checkEnd, otherBytes } from './state-end.js';
import { corruptState, type StateHead, type StatePart } from './state-message.js';
import { type DecoderSettings, decoderSettings } from './state-settings.js';
import type { DecodedState, StateDecoderOptions, StateEngineName, StateFacts } from './state-types.js';
import { factsOfHead, sparseFacts } from './state-writer.js';
import { checkRoom, stateBytesOf, WholeState } from './whole-state.js';

type PlainDelta = PlainMessage & { readonly source: PatchSource };

/** For messages of any number of keys. Wants nothing but messages: restarts on either side are found out by digests. */
export class StateDecoder {
  readonly #settings: DecoderSettings;
  readonly #baselines: DecoderBaselines;
  readonly #counters = new DecoderCounters();
  readonly #queue = new KeyedQueue();
  readonly #room = new ByteBudget(LIMITS.decodedBytesAtOnce);
  readonly #streams = new BegunStreams('state decoder');
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  /** Throws TypeError or RangeError for a wrong option. */
  constructor(options: StateDecoderOptions = {}) {
    this.#settings = decoderSettings(options);
    this.#baselines = new DecoderBaselines(this.#settings);
    this.#settings.engine.holdSpareMemory(LIMITS.spareMemoryBytes);
    this.#timer = setInterval(() => this.prune(), Math.min(this.#settings.pruneIntervalMs, 2 ** 31 - 1));
    this.#timer.unref();
  }

  /**
   * The state of one message. Throws DK_BASELINE_MISSING and DK_BASELINE_MISMATCH (facts: `key`, `baselineId` and
   * `expected`, the digest that is needed), DK_DICTIONARY_MISSING, DK_CORRUPT_DELTA, DK_DIGEST_MISMATCH, DK_LIMIT,
   * DK_UNSUPPORTED. After a failure the baselines are what they were. Messages of one key are taken in the order of the calls,
   * those that arrive in chunks in that of their heads.
   * @param options `into`: memory for the state, which `bytes` is a view of then; nobody may touch it meanwhile, it must be
   * no part of the message, and after a failure it holds anything. Throws DK_LIMIT (facts: `expected`, `actual` bytes) before it
   * is written to when it is too short, TypeError when it is shared or resizable. Default: memory of its own.
   */
  async decode(message: MessageInput, options: { readonly into?: Uint8Array } = {}): Promise<DecodedState> {
    const { into } = options;
    if (into !== undefined) checkRoom(into);
    try {
      const plain = this.#plain(message, into);
      // Who waited for a turn here would be overtaken by a later message of the key, which may need this one.
      const here = plain && hasLoopShare() ? this.#small(plain, into) : undefined;
      return here ?? (await this.#inTurn(message, into, plain));
    } catch (error) {
      this.#counters.failed(error);
      throw error;
    }
  }

  /** What lies in memory takes its place among the messages of its key at once; what arrives, when its head is there. */
  async #inTurn(
    message: MessageInput,
    into: Uint8Array | undefined,
    plain: PlainDelta | undefined,
  ): Promise<DecodedState> {
    const key = plain?.head.key ?? messageKey(message);
    const leave = key === undefined ? undefined : await this.#queue.enter(key);
    try {
      return (plain && (await this.#direct(plain, into))) ?? (await this.#decoded(message, into, key));
    } finally {
      leave?.();
    }
  }

  /**
   * A message of one sparse delta against a baseline that is at hand. Undefined: what else it is, or what is wrong with it,
   * the way for all messages says.
   */
  #plain(message: MessageInput, into: Uint8Array | undefined): PlainDelta | undefined {
    if (this.#closed) return undefined;
    const { engine, stateBytesMax } = this.#settings;
    const found = plainMessage(engine, message, Math.min(stateBytesMax, constants.MAX_LENGTH));
    if (found === undefined || found.end.stateBytes > (into?.length ?? found.end.stateBytes)) return undefined;
    const source = this.#sourceOf(found);
    return source && { ...found, source };
  }

  #sourceOf({ head, segment }: PlainMessage): PatchSource | undefined {
    const source = this.#baselines.held(head.key, head.source);
    return source && patchSource(head, segment, source);
  }

  /** What a small delta makes, at once; undefined when that cannot be had here. */
  #small(delta: PlainDelta, into: Uint8Array | undefined): DecodedState | undefined {
    const { engine, clock } = this.#settings;
    const { head, segment, end, source } = delta;
    const { stateBytes } = end;
    if (!isSmall(delta) || this.#queue.has(head.key) || !takeLoopShare(stateBytes)) return undefined;
    const started = clock.steadyMs();
    const room = into?.subarray(0, stateBytes) ?? engine.createRoom(stateBytes);
    const digest = patchSmall(engine, { segment, source, room });
    if (!digest?.equals(end.digest)) return undefined;
    return this.#made(delta, Buffer.from(room.buffer, room.byteOffset, stateBytes), clock.steadyMs() - started);
  }

  /** What a delta makes by one job of the engine; undefined when nothing came of that. The key's turn is the caller's. */
  async #direct(delta: PlainDelta, into: Uint8Array | undefined): Promise<DecodedState | undefined> {
    const { engine, clock } = this.#settings;
    const { stateBytes } = delta.end;
    const giveBack = await this.#takeRoom(into ? 0 : stateBytes);
    try {
      // Whoever had a turn meanwhile may have closed the decoder, or put another baseline in the place of this one.
      const source = this.#closed ? undefined : this.#sourceOf(delta);
      if (source === undefined) return undefined;
      const started = clock.steadyMs();
      const room = into?.subarray(0, stateBytes);
      const bytes = await patchDirect(engine, { ...delta, source, room });
      return bytes && this.#made(delta, bytes, clock.steadyMs() - started);
    } finally {
      giveBack();
    }
  }

  /** States that are made at once are bounded in memory; a longer one is made alone. */
  #takeRoom(bytes: number): Promise<() => void> {
    return this.#room.take(Math.min(bytes, LIMITS.decodedBytesAtOnce));
  }

  #made({ head, end, messageBytes }: PlainMessage, bytes: Buffer, ms: number): DecodedState {
    const facts = sparseFacts(head, end, messageBytes);
    this.#counters.operation({ ...facts, ms });
    return { ...facts, bytes };
  }

  /** @param key whose turn it is; undefined: it is waited for here */
  async #decoded(message: MessageInput, into: Uint8Array | undefined, key: string | undefined): Promise<DecodedState> {
    const limit = Math.min(this.#settings.stateBytesMax, constants.MAX_LENGTH);
    const dictionaries = new MessageDictionaries();
    const parts = await allParts(messageParts(this.#settings.engine, message, new MessageBounds(limit)), dictionaries);
    const head = headOf(parts[0]);
    if (key !== undefined && head.key !== key) throw corruptState('it changed while it was read');
    // The check was right: messages that are decoded meanwhile may use them.
    this.#baselines.learn(head.keyClass, dictionaries);
    const leave = key === undefined ? await this.#queue.enter(head.key) : undefined;
    const giveBack = await this.#takeRoom(into ? 0 : stateBytesOf(parts));
    try {
      const whole = new WholeState(this.#settings.engine, parts, into);
      const states = this.#states(inOrder(parts), dictionaries, whole);
      for (;;) {
        const { value, done } = await states.next();
        if (done) return { ...value, bytes: whole.bytes };
        await whole.take(value);
      }
    } finally {
      giveBack();
      leave?.();
    }
  }

  /**
   * As `decode`, for states of any length: verified segments as they come; a state of one segment when all of it is
   * verified. Only a stream that ends without an error was the whole state; `close` ends it with DK_STORE_CLOSED. The key waits
   * until it was read to its end or left.
   */
  async *decodeStream(message: MessageInput): AsyncGenerator<Uint8Array, StateFacts, undefined> {
    return yield* this.#streams.through(this.#streamed(message));
  }

  async *#streamed(message: MessageInput): AsyncGenerator<Uint8Array, StateFacts, undefined> {
    const { engine, stateBytesMax } = this.#settings;
    const parts = messageParts(engine, message, new MessageBounds(stateBytesMax));
    let leave = (): void => {};
    try {
      const first = await parts.next();
      if (first.done) throw corruptState('it is empty');
      leave = await this.#queue.enter(headOf(first.value).key);
      return yield* this.#states(startingWith(first.value, parts), new MessageDictionaries());
    } catch (error) {
      this.#counters.failed(error);
      throw error;
    } finally {
      await parts.return(undefined);
      leave();
    }
  }

  /**
   * Drops baselines that were not used for `pruneIntervalMs`; once it has run for so long, from the store as well, soon.
   * Runs by itself as often. Returns how many keys went from memory.
   */
  prune(): number {
    const gone = this.#baselines.prune();
    this.#counters.baselinesPruned += gone;
    return gone;
  }

  metrics(): StateDecoderMetrics {
    return { ...this.#counters, ...this.#baselines.metrics() };
  }

  /**
   * Gives all memory back when what runs has come to its end: messages that were not yet begun to be decoded, and streams, end with
   * DK_STORE_CLOSED. What the store keeps stays there.
   */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#streams.close();
    await this.#queue.idle();
    await this.#baselines.clear();
    this.#settings.engine.releaseSpareMemory();
  }

  async *#states(
    parts: AsyncIterable<StatePart>,
    dictionaries: MessageDictionaries,
    whole?: WholeState,
  ): AsyncGenerator<Uint8Array, StateFacts, undefined> {
    if (this.#closed) throw new DiffKeeperError('DK_STORE_CLOSED', 'the state decoder is closed');
    const { engine, clock } = this.#settings;
    let ms = 0;
    let head: StateHead | undefined;
    let source: Reference | undefined;
    let taker: StateTaker | undefined;
    let unverified: Uint8Array | undefined;
    const digests: Buffer[] = [];
    const engines = new Map<StateEngineName, number>();
    let stateBytes = 0;
    let dictionaryId = 0;
    try {
      for await (const part of parts) {
        if (part.type === 'head') {
          head = part.head;
          source = head.source && (await this.#baselines.find(head.key, head.source));
          if (head.baselineId !== undefined) taker = await this.#baselines.take(head);
        } else if (head === undefined) throw corruptState('it has no head');
        else if (part.type === 'dictionary') dictionaries.add(part.id, part.bytes);
        else if (part.type === 'segment') {
          const { segment } = part;
          const { dictionaryId: id } = segment;
          const dictionary = id === 0 ? undefined : (dictionaries.get(id) ?? this.#baselines.dictionary(head, id));
          const started = clock.steadyMs();
          const copies = taker?.copies ?? false;
          const into = whole?.placeOf(segment.targetBytes);
          const { digestKind } = head;
          const made = await decodeSegment(engine, { segment, source, dictionary, digestKind, copies, into });
          ms += clock.steadyMs() - started;
          const { digest } = made;
          if (segment.digest && !segment.digest.equals(digest)) throw otherBytes(head.key, segment.digest, digest);
          digests.push(digest);
          stateBytes += made.target.length;
          engines.set(made.name, (engines.get(made.name) ?? 0) + made.target.length);
          dictionaryId ||= segment.dictionaryId;
          await taker?.append(made.target, made.groups, made.copy);
          // The digest of the only segment is that of the state, at the end.
          if (segment.digest) yield made.target;
          else unverified = made.target;
        } else {
          const digest = checkEnd(head, part.end, stateDigest(engine, head.digestKind, digests));
          await taker?.finish(digest);
          taker = undefined;
          this.#baselines.learn(head.keyClass, dictionaries);
          const facts = {
            ...factsOfHead(head),
            targetDigest: digest.toString('hex'),
            engines: [...engines].sort((a, b) => b[1] - a[1]).map(([name]) => name),
            dictionaryId,
            stateBytes,
            messageBytes: part.messageBytes,
          };
          this.#counters.operation({ ...facts, ms });
          if (unverified) yield unverified;
          return facts;
        }
      }
      throw corruptState('it has no end');
    } finally {
      await taker?.abandon();
    }
  }
}
