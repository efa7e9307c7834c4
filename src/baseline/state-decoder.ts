/** Turns messages back into states, verified, or says what it lacks. */
import { constants } from 'node:buffer';
import { DiffKeeperError } from '../core/core.js';
import { DecoderBaselines, type StateTaker } from './decoder-baselines.js';
import { KeyedQueue } from './keyed-queue.js';
import { type MessageInput, messageParts } from './message-parts.js';
import type { Reference } from './reference.js';
import { decodeSegment } from './segment-decode.js';
import { corruptState, type StateHead, type StatePart, stateDigest } from './state-message.js';
import { type DecoderSettings, decoderSettings } from './state-settings.js';
import type { DecodedState, StateDecoderOptions, StateEngineName, StateFacts } from './state-types.js';
import { factsOfHead } from './state-writer.js';

/** For messages of any number of keys. Wants nothing but messages: restarts on either side are found out by digests. */
export class StateDecoder {
  readonly #settings: DecoderSettings;
  readonly #baselines: DecoderBaselines;
  readonly #queue = new KeyedQueue();
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  /** Throws TypeError or RangeError for a wrong option. */
  constructor(options: StateDecoderOptions = {}) {
    this.#settings = decoderSettings(options);
    this.#baselines = new DecoderBaselines(this.#settings);
    this.#timer = setInterval(() => this.prune(), Math.min(this.#settings.pruneIntervalMs, 2 ** 31 - 1));
    this.#timer.unref();
  }

