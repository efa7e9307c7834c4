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

/** Property tests repeat exactly: a failure that nobody can repeat helps nobody. */
export const RUNS = { seed: 20_251, numRuns: 40 } as const;

/** A target that shares most of its bytes with the source: edits, an insertion, another length. */
export function editedBytes(source: Buffer, seed: number): Buffer {
  const edited = Buffer.from(source);
  for (let i = 0; i < 10 && edited.length > 0; i += 1) {
    const at = patternBytes(4, seed + i).readUInt32LE(0) % edited.length;
    edited[at] = ((edited[at] as number) + 1) & 255;
  }
  return Buffer.concat([
    edited.subarray(0, edited.length >> 1),
    patternBytes(37, seed),
    edited.subarray(edited.length >> 1),
  ]);
}

/** Lengths as the batches want them. */
export function lengthsOf(parts: readonly Uint8Array[]): Uint32Array {
  return Uint32Array.from(parts, (part) => part.length);
}
