/** Any kind of input as segments of one length (the last may be shorter), with as little copying as it allows. */
import { open } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, readFully } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { copyAway, joinPieces, ownCopy, Turns } from './large-memory.js';
import type { StateInput } from './state-types.js';

export interface StateSegments {
  /** Undefined when it turns out only while reading. */
  readonly stateBytes: number | undefined;
  /** Nobody else changes the bytes of the segments. */
  readonly owned: boolean;
  /** Not empty, but for the empty state, which is one empty segment. */
  readonly segments: AsyncIterable<Uint8Array>;
  /** Gives back what was opened, whether or not the segments were begun. */
  close(): Promise<void>;
}

const NO_BYTES = new Uint8Array(0);

function isFile(input: object): input is { readonly file: string } {
  return 'file' in input && typeof input.file === 'string';
}

/** Throws TypeError for anything that holds no bytes. */
export async function openSegments(engine: Engine, input: StateInput, segmentBytes: number): Promise<StateSegments> {
  if (input instanceof Uint8Array) return ofMemory(engine, input, segmentBytes);
  if (input instanceof ArrayBuffer || isShared(input)) {
    return ofMemory(engine, { buffer: input, byteOffset: 0, byteLength: input.byteLength }, segmentBytes);
  }
  if (typeof input === 'object' && input !== null) {
    if (isFile(input)) return ofFile(engine, input.file, segmentBytes);
    if (Symbol.asyncIterator in input || Symbol.iterator in input) return ofChunks(engine, input, segmentBytes);
  }
  throw new TypeError(`a state must be bytes, { file } or chunks of bytes, got ${typeof input}`);
}

function isShared(memory: unknown): memory is SharedArrayBuffer {
  return typeof SharedArrayBuffer !== 'undefined' && memory instanceof SharedArrayBuffer;
}

/** Memory that was transferred away has no bytes any more, which is not the empty state. Throws TypeError. */
function checkAttached(buffer: ArrayBufferLike): void {
  if (isShared(buffer) || buffer.byteLength > 0) return;
  try {
    new Uint8Array(buffer, 0, 0);
  } catch {
    throw new TypeError('the memory of a state was transferred away');
  }
}

/** Views per segment: memory may be longer than the longest view. */
function ofMemory(
  engine: Engine,
  memory: { readonly buffer: ArrayBufferLike; readonly byteOffset: number; readonly byteLength: number },
  segmentBytes: number,
): StateSegments {
  const { buffer, byteOffset, byteLength } = memory;
  const shared = isShared(buffer);
  checkAttached(buffer);
  async function* segments(): AsyncGenerator<Uint8Array> {
    if (byteLength === 0) yield NO_BYTES;
    for (let at = 0; at < byteLength; at += segmentBytes) {
      const segment = new Uint8Array(buffer, byteOffset + at, Math.min(segmentBytes, byteLength - at));
      // Others may write to shared memory at any time: digest and delta must see the same bytes.
      yield shared ? await ownCopy(engine, segment) : segment;
    }
  }
  return { stateBytes: byteLength, owned: shared, segments: segments(), close: async () => {} };
}

/** A file is read once, from start to end; what grows behind the length it had at the start is not seen. */
async function ofFile(engine: Engine, path: string, segmentBytes: number): Promise<StateSegments> {
  const system = (error: unknown): DiffKeeperError => fromSystemError(error, 'read', path);
  const file = await open(path, 'r').catch((error: unknown) => Promise.reject(system(error)));
  let stateBytes: number;
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw new DiffKeeperError('DK_UNSUPPORTED', `${path} is no regular file`, { path });
    stateBytes = stat.size;
  } catch (error) {
    await file.close();
    throw system(error);
  }
  async function* segments(): AsyncGenerator<Uint8Array> {
    try {
      if (stateBytes === 0) yield NO_BYTES;
      for (let at = 0; at < stateBytes; at += segmentBytes) {
        const segment = engine.createRoom(Math.min(segmentBytes, stateBytes - at));
        if ((await readFully(file, segment, at)) < segment.length) {
          throw new DiffKeeperError('DK_IO', `${path} became shorter while it was read`, { path });
        }
        yield segment;
      }
    } catch (error) {
      throw system(error);
    }
  }
  return { stateBytes, owned: true, segments: segments(), close: () => file.close() };
}

/** The first segment is gathered before anything is said: most states end in it, and then their length is known. */
async function ofChunks(
  engine: Engine,
  input: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  segmentBytes: number,
): Promise<StateSegments> {
  const all = gatherSegments(engine, input, segmentBytes);
  const first = await all.next();
  const head = first.done ? NO_BYTES : first.value;
  const second = head.length < segmentBytes ? { done: true as const, value: undefined } : await all.next();
  async function* segments(): AsyncGenerator<Uint8Array> {
    yield head;
    if (second.done) return;
    yield second.value;
    yield* all;
  }
  const close = async (): Promise<void> => {
    await all.return();
  };
  return { stateBytes: second.done ? head.length : undefined, owned: true, segments: segments(), close };
}

async function* gatherSegments(
  engine: Engine,
  input: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  segmentBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let gathered = new SegmentRoom(engine, segmentBytes);
  for await (const chunk of input) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('chunks of a state must be Buffers or Uint8Arrays');
    checkAttached(chunk.buffer);
    for (let at = 0; at < chunk.length; ) {
      at += await gathered.take(chunk, at);
      if (gathered.bytes < segmentBytes) continue;
      yield await gathered.finish();
      gathered = new SegmentRoom(engine, segmentBytes);
    }
  }
  if (gathered.bytes > 0) yield await gathered.cut();
}

/** Gathered before room for a whole segment is taken. */
const PIECES_BYTES = 8 << 20;

/** A segment that is being gathered. What is small takes no more room than it has bytes. */
class SegmentRoom {
  readonly #engine: Engine;
  readonly #segmentBytes: number;
  readonly #turns = new Turns();
  #pieces: Buffer[] = [];
  #room: Buffer | undefined;
  bytes = 0;

  constructor(engine: Engine, segmentBytes: number) {
    this.#engine = engine;
    this.#segmentBytes = segmentBytes;
  }

  /** Copies what it can of a chunk, which the producer may use again for the next one. Returns how much. */
  async take(chunk: Uint8Array, at: number): Promise<number> {
    const part = chunk.subarray(at, at + this.#segmentBytes - this.bytes);
    if (this.#room === undefined && this.bytes + part.length > PIECES_BYTES) {
      this.#room = this.#engine.createRoom(this.#segmentBytes);
      await copyAway(this.#engine, this.#room, await joinPieces(this.#engine, this.#pieces));
      this.#pieces = [];
    }
    if (this.#room === undefined) this.#pieces.push(await ownCopy(this.#engine, part));
    else await copyAway(this.#engine, this.#room, part, this.bytes);
    this.bytes += part.length;
    await this.#turns.took(part.length);
    return part.length;
  }

  /** The full segment. */
  async finish(): Promise<Buffer> {
    return this.#room ?? joinPieces(this.#engine, this.#pieces);
  }

  /** The last one. */
  async cut(): Promise<Buffer> {
    return this.#room === undefined ? this.finish() : ownCopy(this.#engine, this.#room.subarray(0, this.bytes));
  }
}