  /**
   * The state of one message. Throws DK_BASELINE_MISSING and DK_BASELINE_MISMATCH (facts: `key`, `baselineId` and
   * `expected`, the digest that is needed), DK_DICTIONARY_MISSING, DK_CORRUPT_DELTA, DK_DIGEST_MISMATCH, DK_LIMIT,
   * DK_UNSUPPORTED. After a failure the baselines are what they were.
   */
  async decode(message: MessageInput): Promise<DecodedState> {
    const parts: StatePart[] = [];
    // The check is at the end: nothing is done about a message before it was seen whole.
    for await (const part of messageParts(this.#settings.engine, message)) parts.push(part);
    const head = headOf(parts[0]);
    const limit = Math.min(this.#settings.stateBytesMax, constants.MAX_LENGTH);
    const stateBytes = parts.reduce((sum, part) => sum + (part.type === 'segment' ? part.segment.targetBytes : 0), 0);
    checkLength(stateBytes, limit);
    const leave = await this.#queue.enter(head.key);
    try {
      const pieces: Uint8Array[] = [];
      const states = this.#states(inOrder(parts));
      for (;;) {
        const { value, done } = await states.next();
        if (done) return { ...value, bytes: oneBuffer(pieces) };
        pieces.push(value);
      }
    } finally {
      leave();
    }
  }

  /**
   * As `decode`, for states of any length: verified segments as they come. Only a stream that ends without an error was
   * the whole state.
   */
  async *decodeStream(message: MessageInput): AsyncGenerator<Uint8Array, StateFacts, undefined> {
    const parts = messageParts(this.#settings.engine, message);
    const first = await parts.next();
    if (first.done) throw corruptState('it is empty');
    const head = headOf(first.value);
    const leave = await this.#queue.enter(head.key);
    try {
      return yield* this.#states(startingWith(first.value, parts));
    } finally {
      await parts.return(undefined);
      leave();
    }
  }

  /** Drops baselines that were not used for `pruneIntervalMs`. Runs by itself as often. */
  prune(): number {
    return this.#baselines.prune();
  }

  metrics(): {
    readonly baselineCount: number;
    readonly baselineMemoryBytes: number;
    readonly baselinesEvicted: number;
  } {
    return this.#baselines.metrics();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#queue.idle();
    this.#baselines.clear();
  }

  async *#states(parts: AsyncIterable<StatePart>): AsyncGenerator<Uint8Array, StateFacts, undefined> {
    if (this.#closed) throw new DiffKeeperError('DK_STORE_CLOSED', 'the state decoder is closed');
    const { engine, stateBytesMax } = this.#settings;
    let head: StateHead | undefined;
    let source: Reference | undefined;
    let taker: StateTaker | undefined;
    const digests: Buffer[] = [];
    const engines = new Map<StateEngineName, number>();
    let stateBytes = 0;
    let dictionaryId = 0;
    try {
      for await (const part of parts) {
        if (part.type === 'head') {
          head = part.head;
          checkLength(head.stateBytes ?? 0, stateBytesMax);
          source = head.source && (await this.#baselines.find(head.key, head.source));
          if (head.baselineId !== undefined) taker = await this.#baselines.take(head);
        } else if (head === undefined) throw corruptState('it has no head');
        else if (part.type === 'dictionary') this.#baselines.learn(head.keyClass, part.id, part.bytes);
        else if (part.type === 'segment') {
          const { segment } = part;
          checkOrder(head, digests.length, stateBytes);
          checkLength(stateBytes + segment.targetBytes, stateBytesMax);
          const dictionary =
            segment.dictionaryId === 0 ? undefined : this.#baselines.dictionary(head, segment.dictionaryId);
          const made = await decodeSegment(engine, { segment, source, dictionary, hashAlgo: head.hashAlgo });
          const { digest } = made;
          if (segment.digest && !segment.digest.equals(digest)) throw otherBytes(head.key, segment.digest, digest);
          digests.push(digest);
          stateBytes += made.target.length;
          engines.set(made.name, (engines.get(made.name) ?? 0) + made.target.length);
          dictionaryId ||= segment.dictionaryId;
          await taker?.append(made.target, made.groups);
          yield made.target;
        } else {
          const digest = checkEnd(head, part.end, digests, stateBytes, stateDigest(engine, head.hashAlgo, digests));
          await taker?.finish(digest);
          taker = undefined;
          return {
            ...factsOfHead(head),
            targetDigest: digest.toString('hex'),
            engines: [...engines].sort((a, b) => b[1] - a[1]).map(([name]) => name),
            dictionaryId,
            stateBytes,
            messageBytes: part.messageBytes,
          };
        }
      }
      throw corruptState('it has no end');
    } finally {
      await taker?.abandon();
    }
  }
}

function headOf(part: StatePart | undefined): StateHead {
  if (part?.type !== 'head') throw corruptState('it has no head');
  return part.head;
}

async function* inOrder(parts: readonly StatePart[]): AsyncGenerator<StatePart> {
  yield* parts;
}

async function* startingWith(first: StatePart, rest: AsyncIterable<StatePart>): AsyncGenerator<StatePart> {
  yield first;
  yield* rest;
}

function checkLength(stateBytes: number, limit: number): void {
  if (stateBytes <= limit) return;
  throw new DiffKeeperError('DK_LIMIT', `the message makes ${stateBytes} bytes; at most ${limit} are allowed`, {
    expected: limit,
    actual: stateBytes,
  });
}

/** All segments but the last are full. */
function checkOrder(head: StateHead, segments: number, stateBytes: number): void {
  if (stateBytes !== segments * head.segmentBytes) throw corruptState('a segment follows a short one');
  if (segments > 0 && !head.digests) throw corruptState('it has more than one segment');
}

function checkEnd(
  head: StateHead,
  end: { readonly stateBytes: number; readonly digest: Buffer },
  digests: readonly Buffer[],
  stateBytes: number,
  digest: Buffer,
): Buffer {
  if (digests.length === 0) throw corruptState('it has no segment');
  if (end.stateBytes !== stateBytes || (head.stateBytes ?? stateBytes) !== stateBytes) {
    throw corruptState(`its segments make ${stateBytes} bytes, not ${end.stateBytes}`);
  }
  if (!end.digest.equals(digest)) throw otherBytes(head.key, end.digest, digest);
  return digest;
}

function otherBytes(key: string, expected: Buffer, actual: Buffer): DiffKeeperError {
  return new DiffKeeperError('DK_DIGEST_MISMATCH', `the message of ${key} decodes to other bytes than it promises`, {
    key,
    expected: expected.toString('hex'),
    actual: actual.toString('hex'),
  });
}

function oneBuffer(pieces: readonly Uint8Array[]): Buffer {
  const [only] = pieces;
  if (pieces.length === 1 && only) return Buffer.from(only.buffer, only.byteOffset, only.byteLength);
  return Buffer.concat(pieces);
}
