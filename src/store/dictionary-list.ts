/**
 * How a record says that its context is a dictionary: by a context list of two touching extents of one blob, the first of
 * one byte. Lists of older bytes never look so, because touching extents are merged in them. Decoding needs no rule.
 */
import { type Digest, type Extent, RECORD } from '../format/format.js';

/** About what such a list takes in a record. */
export const DICTIONARY_LIST_BYTES = 43;
/** Added to the kind of a blob in the index. */
const WITH_DICTIONARY = 0x80;

export function dictionaryExtents(digest: Digest, bytes: number): Extent[] {
  return [
    { digest, offset: 0, length: 1 },
    { digest, offset: 1, length: bytes - 1 },
  ];
}

export function isDictionaryList(list: Buffer): boolean {
  if (list.length < DICTIONARY_LIST_BYTES - 3 || list.length > DICTIONARY_LIST_BYTES) return false;
  // One blob, two extents of it, offsets 0 and 1, the first of one byte.
  return list[0] === 1 && list.subarray(33, 39).equals(Buffer.of(2, 1, 1, 0, 1, 1));
}

/** What the index says of a record's kind. */
export function indexKind(kind: number, contextList: Buffer): number {
  return kind === RECORD.blob && isDictionaryList(contextList) ? kind | WITH_DICTIONARY : kind;
}

/** Kind of the record, and whether its context is a dictionary. */
export function kindFacts(kind: number): { readonly kind: number; readonly dictionary: boolean } {
  return { kind: kind & ~WITH_DICTIONARY, dictionary: (kind & WITH_DICTIONARY) !== 0 };
}
