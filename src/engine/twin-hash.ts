/**
 * Digests of the twin: SHA-256 by node:crypto, BLAKE3 by WebAssembly once it is
 * compiled and by the slower TypeScript before that, so that synchronous calls
 * never have to wait.
 */
import { open } from 'node:fs/promises';
import type { IHasher } from 'hash-wasm';
import { createHash, throwIfAborted } from '../core/core.js';
import type { HashAlgo, StreamDigest } from './engine.js';
import { blake3, leftCount } from './twin-blake3.js';

/** Bytes hashed before other work gets its turn. */
const SLICE_BYTES = 1 << 20;

let compiled: Promise<void> | undefined;
let sharedBlake3: IHasher | undefined;

/** The library is large: loaded when it is needed, which beside the addon is never. */
async function newBlake3(): Promise<IHasher> {
  const { createBLAKE3 } = await import('hash-wasm');
  return createBLAKE3();
}

/** Compiles the WebAssembly hash; later synchronous digests use it. Cheap to call again. */
export function warmHashes(): Promise<void> {
  compiled ??= newBlake3().then((hasher) => {
    sharedBlake3 = hasher;
  });
  return compiled;
}

/** Lets timers, I/O and other callers run. */
export function yieldTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Digest of bytes, 32 bytes. */
export function digestBytes(algo: HashAlgo, data: Uint8Array): Buffer {
  if (algo === 'sha256') return createHash('sha256').update(data).digest();
  if (sharedBlake3 === undefined) return blake3(data);
  return Buffer.from(sharedBlake3.init().update(data).digest('binary'));
}

/** A digest that is fed piece by piece. */
export interface RunningDigest {
  update(data: Uint8Array): void;
  digest(): Buffer;
}

/** Starts a digest of its own, independent of all others that run. */
export async function startDigest(algo: HashAlgo): Promise<RunningDigest> {
  if (algo === 'sha256') {
    const hash = createHash('sha256');
    return { update: (data) => void hash.update(data), digest: () => hash.digest() };
  }
  const hasher = (await newBlake3()).init();
  return {
    update: (data) => void hasher.update(data),
    digest: () => Buffer.from(hasher.digest('binary')),
  };
}

/** `startDigest` for callers that cannot wait before the first piece; gives others a turn after every MiB. */
export function createDigest(algo: HashAlgo): StreamDigest {
  const starting = startDigest(algo);
  let running: RunningDigest | undefined;
  return {
    async update(data) {
      running ??= await starting;
      for (let at = 0; at < data.length; at += SLICE_BYTES) {
        running.update(data.subarray(at, at + SLICE_BYTES));
        await yieldTurn();
      }
    },
    finish: () => running?.digest() ?? digestBytes(algo, new Uint8Array(0)),
  };
}

/** As `digestBytes`, giving others a turn after every MiB. */
export async function digestLong(algo: HashAlgo, data: Uint8Array): Promise<Buffer> {
  await warmHashes();
  if (data.length <= SLICE_BYTES) return digestBytes(algo, data);
  const running = await startDigest(algo);
  for (let at = 0; at < data.length; at += SLICE_BYTES) {
    running.update(data.subarray(at, at + SLICE_BYTES));
    await yieldTurn();
  }
  return running.digest();
}

/** Digests of consecutive pieces, 32 bytes each. The caller has checked that the lengths fit. */
export async function digestPieces(algo: HashAlgo, data: Uint8Array, lengths: Uint32Array): Promise<Buffer> {
  await warmHashes();
  const all = Buffer.alloc(lengths.length * 32);
  let at = 0;
  let sinceTurn = 0;
  for (const [i, length] of lengths.entries()) {
    const piece = data.subarray(at, at + length);
    at += length;
    all.set(length > SLICE_BYTES ? await digestLong(algo, piece) : digestBytes(algo, piece), i * 32);
    sinceTurn += length;
    if (sinceTurn >= SLICE_BYTES) {
      sinceTurn = 0;
      await yieldTurn();
    }
  }
  return all;
}

/** Digest of a file's content with bounded memory. Rejects with the system error, or DK_ABORTED. */
export async function digestFile(algo: HashAlgo, path: string, signal?: AbortSignal): Promise<Buffer> {
  throwIfAborted(signal);
  const running = await startDigest(algo);
  const file = await open(path, 'r');
  try {
    const block = Buffer.allocUnsafe(SLICE_BYTES);
    for (;;) {
      throwIfAborted(signal);
      const { bytesRead } = await file.read(block, 0, block.length, null);
      if (bytesRead === 0) return running.digest();
      running.update(block.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** See `Engine.merkleRoot`. The caller has checked that `leaves` is a multiple of 32 bytes. */
export function merkleRoot(algo: HashAlgo, leaves: Uint8Array): Buffer {
  const count = leaves.length / 32;
  if (count === 0) return digestBytes(algo, new Uint8Array(0));
  const node = Buffer.alloc(65);
  const span = (first: number, width: number): Buffer => {
    if (width === 1) return Buffer.from(leaves.subarray(first * 32, first * 32 + 32));
    const left = leftCount(width);
    const leftRoot = span(first, left);
    const rightRoot = span(first + left, width - left);
    node[0] = 1;
    node.set(leftRoot, 1);
    node.set(rightRoot, 33);
    return digestBytes(algo, node);
  };
  return span(0, count);
}
