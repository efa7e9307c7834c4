/** Byte arrays as one, without copying where they stand in one piece of memory already. */

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

/** Parts as places in one array: what they stand in when that is one piece of memory, else a copy of them. */
export function spanBytes(parts: readonly Uint8Array[]): { readonly data: Uint8Array; readonly pieces: Uint32Array } {
  const [first] = parts;
  const pieces = new Uint32Array(2 * parts.length);
  if (!first) return { data: new Uint8Array(0), pieces };
  const { buffer } = first;
  const one = parts.every((part) => part.buffer === buffer);
  const begin = parts.reduce((least, { byteOffset }) => Math.min(least, byteOffset), first.byteOffset);
  const end = parts.reduce((most, { byteOffset, length }) => Math.max(most, byteOffset + length), begin);
  let at = 0;
  for (const [index, { byteOffset, length }] of parts.entries()) {
    pieces[2 * index] = one ? byteOffset - begin : at;
    pieces[2 * index + 1] = length;
    at += length;
  }
  return { data: one ? new Uint8Array(buffer, begin, end - begin) : Buffer.concat(parts), pieces };
}
