/** Messages about blobs, and about paths. */
import { type BytePath, LIMITS, pathBytes, pathFromBytes } from '../core/core.js';
import { ByteWriter, type Digest } from '../format/format.js';
import type { BlobDescription } from '../store/store.js';
import { ANSWER_BYTES, bad, DIGESTS_MAX, reader } from './protocol.js';

/** Paths in one question: each is a search. */
export const PATHS_MAX = 1000;

/** What stands before digests. */
export interface DigestsFacts {
  /** Number of the batch, 0 where there is none. */
  readonly number: number;
  /** Bytes of records that the taking side knows to want in this run so far, this batch included. */
  readonly planned: number;
}

export function encodeDigests(
  digests: readonly Digest[],
  { number, planned }: DigestsFacts = { number: 0, planned: 0 },
): Buffer {
  const writer = new ByteWriter(24 + digests.length * 32).varint(number).varint(planned);
  for (const digest of digests) writer.bytes(digest);
  return writer.finish();
}

export function decodeDigests(bytes: Buffer): DigestsFacts & { readonly digests: readonly Digest[] } {
  const from = reader(bytes, 'digests');
  const number = from.varint();
  const planned = from.varint();
  if (from.left % 32 !== 0 || from.left > DIGESTS_MAX * 32) throw bad('a list of digests that is none');
  const digests: Digest[] = [];
  while (from.left > 0) digests.push(Buffer.from(from.bytes(32)));
  return { number, planned, digests };
}

/** As many as fit an answer, at least one; an undefined one is not there. */
export function encodeDescriptions(descriptions: readonly (BlobDescription | undefined)[]): Buffer {
  const writer = new ByteWriter(descriptions.length * 16);
  for (const one of descriptions) {
    if (writer.length > 0 && writer.length + (one?.contexts.length ?? 0) * 32 + 32 > ANSWER_BYTES) break;
    if (!one) {
      writer.u8(0);
      continue;
    }
    writer
      .u8(one.kind === 'recipe' ? 2 : 1)
      .u8(one.depth)
      .varint(one.recordBytes)
      .varint(one.contexts.length);
    for (const digest of one.contexts) writer.bytes(digest);
  }
  return writer.finish();
}

/** Of the first of these digests, as many as the giver described. @throws DK_PROTOCOL */
export function decodeDescriptions(bytes: Buffer, digests: readonly Digest[]): (BlobDescription | undefined)[] {
  const from = reader(bytes, 'descriptions');
  const descriptions: (BlobDescription | undefined)[] = [];
  while (from.left > 0) {
    const digest = digests[descriptions.length];
    const kind = from.u8();
    if (!digest || kind > 2) throw bad('descriptions of what nobody asked for');
    if (kind === 0) {
      descriptions.push(undefined);
      continue;
    }
    const depth = from.u8();
    const recordBytes = from.varint(LIMITS.payloadBytes + LIMITS.contextListBytes + 64);
    const contexts: Digest[] = [];
    for (let left = from.varint(LIMITS.contextListBytes / 32); left > 0; left -= 1) {
      contexts.push(Buffer.from(from.bytes(32)));
    }
    descriptions.push({ digest, kind: kind === 2 ? 'recipe' : 'blob', depth, recordBytes, contexts });
  }
  if (descriptions.length === 0 && digests.length > 0) throw bad('no descriptions');
  return descriptions;
}

/** Which of these paths a checkpoint has. */
export function encodePaths(sequence: number, paths: readonly BytePath[]): Buffer {
  const writer = new ByteWriter(1024).varint(sequence).varint(paths.length);
  for (const path of paths) writer.varint(path.length).bytes(pathBytes(path));
  return writer.finish();
}

export function decodePaths(bytes: Buffer): { readonly sequence: number; readonly paths: readonly BytePath[] } {
  const from = reader(bytes, 'paths');
  const sequence = from.varint();
  const count = from.varint(PATHS_MAX);
  const paths: BytePath[] = [];
  for (let index = 0; index < count; index += 1) paths.push(pathFromBytes(from.bytes(from.varint(LIMITS.pathBytes))));
  from.expectEnd();
  return { sequence, paths };
}

export function decodeAlive(bytes: Buffer, count: number): boolean[] {
  if (bytes.length !== count || bytes.some((value) => value > 1)) throw bad('other answers than asked for');
  return [...bytes].map((value) => value === 1);
}
