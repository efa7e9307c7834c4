/** Joins byte arrays without copying where they stand side by side already. */

/** All parts, one after the other: a view when they are neighbours in one piece of memory, else a copy. */
export function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  const filled = parts.filter((part) => part.length > 0);
  const first = filled[0];
  if (!first) return new Uint8Array(0);
  let end = first.byteOffset;
  for (const part of filled) {
    if (part.buffer !== first.buffer || part.byteOffset !== end) return Buffer.concat(filled);
    end += part.length;
  }
  return Buffer.from(first.buffer, first.byteOffset, end - first.byteOffset);
}
