/** Digests as map keys. */
const keys = new WeakMap<Uint8Array, string>();

/** Text that is equal for equal digests. Kept with the digest, which must not change: long lists name few blobs. */
export function digestKey(digest: Uint8Array): string {
  const known = keys.get(digest);
  if (known !== undefined) return known;
  const key = Buffer.from(digest.buffer, digest.byteOffset, digest.byteLength).toString('latin1');
  keys.set(digest, key);
  return key;
}
