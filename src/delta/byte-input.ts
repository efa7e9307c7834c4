/** Bytes read one after the other: a file, a stream, or bytes in memory. */
import { addAbortSignal, type Readable } from 'node:stream';
import { DiffKeeperError, fromSystemError, throwIfAborted } from '../core/core.js';
import { openForReading, readAt } from './source-bytes.js';

export interface ByteInput {
  /** Bytes in all, where that is known before the end. */
  readonly length: number | undefined;
  /** Fills `into` as far as there are bytes. @returns bytes filled, fewer only at the end */
  fill(into: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

function streamInput(stream: Readable, signal: AbortSignal | undefined): ByteInput {
  // A stream that has stopped giving bytes would keep an abort waiting for ever.
  if (signal !== undefined) addAbortSignal(signal, stream);
  const pieces = stream[Symbol.asyncIterator]() as AsyncIterator<unknown>;
  let held: Uint8Array = new Uint8Array(0);
  const next = async (): Promise<boolean> => {
    const step = await pieces.next().catch((error: unknown) => {
      throwIfAborted(signal);
      throw fromSystemError(error, 'read', 'the stream');
    });
    if (step.done === true) return false;
    if (!(step.value instanceof Uint8Array)) throw new TypeError('the stream must give bytes, not text or objects');
    held = step.value;
    return true;
  };
  return {
    length: undefined,
    async fill(into) {
      let done = 0;
      while (done < into.length) {
        if (held.length === 0 && !(await next())) break;
        const part = held.subarray(0, into.length - done);
        into.set(part, done);
        held = held.subarray(part.length);
        done += part.length;
      }
      return done;
    },
    async close() {
      await pieces.return?.();
    },
  };
}

/** Bytes in memory. */
export function inputInMemory(bytes: Uint8Array): ByteInput {
  let at = 0;
  return {
    length: bytes.length,
    async fill(into) {
      const part = bytes.subarray(at, at + into.length);
      into.set(part);
      at += part.length;
      return part.length;
    },
    async close() {},
  };
}

/** Opens a file, or takes a stream of bytes, which an abort destroys. Throws DK_NOT_FOUND, DK_IO, TypeError. */
export async function openInput(from: string | Readable, signal?: AbortSignal): Promise<ByteInput> {
  if (typeof from !== 'string') return streamInput(from, signal);
  const handle = await openForReading(from);
  const facts = await handle.stat();
  if (facts.isDirectory()) {
    await handle.close();
    throw new DiffKeeperError('DK_IO', `cannot read ${from}: it is a directory`, { path: from });
  }
  if (!facts.isFile()) return streamInput(handle.createReadStream(), signal);
  let at = 0;
  return {
    length: facts.size,
    async fill(into) {
      const done = await readAt(handle, from, at, into);
      at += done;
      return done;
    },
    close: () => handle.close(),
  };
}

/** Why more bytes than this are not taken into memory. */
export function tooLong(bytesMax: number): DiffKeeperError {
  return new DiffKeeperError('DK_LIMIT', `more than ${bytesMax} bytes have to be held in memory`, {
    expected: bytesMax,
  });
}

/** Everything that is left, up to `bytesMax`. Throws DK_LIMIT when there is more: before any is read where the length is known. */
export async function readRest(input: ByteInput, start: Uint8Array, bytesMax: number): Promise<Buffer> {
  if (input.length !== undefined) {
    if (input.length > bytesMax) throw tooLong(bytesMax);
    const whole = Buffer.allocUnsafeSlow(Math.max(input.length, start.length));
    whole.set(start);
    const filled = await input.fill(whole.subarray(start.length));
    return whole.subarray(0, start.length + filled);
  }
  const parts: Uint8Array[] = [start];
  let total = start.length;
  for (let size = 1 << 16; ; size = Math.min(size * 2, 1 << 24)) {
    const part = Buffer.allocUnsafeSlow(size);
    const filled = await input.fill(part);
    total += filled;
    if (total > bytesMax) throw tooLong(bytesMax);
    parts.push(part.subarray(0, filled));
    if (filled < size) return Buffer.concat(parts, total);
  }
}

/** Up to `bytesMax` bytes, and whether the input ended with them. Memory grows with what comes, not with what may. */
export async function readUpTo(
  input: ByteInput,
  bytesMax: number,
): Promise<{ readonly bytes: Buffer; readonly ended: boolean }> {
  const parts: Buffer[] = [];
  let total = 0;
  for (let size = input.length === undefined ? 1 << 16 : bytesMax; ; size = Math.min(size * 2, 1 << 24)) {
    const part = Buffer.allocUnsafeSlow(Math.min(size, bytesMax - total));
    const filled = await input.fill(part);
    parts.push(part.subarray(0, filled));
    total += filled;
    if (filled < part.length) return { bytes: joined(parts, total), ended: true };
    if (total === bytesMax) return { bytes: joined(parts, total), ended: input.length === bytesMax };
  }
}

function joined(parts: readonly Buffer[], total: number): Buffer {
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, total);
}
