/** Applies a delta in windows: source read at any place, delta and target one after the other, bounded memory. */
import { DiffKeeperError, throwIfAborted } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import type { ByteInput } from './byte-input.js';
import type { ByteOutput } from './byte-output.js';
import { corrupt, sourceMismatch } from './container-parts.js';
import { engineOfNumber } from './engines.js';
import { inOrder } from './in-order.js';
import type { SourceBytes } from './source-bytes.js';
import {
  decodeHeader,
  decodeRecord,
  HEADER_BYTES_MAX,
  RECORD_HEAD_BYTES,
  recordRest,
  type WindowRecord,
  type WindowsHeader,
} from './window-format.js';
import { type DeltaProgress, gatherRanges, walkSource } from './window-job.js';

/** Bytes copied at a time. */
const COPY_BYTES = 8 << 20;

/** A delta in windows, read record by record. */
export class WindowReader {
  readonly header: WindowsHeader;
  /** Bytes of the delta read so far. */
  at: number;
  readonly #engine: Engine;
  readonly #input: ByteInput;
  #ahead: Buffer;

  private constructor(engine: Engine, input: ByteInput, start: Buffer) {
    const { header, bytes } = decodeHeader(engine, start);
    this.#engine = engine;
    this.#input = input;
    this.header = header;
    this.at = bytes;
    this.#ahead = start.subarray(bytes);
  }

  /** Reads the header. @param start first bytes of the delta, read already */
  static async open(engine: Engine, input: ByteInput, start: Buffer): Promise<WindowReader> {
    const bytes = Buffer.alloc(Math.max(HEADER_BYTES_MAX, start.length));
    start.copy(bytes);
    const filled = await input.fill(bytes.subarray(start.length));
    return new WindowReader(engine, input, bytes.subarray(0, start.length + filled));
  }

  async #take(into: Buffer): Promise<void> {
    const held = this.#ahead.copy(into);
    this.#ahead = this.#ahead.subarray(held);
    const filled = held + (held < into.length ? await this.#input.fill(into.subarray(held)) : 0);
    if (filled < into.length) throw corrupt('it is cut off', this.at + filled);
    this.at += into.length;
  }

  async #record(): Promise<WindowRecord> {
    const begin = this.at;
    const head = Buffer.alloc(RECORD_HEAD_BYTES);
    await this.#take(head);
    const rest = recordRest(head, begin);
    if (this.#input.length !== undefined && this.at + rest > this.#input.length) throw corrupt('it is cut off', begin);
    const record = Buffer.allocUnsafeSlow(RECORD_HEAD_BYTES + rest);
    head.copy(record);
    await this.#take(record.subarray(RECORD_HEAD_BYTES));
    return decodeRecord(this.#engine, record, begin, this.header.sourceBytes);
  }

  async #checkEnd(): Promise<void> {
    const more = this.#ahead.length > 0 ? 1 : await this.#input.fill(Buffer.alloc(1));
    if (more > 0) throw corrupt('bytes follow its end', this.at);
  }

  /** All records, the end included; sums and what must stand at the end are checked. Throws DK_CORRUPT_DELTA. */
  async *records(): AsyncGenerator<WindowRecord, void> {
    let targetBytes = 0;
    for (let records = 0; ; records += 1) {
      const begin = this.at;
      const record = await this.#record();
      if (record.kind === 'end') {
        const known = this.header.targetBytes ?? targetBytes;
        if (record.records !== records || record.targetBytes !== targetBytes || known !== targetBytes) {
          throw corrupt('its end does not fit its windows', begin);
        }
        await this.#checkEnd();
        yield record;
        return;
      }
      targetBytes += record.kind === 'copy' ? record.length : record.targetBytes;
      if (targetBytes > (this.header.targetBytes ?? Number.MAX_SAFE_INTEGER)) {
        throw corrupt('its windows make more than the target', begin);
      }
      yield record;
    }
  }
}

export interface WindowPatchJob {
  readonly engine: Engine;
  readonly source: SourceBytes;
  readonly reader: WindowReader;
  readonly output: ByteOutput;
  readonly targetBytesMax: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: DeltaProgress | undefined;
}

/** One piece of target: a window, a part of a copy, or the end. */
type Piece = Exclude<WindowRecord, { kind: 'copy' }> | { readonly kind: 'copy'; offset: number; length: number };

