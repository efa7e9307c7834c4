/** Values of the older system's content store: found by name, decoded, and held against the name's digest. */
import { createHash, DiffKeeperError, isDiffKeeperError } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { loadTwin, startDigest } from '../engine/load.js';
import type { BoltValue } from './bolt-page.js';
import { digestOf, formatContentId, parseContentId } from './content-id.js';
import type { Chunks } from './gunzip-value.js';
import type { LegacyChunk } from './legacy-metadata.js';
import type { LegacySource } from './legacy-source.js';

/** Longest value that is taken into memory: the older system never kept longer ones in one piece. */
export const CONTENT_BYTES_MAX = 1 << 30;
/** Values above this length that are not compressed are streamed. */
const STREAMED_BYTES = 4 << 20;
const ZSTD_MARK = Buffer.from('DKZ1', 'latin1');
const BSDIFF_MARK = Buffer.from('BSDIFF40', 'latin1');

function damaged(message: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_RECORD', message);
}

export class LegacyContents {
  readonly #source: LegacySource;
  readonly #engine: Engine;

  constructor(source: LegacySource, engine: Engine) {
    this.#source = source;
    this.#engine = engine;
  }

  /** The decoded bytes under a name. @throws DK_CORRUPT_RECORD when they are missing, damaged, or too long */
  async read(name: string): Promise<Buffer> {
    const id = parseContentId(name);
    if (!id) throw damaged(`"${name.slice(0, 64)}" names no content`);
    let reason = 'is missing';
    for (const value of await this.#source.contents(name)) {
      try {
        const bytes = await this.#decode(await value.read(CONTENT_BYTES_MAX));
        if ((await digestOf(this.#engine, id.algo, bytes)).equals(id.digest)) return bytes;
        reason = 'is damaged: its digest is another';
      } catch (error) {
        if (!isDiffKeeperError(error) || error.code === 'DK_IO') throw error;
        reason = `is damaged: ${error.message}`;
      }
    }
    throw damaged(`content ${name} ${reason}`);
  }

  /** As `read`, but a long value is streamed; the stream fails at its end when the digest is another. */
  async open(name: string): Promise<Buffer | Chunks> {
    const [value] = await this.#source.contents(name);
    const id = parseContentId(name);
    if (!value || !id || value.length <= STREAMED_BYTES) return this.read(name);
    for await (const head of value.stream()) {
      if (head.subarray(0, 4).equals(ZSTD_MARK)) return this.read(name);
      break;
    }
    return this.#verified(value, name);
  }

  async *#verified(value: BoltValue, name: string): AsyncGenerator<Buffer> {
    const id = parseContentId(name);
    if (!id) return;
    const running = id.algo === 'sha256' ? createHash('sha256') : await startDigest(id.algo);
    for await (const chunk of value.stream()) {
      running.update(chunk);
      yield chunk;
    }
    if (!running.digest().equals(id.digest)) throw damaged(`content ${name} is damaged: its digest is another`);
  }

  /** A file kept in chunks, one after the other. */
  async *openChunks(chunks: readonly LegacyChunk[]): AsyncGenerator<Buffer> {
    for (const { name, length } of chunks) {
      const bytes = await this.read(name);
      if (bytes.length !== length) throw damaged(`chunk ${name} has ${bytes.length} bytes, not ${length}`);
      if (bytes.length > 0) yield bytes;
    }
  }

  /** Content with this SHA-256, if it is stored whole anywhere. */
  async findBySha256(digest: Buffer): Promise<Buffer | Chunks | null> {
    for (const name of [formatContentId({ algo: 'sha256', digest }), digest.toString('hex')]) {
      const values = await this.#source.contents(name);
      if (values.length === 0) continue;
      try {
        return await this.open(name);
      } catch (error) {
        if (!isDiffKeeperError(error, 'DK_CORRUPT_RECORD')) throw error;
      }
    }
    return null;
  }

  async #decode(value: Buffer): Promise<Buffer> {
    if (!value.subarray(0, 4).equals(ZSTD_MARK)) return value;
    const frame = value.subarray(4);
    if (frame.length === 0) return frame;
    const decodedBytes = zstdContentBytes(frame) ?? (await measureFrame(frame));
    if (decodedBytes > CONTENT_BYTES_MAX) throw damaged(`its zstd frame claims ${decodedBytes} bytes`);
    if (decodedBytes === 0) return Buffer.alloc(0);
    return this.#engine.decompress(frame, { decodedBytes });
  }

  /**
   * Turns one version into the next. The older system kept the whole new content in place of a delta when the older
   * one was empty, and nothing when nothing had changed.
   *
   * @throws DK_CORRUPT_RECORD, DK_CORRUPT_DELTA, DK_LIMIT
   */
  async applyDelta(source: Buffer, delta: Buffer): Promise<Buffer> {
    if (source.length === 0) return delta;
    if (delta.length === 0) return source;
    if (!isDelta(delta)) throw damaged('a delta of unknown kind');
    return this.#engine.bsdiffPatch(source, delta, CONTENT_BYTES_MAX);
  }
}

/** The encoder of the older system leaves the length out below 256 bytes; other encoders may for longer content, too. */
const UNSTATED_BYTES = [256, 64 << 10, 8 << 20] as const;

/** Length of the content of a frame that does not state it: the twin decodes into more room than needed and says. */
async function measureFrame(frame: Buffer): Promise<number> {
  const twin = loadTwin();
  for (const decodedBytes of UNSTATED_BYTES) {
    try {
      return (await twin.decompress(frame, { decodedBytes })).length;
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_CORRUPT_DELTA')) throw error;
      if (typeof error.facts.actual === 'number') return error.facts.actual;
    }
  }
  throw damaged('its zstd frame is damaged');
}

/** Whether bytes begin as a delta of the older system does. */
export function isDelta(bytes: Buffer): boolean {
  return bytes.subarray(0, BSDIFF_MARK.length).equals(BSDIFF_MARK);
}

/** Errors that say "these bytes are damaged", and no other. */
export function isDamage(error: unknown): error is Error {
  if (!isDiffKeeperError(error)) return false;
  return error.code.startsWith('DK_CORRUPT') || error.code === 'DK_LIMIT' || error.code === 'DK_DIGEST_MISMATCH';
}

/** Content length that a zstd frame states in its header (RFC 8878, 3.1.1.1); null when it states none. */
function zstdContentBytes(frame: Buffer): number | null {
  if (frame.length < 6 || frame.readUInt32LE(0) !== 0xfd2fb528) throw damaged('it is no zstd frame');
  const descriptor = frame[4] ?? 0;
  const single = (descriptor >> 5) & 1;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const kind = descriptor >> 6;
  if (kind === 0 && !single) return null;
  const at = 5 + (single ? 0 : 1) + dictionary;
  if (at + (1 << kind) > frame.length) throw damaged('its zstd frame is cut off');
  if (kind === 0) return frame[at] ?? 0;
  if (kind === 1) return frame.readUInt16LE(at) + 256;
  return kind === 2 ? frame.readUInt32LE(at) : Number(frame.readBigUInt64LE(at));
}
