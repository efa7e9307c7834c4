/**
 * Decodes one gzip value as the older system would have: several members one after the other are fine, anything else
 * behind a member is damage. Checksums are verified. Memory does not depend on what the bytes decode to.
 */
import { Readable } from 'node:stream';
import { DiffKeeperError, zlib } from '../core/core.js';
import type { BoltValue } from './bolt-page.js';

/** Values up to this length whose trailer promises as little are decoded at once. */
const SHORT_BYTES = 1 << 20;
const CHUNK_BYTES = 256 << 10;

export type Chunks = AsyncIterable<Buffer>;

/** The content of a gzip value: bytes when it is short, else a stream that fails where the damage is. */
export async function openGzip(value: BoltValue): Promise<Buffer | Chunks> {
  if (value.length > SHORT_BYTES) return streamGzip(value);
  const bytes = await value.read(SHORT_BYTES);
  // The trailer of a hostile value lies; it only chooses between two ways that are both bounded.
  const promised = bytes.length >= 18 ? bytes.readUInt32LE(bytes.length - 4) : 0;
  if (promised > SHORT_BYTES) return streamGzip(value);
  return (await gunzipShort(bytes, promised)) ?? streamGzip(value);
}

/** Null when it turns out longer than its trailer promised. */
function gunzipShort(bytes: Buffer, promised: number): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    // Room for all of it at once, and a byte to see that it is all: otherwise pieces are gathered and copied.
    const options = { maxOutputLength: SHORT_BYTES, chunkSize: Math.max(64, promised + 1), info: true } as const;
    zlib().gunzip(bytes, options, (error, result) => {
      if (error) {
        if ((error as { code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') resolve(null);
        else reject(gzipDamage(error));
        return;
      }
      // With `info` Node hands out the decoder, too, which knows how much it took.
      const { buffer, engine } = result as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
      if (engine.bytesWritten !== bytes.length) reject(trailing(bytes.length - engine.bytesWritten));
      else resolve(buffer);
    });
  });
}

async function* streamGzip(value: BoltValue): AsyncGenerator<Buffer> {
  const decoder = zlib().createGunzip({ chunkSize: CHUNK_BYTES });
  const input = Readable.from(value.stream(), { objectMode: false });
  let inputError: unknown;
  input.on('error', (error) => {
    inputError = error;
    decoder.destroy(error);
  });
  input.pipe(decoder);
  try {
    for await (const chunk of decoder) yield chunk as Buffer;
  } catch (error) {
    throw inputError ?? gzipDamage(error);
  } finally {
    input.destroy();
    decoder.destroy();
  }
  if (decoder.bytesWritten !== value.length) throw trailing(value.length - decoder.bytesWritten);
}

function trailing(bytes: number): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_RECORD', `gzip: ${bytes} bytes behind its end`);
}

function gzipDamage(error: unknown): DiffKeeperError {
  const message = error instanceof Error ? error.message : String(error);
  return new DiffKeeperError('DK_CORRUPT_RECORD', `gzip: ${message}`, {}, error);
}
