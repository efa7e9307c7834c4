/** Writes one message: segments in, parts out, digests and engines noted on the way. */
import type { Engine } from '../engine/engine.js';
import { type CodedSegment, encodeSegment, type SegmentTask } from './segment-encode.js';
import { isShort, ShortWriter } from './short-message.js';
import { segmentDigest, stateDigest } from './state-digest.js';
import { SPARSE } from './state-engines.js';
import { MessageWriter, type StateEnd, type StateHead } from './state-message.js';
import type { StateEngineName, StateFacts } from './state-types.js';

/** A segment whose digest and code are made; the message it goes into may not be begun yet. */
export interface ReadySegment {
  readonly target: Uint8Array;
  readonly digest: Buffer;
  /** Values of its groups; empty for digests that are not made of any. */
  readonly groups: Uint8Array;
  readonly coded: CodedSegment;
  /** Of the target, where one was wanted. */
  readonly copy?: Buffer;
}

/**
 * Digest and code of a segment, in one pass over the bytes where an engine can, else side by side on the engine's threads.
 * @param how `copies`: the target is going to be copied, which costs least while it is hashed
 */
export async function prepareSegment(
  engine: Engine,
  how: { readonly digestKind: StateHead['digestKind']; readonly copies: boolean },
  task: SegmentTask,
): Promise<ReadySegment> {
  const { digestKind, copies } = how;
  const { target } = task;
  if (task.digested !== undefined) {
    const coded = await encodeSegment(engine, task);
    return { target, coded, ...(coded.digested ?? (await segmentDigest(engine, digestKind, target, false))) };
  }
  const [digested, coded] = await Promise.all([
    segmentDigest(engine, digestKind, target, copies),
    encodeSegment(engine, task),
  ]);
  return { target, coded, ...digested };
}

/** Of a state in one segment the head may come with the segment, as the short form has it. */
export class StateWriter {
  readonly #engine: Engine;
  readonly #head: StateHead;
  #writer: MessageWriter | ShortWriter | undefined;
  readonly #digests: Buffer[] = [];
  readonly #engines = new Map<StateEngineName, number>();
  #stateBytes = 0;
  #dictionaryId = 0;

  constructor(engine: Engine, head: StateHead) {
    this.#engine = engine;
    this.#head = head;
  }

  async head(): Promise<Buffer[]> {
    return this.#head.digests ? (await this.#begun()).parts : [];
  }

  /** The long form, and its head if this begins it. */
  async #begun(): Promise<{ readonly writer: MessageWriter; readonly parts: Buffer[] }> {
    if (this.#writer instanceof MessageWriter) return { writer: this.#writer, parts: [] };
    if (this.#writer !== undefined) throw new Error('nothing follows the segment of a short message');
    const writer = new MessageWriter(this.#engine, this.#head);
    this.#writer = writer;
    return { writer, parts: await writer.head() };
  }

  async dictionary(id: number, bytes: Uint8Array): Promise<Buffer[]> {
    const { writer, parts } = await this.#begun();
    return [...parts, ...(await writer.dictionary(id, bytes))];
  }

  async segment({ target, digest, coded }: ReadySegment): Promise<Buffer[]> {
    const { engine, payload, sourceOffset, sourceBytes, dictionaryId } = coded;
    this.#digests.push(digest);
    this.#stateBytes += target.length;
    this.#engines.set(engine.name, (this.#engines.get(engine.name) ?? 0) + target.length);
    if (dictionaryId !== 0) this.#dictionaryId = dictionaryId;
    const segment = {
      engine: engine.number,
      targetBytes: target.length,
      sourceOffset,
      sourceBytes,
      dictionaryId,
      digest: this.#head.digests ? digest : undefined,
      payload,
    };
    if (this.#writer === undefined && isShort(this.#head, segment)) {
      const writer = new ShortWriter(this.#engine, this.#head);
      this.#writer = writer;
      return writer.segment(segment);
    }
    const { writer, parts } = await this.#begun();
    return [...parts, ...(await writer.segment(segment))];
  }

  end(): { readonly parts: Buffer[]; readonly facts: StateFacts; readonly digest: Buffer } {
    const head = this.#head;
    const digest = stateDigest(this.#engine, head.digestKind, this.#digests);
    const writer = this.#writer;
    if (writer === undefined) throw new Error('a state has at least one segment');
    const parts = writer.end({ stateBytes: this.#stateBytes, digest });
    const facts: StateFacts = {
      ...factsOfHead(head),
      targetDigest: digest.toString('hex'),
      engines: [...this.#engines].sort((a, b) => b[1] - a[1]).map(([name]) => name),
      dictionaryId: this.#dictionaryId,
      stateBytes: this.#stateBytes,
      messageBytes: writer.bytes,
    };
    return { parts, facts, digest };
  }
}

/** What is known of a message once its head is. */
export function factsOfHead(
  head: StateHead,
): Omit<StateFacts, 'targetDigest' | 'engines' | 'dictionaryId' | 'stateBytes' | 'messageBytes'> {
  return {
    key: head.key,
    keyClass: head.keyClass,
    kind: head.plain ? 'plain' : head.source ? 'delta' : 'full',
    ...(head.baselineId === undefined ? {} : { baselineId: head.baselineId }),
    ...(head.source ? { sourceId: head.source.id, sourceDigest: head.source.digest.toString('hex') } : {}),
    timestampMs: head.timestampMs,
  };
}

/** What a message of one sparse delta says of its state: one plain object, since small states have one each. */
export function sparseFacts(
  head: StateHead & { readonly source: NonNullable<StateHead['source']> },
  end: StateEnd,
  messageBytes: number,
): StateFacts {
  return {
    key: head.key,
    keyClass: head.keyClass,
    kind: 'delta',
    sourceId: head.source.id,
    sourceDigest: head.source.digest.toString('hex'),
    timestampMs: head.timestampMs,
    targetDigest: end.digest.toString('hex'),
    engines: [SPARSE.name],
    dictionaryId: 0,
    stateBytes: end.stateBytes,
    messageBytes,
  };
}
