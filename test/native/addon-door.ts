import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import path from 'node:path';
import type {
  CompressOptions,
  CutOptions,
  DecodeBatch,
  DecodedBatch,
  EncodeBatch,
  EncodedBatch,
  HashAlgo,
} from '../../src/engine/engine.js';

/** The addon's own functions, before the TypeScript wrapper. */
export interface RawAddon {
  info(): { simd: string; threads: number; versions: Record<string, string> };
  digest(algo: HashAlgo, data: Uint8Array): Buffer;
  digestAsync(algo: HashAlgo, data: Uint8Array): Promise<Buffer>;
  digestMany(algo: HashAlgo, data: Uint8Array, lengths: Uint32Array): Promise<Buffer>;
  digestFile(algo: HashAlgo, path: string): Promise<Buffer>;
  merkleRoot(algo: HashAlgo, leaves: Uint8Array): Buffer;
  xxh3(data: Uint8Array, seed?: bigint): bigint;
  blake3FromGroups(data: Uint8Array): Buffer;
  compress(data: Uint8Array, options?: CompressOptions): Promise<Buffer>;
  decompress(
    data: Uint8Array,
    options: { decodedBytes: number; context?: Uint8Array; dictionary?: Uint8Array },
  ): Promise<Buffer>;
  xorDiff(source: Uint8Array, target: Uint8Array, level: number): Promise<Buffer>;
  xorPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number): Promise<Buffer>;
  sparseDiff(
    source: Uint8Array,
    target: Uint8Array,
    level: number,
    groups?: Uint8Array,
    kind?: string,
    simd?: string,
  ): Promise<{ readonly payload: Buffer; readonly digest: Buffer; readonly groups: Buffer }>;
  sparsePatch(
    source: Uint8Array,
    payload: Uint8Array,
    targetBytes: number,
    groups?: Uint8Array,
    into?: Uint8Array,
    kind?: string,
    simd?: string,
  ): Promise<{ readonly data: Buffer; readonly digest: Buffer; readonly groups: Buffer }>;
  groupDigest(
    data: Uint8Array,
    copy?: boolean,
    kind?: string,
  ): Promise<{ readonly digest: Buffer; readonly groups: Buffer; readonly copy?: Buffer }>;
  copyBytes(data: Uint8Array): Promise<Buffer>;
  holdSpareMemory(bytesMax: number): void;
  releaseSpareMemory(): void;
  /** Bytes kept for the next that wants them, of the whole process. */
  spareMemory(): number;
  trimSpareMemory(unusedMs: number): void;
  alignDiff(
    source: Uint8Array,
    target: Uint8Array,
    effort: 'fast' | 'balanced' | 'max',
    simd?: string,
  ): Promise<Buffer>;
  alignPatch(source: Uint8Array, payload: Uint8Array, targetBytes: number): Promise<Buffer>;
  bsdiffDiff(source: Uint8Array, target: Uint8Array, windowBytes?: number): Promise<Buffer>;
  bsdiffPatch(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Promise<Buffer>;
  vcdiffDiff(source: Uint8Array, target: Uint8Array, checksum: boolean): Promise<Buffer>;
  vcdiffPatch(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Promise<Buffer>;
  cut(data: Uint8Array, options: CutOptions): Promise<Uint32Array>;
  encodeBlobs(batch: EncodeBatch): Promise<EncodedBatch>;
  decodeBlobs(batch: DecodeBatch): Promise<DecodedBatch>;
  preallocate(fd: number, offset: number, bytes: number): void;
  syncFileSystem(directory: string): Promise<boolean>;
}

/** Where the tests take the addon from; `DK_ADDON` names another build (for example the sanitized one). */
export const addonPath = path.resolve(process.env.DK_ADDON ?? 'build/Release/diffkeeper.node');

export const addon = createRequire(import.meta.url)(addonPath) as RawAddon;

/** Seeded noise, the same in every run. */
export function noise(bytes: number, seed: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 32 < bytes; i += 1) blocks.push(createHash('sha256').update(`${seed}/${i}`).digest());
  return Buffer.concat(blocks).subarray(0, bytes);
}

/** Compressible text-like bytes. */
export function prose(bytes: number, seed: number): Buffer {
  const words = ['state', 'delta', 'blob', 'commit', 'page', 'root', 'chain', 'frame'];
  const picks = noise(bytes, seed);
  let text = '';
  for (let i = 0; text.length < bytes; i += 1) text += `${words[(picks[i % bytes] as number) % 8]}${i % 97} `;
  return Buffer.from(text.slice(0, bytes), 'latin1');
}
