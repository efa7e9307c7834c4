/** Seeded bytes for tests: the same on every machine and every run. */

/** Bytes that do not compress, from a seeded xorshift. */
export function patternBytes(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length);
  let word = (seed * 2654435761) >>> 0 || 1;
  for (let i = 0; i < length; i += 1) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    bytes[i] = word >>> 8;
  }
  return bytes;
}

/** Text that compresses well. */
export function textBytes(length: number, seed: number): Buffer {
  const words = ['alpha', 'beta', 'gamma', 'delta', 'state', 'keeper', '{"id":', '},\n', '42', 'true'];
  const picks = patternBytes(length, seed);
  const bytes = Buffer.alloc(length);
  let at = 0;
  for (let i = 0; at < length; i += 1) {
    at += bytes.write(`${words[(picks[i] as number) % words.length]} `, at);
  }
  return bytes;
}
