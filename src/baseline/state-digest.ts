/** Digests of states and their segments: kinds, lengths, and who makes them. Normative text: `docs/format-state.md`. */
import type { CopiedDigest, Engine, GroupDigestKind } from '../engine/engine.js';
import type { StateDigest } from './state-types.js';

/** By their numbers in messages: never change, never reuse. */
export const DIGEST_KINDS: readonly StateDigest[] = ['blake3', 'sha256', 'xxh3'];
export const QUICK_BYTES = 16;
export const STRONG_BYTES = 32;
const LIST_MAGIC = Buffer.from('DKXXH3S1', 'latin1');
const NO_BYTES = Buffer.alloc(0);

export function digestBytes(kind: StateDigest): number {
  return kind === 'xxh3' ? QUICK_BYTES : STRONG_BYTES;
}

/** The kind of which values of groups make it cheaper; undefined where nothing does. */
export function groupKind(kind: StateDigest): GroupDigestKind | undefined {
  return kind === 'sha256' ? undefined : kind;
}

/** @param copies a copy of the bytes is wanted, too, if it comes along */
export async function segmentDigest(
  engine: Engine,
  kind: StateDigest,
  bytes: Uint8Array,
  copies: boolean,
): Promise<CopiedDigest> {
  const grouped = groupKind(kind);
  if (grouped !== undefined) return engine.groupDigest(bytes, copies, grouped);
  return { digest: await engine.digestAsync('sha256', bytes), groups: NO_BYTES };
}

/** Of a state of several segments: made of theirs; of one segment: that of its bytes. */
export function stateDigest(engine: Engine, kind: StateDigest, digests: readonly Buffer[]): Buffer {
  const [only] = digests;
  if (digests.length === 1 && only) return only;
  if (kind !== 'xxh3') return engine.merkleRoot(kind, Buffer.concat(digests));
  const count = Buffer.alloc(8);
  count.writeBigUInt64LE(BigInt(digests.length));
  return engine.xxh3Wide(Buffer.concat([LIST_MAGIC, count, ...digests]), 0n);
}

/** What a kept digest may be, the likeliest first: its kind was not kept. @param own kind of who asks */
export function kindsOf(digest: Buffer, own: StateDigest): readonly StateDigest[] {
  if (digest.length === QUICK_BYTES) return ['xxh3'];
  return own === 'sha256' ? ['sha256', 'blake3'] : ['blake3', 'sha256'];
}
