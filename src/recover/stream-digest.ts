/** Digest of content that passes by piece by piece. The engine's digests want the whole content at once or a file. */
import { createHash } from 'node:crypto';
import type { HashAlgo } from '../engine/engine.js';

export interface StreamDigest {
  update(bytes: Uint8Array): void;
  /** Ends the digest: 32 bytes. */
  finish(): Buffer;
}

export async function createStreamDigest(algo: HashAlgo): Promise<StreamDigest> {
  if (algo === 'sha256') {
    const hash = createHash('sha256');
    return {
      update: (bytes) => void hash.update(bytes),
      finish: () => hash.digest(),
    };
  }
  const { createBLAKE3 } = await import('hash-wasm');
  const hash = await createBLAKE3();
  hash.init();
  return {
    update: (bytes) => void hash.update(bytes),
    finish: () => Buffer.from(hash.digest('binary')),
  };
}
