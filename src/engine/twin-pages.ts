/** Page hashes of the twin: XXH3-128 with the store's seed, by WebAssembly. */
import { xxh3 } from './twin-xxh3.js';

/** Bytes of one value in a page table. */
export const PAGE_VALUE_BYTES = 16;

/** Hashes one page to 16 bytes in canonical (big-endian) order. */
export type PageHash = (page: Uint8Array) => Uint8Array;

/** Page hash of a store. Both engines seed XXH3-128 with the XXH3-64 of the 16-byte secret. */
export async function pageHash(seed: Uint8Array): Promise<PageHash> {
  const { createXXHash128 } = await import('hash-wasm');
  const seed64 = xxh3(seed);
  const hasher = await createXXHash128(Number(seed64 & 0xffffffffn), Number(seed64 >> 32n));
  return (page) => hasher.init().update(page).digest('binary');
}

const PAGE_BYTES = 4096;

/** See `Engine.pageHashes`. */
export async function hashPages(data: Uint8Array, seed: Uint8Array): Promise<Buffer> {
  const hash = await pageHash(seed);
  const values: Uint8Array[] = [];
  // The hasher hands out its own memory: each value is copied before the next.
  for (let at = 0; at < data.length; at += PAGE_BYTES)
    values.push(Buffer.from(hash(data.subarray(at, at + PAGE_BYTES))));
  return Buffer.concat(values);
}