async function* piecesOf({ reader, targetBytesMax, signal }: WindowPatchJob): AsyncIterable<Piece> {
  let targetBytes = 0;
  for await (const record of reader.records()) {
    throwIfAborted(signal);
    if (record.kind !== 'end') targetBytes += record.kind === 'copy' ? record.length : record.targetBytes;
    checkLimit(targetBytes, targetBytesMax);
    if (record.kind !== 'copy') {
      yield record;
      continue;
    }
    for (let done = 0; done < record.length; done += COPY_BYTES) {
      throwIfAborted(signal);
      yield { kind: 'copy', offset: record.offset + done, length: Math.min(COPY_BYTES, record.length - done) };
    }
  }
}

function checkLimit(targetBytes: number, targetBytesMax: number): void {
  if (targetBytes <= targetBytesMax) return;
  throw new DiffKeeperError('DK_LIMIT', `the delta makes ${targetBytes} bytes; at most ${targetBytesMax} are allowed`, {
    expected: targetBytesMax,
    actual: targetBytes,
  });
}

async function makePiece({ engine, source }: WindowPatchJob, piece: Piece): Promise<Uint8Array> {
  if (piece.kind === 'end') return new Uint8Array(0);
  if (piece.kind === 'copy') {
    const bytes = Buffer.allocUnsafeSlow(piece.length);
    await source.read(piece.offset, bytes);
    return bytes;
  }
  const { targetBytes, payload, ranges } = piece;
  const total = ranges.reduce((sum, { length }) => sum + length, 0);
  const context = await gatherRanges(source, ranges, Buffer.allocUnsafeSlow(total));
  const made = await engineOfNumber(piece.engineNumber).decode(engine, { source: context, payload, targetBytes });
  if (made.length === targetBytes) return made;
  throw new DiffKeeperError('DK_CORRUPT_DELTA', `a window makes ${made.length} bytes, not ${targetBytes}`, {
    expected: targetBytes,
    actual: made.length,
  });
}

/** Length first, then the digest of every byte: a wrong source writes nothing. Throws DK_SOURCE_MISMATCH. */
async function checkSource(job: WindowPatchJob, onRead: (bytes: number) => void): Promise<void> {
  const { source, reader, engine, signal } = job;
  const { sourceBytes, sourceDigest, hashAlgo } = reader.header;
  const same = source.length === sourceBytes;
  const actual = same ? await walkSource({ engine, source, hashAlgo, signal, onRead }) : undefined;
  if (actual?.equals(sourceDigest)) return;
  throw sourceMismatch({ sourceBytes, hashAlgo, sourceDigest: sourceDigest.toString('hex') }, source.length, actual);
}

/** Writes the whole target, verified, to the output, which the caller commits. @returns bytes of the target */
export async function patchInWindows(job: WindowPatchJob): Promise<number> {
  const { engine, reader, output, onProgress } = job;
  const { header } = reader;
  checkLimit(header.targetBytes ?? 0, job.targetBytesMax);
  const totalBytes = header.sourceBytes + (header.targetBytes ?? 0);
  let doneBytes = 0;
  const advance = (bytes: number): void => {
    doneBytes += bytes;
    onProgress?.(doneBytes, Math.max(totalBytes, doneBytes));
  };
  await checkSource(job, advance);
  const digest = engine.createDigest(header.hashAlgo);
  let targetBytes = 0;
  let expected: Buffer | undefined;
  await inOrder(piecesOf(job), {
    ahead: 1,
    async work(piece) {
      return { piece, bytes: await makePiece(job, piece) };
    },
    async take({ piece, bytes }) {
      throwIfAborted(job.signal);
      if (piece.kind === 'end') expected = piece.targetDigest;
      else await Promise.all([digest.update(bytes), output.write(bytes)]);
      targetBytes += bytes.length;
      advance(bytes.length);
    },
  });
  const actual = digest.finish();
  if (expected === undefined || !actual.equals(expected)) {
    const promised = expected?.toString('hex') ?? '';
    throw new DiffKeeperError(
      'DK_DIGEST_MISMATCH',
      `the delta decodes to other bytes than it promises (${header.hashAlgo} ${promised})`,
      { expected: promised, actual: actual.toString('hex') },
    );
  }
  return targetBytes;
}
