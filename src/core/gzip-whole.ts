/** Whole content as one gzip value, the form in which schema 1 keeps files. */
import { createHash, zlib } from './lazy-builtins.js';

export interface GzipValue {
  readonly value: Buffer;
  /** Of the content. */
  readonly sha256: Buffer;
}

/** Compresses at the default level, with a header that names neither time nor system. Holds the compressed bytes only. */
export async function gzipWhole(content: AsyncIterable<Uint8Array>): Promise<GzipValue> {
  const hash = createHash('sha256');
  const gzip = zlib().createGzip();
  const parts: Buffer[] = [];
  const gathered = (async () => {
    for await (const chunk of gzip as AsyncIterable<Buffer>) parts.push(chunk);
  })();
  // Awaited below; until then a failure must not count as unhandled.
  gathered.catch(() => {});
  try {
    for await (const piece of content) {
      hash.update(piece);
      if (!gzip.write(piece)) await new Promise((resolve) => gzip.once('drain', resolve));
    }
    gzip.end();
    await gathered;
  } finally {
    gzip.destroy();
  }
  const value = Buffer.concat(parts);
  value[9] = 0xff;
  return { value, sha256: hash.digest() };
}
