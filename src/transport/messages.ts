/** Bodies of the frames of a session (docs/format-transport.md, messages). Nothing read from them is trusted. */
import { LIMITS } from '../core/core.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import { digestBytesOf } from './blob-digests.js';
import type { Range } from './ranges.js';
import type { DigestKind } from './types.js';

const SERVICE_BYTES_MAX = 64;
const VERB_BYTES_MAX = 64;
const DIGEST_KNOWN = 1;
const DIGEST_XXH3 = 2;
/** Entries of one acknowledgement frame. */
export const ACKS_MAX = 4096;

export interface OfferBody {
  readonly service: string;
  readonly key: Buffer;
  readonly size: number;
  readonly digest?: Buffer;
  /** Default `blake3`. */
  readonly digestKind?: DigestKind;
  readonly meta: Buffer;
}

export interface Ack {
  readonly id: number;
  readonly offset: number;
}

const reading = (bytes: Buffer, what: string): ByteReader => new ByteReader(bytes, 'DK_PROTOCOL', what);

function asciiOf(reader: ByteReader, max: number, what: string): string {
  const text = reader.bytes(reader.varint(max)).toString('latin1');
  if (!/^[\x21-\x7e]+$/.test(text)) reader.fail(`a ${what} must be printable ASCII`);
  return text;
}

/** Throws RangeError unless it can be the name of a service or a verb. */
export function checkName(name: string, what: string): void {
  if (!/^[\x21-\x7e]{1,64}$/.test(name)) throw new RangeError(`a ${what} must be 1 to 64 printable ASCII characters`);
}

export function encodeOffer(offer: OfferBody): ByteWriter {
  const writer = new ByteWriter(128 + offer.meta.length);
  writer.varint(offer.service.length).bytes(Buffer.from(offer.service, 'latin1'));
  writer.varint(offer.key.length).bytes(offer.key).varint(offer.size);
  writer.u8((offer.digest === undefined ? 0 : DIGEST_KNOWN) | (offer.digestKind === 'xxh3' ? DIGEST_XXH3 : 0));
  if (offer.digest !== undefined) writer.bytes(offer.digest);
  return writer.varint(offer.meta.length).bytes(offer.meta);
}

function offerFrom(reader: ByteReader): OfferBody {
  const service = asciiOf(reader, SERVICE_BYTES_MAX, 'service');
  const key = Buffer.from(reader.bytes(reader.varint(LIMITS.blobKeyBytes)));
  const size = reader.varint(LIMITS.fileBytes);
  const flags = reader.flags(DIGEST_KNOWN | DIGEST_XXH3);
  const digestKind = flags & DIGEST_XXH3 ? 'xxh3' : 'blake3';
  const digest = flags & DIGEST_KNOWN ? { digest: Buffer.from(reader.bytes(digestBytesOf(digestKind))) } : {};
  const meta = Buffer.from(reader.bytes(reader.varint(LIMITS.blobMetaBytes)));
  return { service, key, size, ...digest, digestKind, meta };
}

export function decodeOffer(bytes: Buffer): OfferBody {
  const reader = reading(bytes, 'offer');
  const offer = offerFrom(reader);
  reader.expectEnd();
  return offer;
}

/** A blob in one frame: the offer, then the bytes, exactly as many as it says. */
export function decodeBlob(bytes: Buffer): { readonly offer: OfferBody; readonly content: Buffer } {
  const reader = reading(bytes, 'blob');
  const offer = offerFrom(reader);
  if (offer.digest === undefined) reader.fail('a blob in one frame must carry its digest');
  if (reader.left !== offer.size) reader.fail(`${offer.size} bytes were announced, ${reader.left} came`);
  return { offer, content: reader.bytes(offer.size) };
}

/** Stretches as gaps and lengths, ascending and apart. */
export function encodeHave(ranges: readonly Range[]): Buffer {
  const writer = new ByteWriter(8 + ranges.length * 8).varint(ranges.length);
  let end = 0;
  for (const [start, stop] of ranges) {
    writer.varint(start - end).varint(stop - start);
    end = stop;
  }
  return writer.finish();
}

export function decodeHave(bytes: Buffer, size: number): Range[] {
  const reader = reading(bytes, 'have');
  const ranges: Range[] = [];
  let end = 0;
  for (let left = reader.varint(LIMITS.haveRanges); left > 0; left -= 1) {
    const start = end + reader.varint(size - end);
    end = start + reader.varint(size - start);
    if (end === start) reader.fail('a stretch is empty');
    ranges.push([start, end]);
  }
  reader.expectEnd();
  return ranges;
}

export function encodeAcks(acks: readonly Ack[]): Buffer {
  const writer = new ByteWriter(8 + acks.length * 10).varint(acks.length);
  for (const { id, offset } of acks) writer.varint(id).varint(offset);
  return writer.finish();
}

export function decodeAcks(bytes: Buffer): Ack[] {
  const reader = reading(bytes, 'acknowledgement');
  const acks: Ack[] = [];
  for (let left = reader.varint(ACKS_MAX); left > 0; left -= 1) {
    acks.push({ id: reader.varint(), offset: reader.varint(LIMITS.fileBytes) });
  }
  reader.expectEnd();
  return acks;
}

export function encodeRequest(verb: string, body: Uint8Array): Buffer {
  return new ByteWriter(body.length + 80).varint(verb.length).bytes(Buffer.from(verb, 'latin1')).bytes(body).finish();
}

export function decodeRequest(bytes: Buffer): { readonly verb: string; readonly body: Buffer } {
  const reader = reading(bytes, 'request');
  const verb = asciiOf(reader, VERB_BYTES_MAX, 'verb');
  return { verb, body: reader.bytes(reader.left) };
}

/** 16 or 32 bytes; which of them it must be, the blob says. */
export function decodeDigest(bytes: Buffer): Buffer {
  const reader = reading(bytes, 'digest');
  const kind = reader.left === digestBytesOf('xxh3') ? 'xxh3' : 'blake3';
  const digest = Buffer.from(reader.bytes(digestBytesOf(kind)));
  reader.expectEnd();
  return digest;
}

export function encodeNumber(value: number): Buffer {
  return new ByteWriter(8).varint(value).finish();
}

export function decodeStreams(bytes: Buffer): number {
  const reader = reading(bytes, 'streams');
  const count = reader.varint(LIMITS.streams);
  reader.expectEnd();
  return count;
}
