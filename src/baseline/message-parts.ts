/** Takes a message apart, whole or as it arrives, and checks that it arrived as it was sent. */
import { DiffKeeperError } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { checkOf, joinPieces } from './large-memory.js';
import type { MessageBounds } from './message-bounds.js';
import { decodeShortHead, decodeShortTail, shortTailBytes } from './short-message.js';
import {
  corruptState,
  decodeDictionaryHeader,
  decodeEnd,
  decodeHead,
  decodeSegmentHeader,
  HEAD_BYTES_MAX,
  PART,
  STATE_MAGIC,
  STATE_VERSION,
  type StateHead,
  type StatePart,
  stateVersion,
} from './state-message.js';

/** A message: in one piece, in pieces in memory, or as chunks that arrive. */
export type MessageInput = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** Bytes from chunks; never holds more than what is asked for plus one chunk. */
class ChunkReader {
  readonly #engine: Engine;
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #chunk: Buffer = Buffer.alloc(0);
  /** Bytes handed out so far. */
  taken = 0;

  constructor(engine: Engine, input: Iterable<Uint8Array> | AsyncIterable<Uint8Array>) {
    this.#engine = engine;
    this.#chunks = Symbol.asyncIterator in input ? input[Symbol.asyncIterator]() : input[Symbol.iterator]();
  }

  /** The next chunk that has bytes; false at the end. */
  async #more(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const { value, done } = await this.#chunks.next();
      if (done) return false;
      if (!(value instanceof Uint8Array)) throw new TypeError('a message must consist of Buffers or Uint8Arrays');
      this.#chunk = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    }
    return true;
  }

  /** Exactly this many bytes: a view where they lie in one chunk. */
  async take(count: number): Promise<Buffer> {
    this.taken += count;
    if (count === 0) return Buffer.alloc(0);
    if (!(await this.#more())) throw corruptState('it is cut off');
    if (this.#chunk.length >= count) {
      const taken = this.#chunk.subarray(0, count);
      this.#chunk = this.#chunk.subarray(count);
      return taken;
    }
    // Grows with what really comes: a length alone takes no memory.
    const pieces: Buffer[] = [];
    let left = count;
    while (left > 0) {
      if (!(await this.#more())) throw corruptState('it is cut off');
      const piece = this.#chunk.subarray(0, left);
      this.#chunk = this.#chunk.subarray(piece.length);
      pieces.push(piece);
      left -= piece.length;
    }
    return joinPieces(this.#engine, pieces);
  }

  async atEnd(): Promise<boolean> {
    return !(await this.#more());
  }

  /** Lets the producer clean up. */
  async leave(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** A length of at most 4 bytes, with the bytes it was written in. */
async function takeLength(reader: ChunkReader, max: number): Promise<{ value: number; written: Buffer }> {
  const bytes: number[] = [];
  let value = 0;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = (await reader.take(1))[0] as number;
    bytes.push(byte);
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) {
      if (value > max) throw corruptState(`a header of ${value} bytes`);
      return { value, written: Buffer.from(bytes) };
    }
  }
  throw corruptState('a length is too long');
}

/** Parts of a message in order, as far as `bounds` allows. The last one is the end, and it is only given when the check is right. */
export async function* messageParts(
  engine: Engine,
  input: MessageInput,
  bounds: MessageBounds,
): AsyncGenerator<StatePart, void, undefined> {
  const reader = new ChunkReader(engine, input instanceof Uint8Array ? [input] : input);
  try {
    const magic = await reader.take(STATE_MAGIC.length + 1);
    if (!magic.subarray(0, STATE_MAGIC.length).equals(STATE_MAGIC)) throw corruptState('it does not start with DKS1');
    const version = stateVersion(magic[STATE_MAGIC.length] as number);
    const length = await takeLength(reader, HEAD_BYTES_MAX);
    const body = await reader.take(length.value);
    let check = engine.xxh3(Buffer.concat([magic, length.written, body]), 0n);
    if (version === STATE_VERSION.short) {
      yield* shortParts(engine, reader, { bounds, body, check });
      return;
    }
    const head = decodeHead(body, version);
    bounds.head(head);
    yield { type: 'head', head };
    for (;;) {
      const tag = await reader.take(1);
      const size = await takeLength(reader, HEAD_BYTES_MAX);
      const header = await reader.take(size.value);
      if (tag[0] === PART.end) {
        const { stateBytes, digest, check: promised } = decodeEnd(header, head);
        const before = Buffer.concat([tag, size.written, header.subarray(0, -8)]);
        if (engine.xxh3(before, check) !== promised) throw corruptState('the checksum does not match');
        if (!(await reader.atEnd())) throw corruptState('bytes follow its end');
        bounds.end({ stateBytes });
        yield { type: 'end', end: { stateBytes, digest }, messageBytes: reader.taken };
        return;
      }
      check = engine.xxh3(Buffer.concat([tag, size.written, header]), check);
      const { part, payload } = await takePart(reader, { head, bounds, tag: tag[0] as number, header });
      if (payload.length > 0) check = await checkOf(engine, payload, check);
      yield part;
    }
  } finally {
    await reader.leave();
  }
}

/** Those of version 3. @param start `check`: of everything up to the end of the head's `body` */
async function* shortParts(
  engine: Engine,
  reader: ChunkReader,
  start: { readonly bounds: MessageBounds; readonly body: Buffer; readonly check: bigint },
): AsyncGenerator<StatePart, void, undefined> {
  const { bounds, body, check: seed } = start;
  const { head, segment, payloadBytes } = decodeShortHead(body);
  bounds.head(head);
  bounds.segment(segment);
  yield { type: 'head', head };
  const payload = await reader.take(payloadBytes);
  const check = payloadBytes > 0 ? await checkOf(engine, payload, seed) : seed;
  yield { type: 'segment', segment: { ...segment, payload } };
  const { digest, check: promised } = decodeShortTail(await reader.take(shortTailBytes(head)));
  if (engine.xxh3(digest, check) !== promised) throw corruptState('the checksum does not match');
  if (!(await reader.atEnd())) throw corruptState('bytes follow its end');
  yield { type: 'end', end: { stateBytes: head.stateBytes, digest }, messageBytes: reader.taken };
}

interface PartFacts {
  readonly head: StateHead;
  readonly bounds: MessageBounds;
  readonly tag: number;
  readonly header: Buffer;
}

async function takePart(
  reader: ChunkReader,
  { head, bounds, tag, header }: PartFacts,
): Promise<{ readonly part: StatePart; readonly payload: Buffer }> {
  if (tag === PART.segment) {
    const { payloadBytes, ...segment } = decodeSegmentHeader(header, head);
    bounds.segment(segment);
    const payload = await reader.take(payloadBytes);
    return { part: { type: 'segment', segment: { ...segment, payload } }, payload };
  }
  if (tag === PART.dictionary) {
    const { id, payloadBytes } = decodeDictionaryHeader(header);
    const payload = await reader.take(payloadBytes);
    return { part: { type: 'dictionary', id, bytes: payload }, payload };
  }
  throw new DiffKeeperError('DK_UNSUPPORTED', `the state message has a part ${tag} that this release does not know`);
}
