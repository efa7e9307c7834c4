/** Groups of dense packs for tests of what reads them: made of records, and read by the engine and step by step. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Engine, HashAlgo } from '../../src/engine/engine.js';
import {
  decodeGroup,
  encodeGroup,
  encodeRecord,
  type GroupHome,
  homeBytes,
  RECORD,
  RecordFolder,
  type RecordKind,
  UnfoldedGroup,
} from '../../src/format/format.js';
import { patternBytes } from './samples.js';
import { withTree } from './tree.js';

const NONE = Buffer.alloc(0);

/** A record of a group. */
export interface WantedRecord {
  readonly kind: RecordKind;
  readonly bytes: number;
  readonly seed: number;
  /** Digests of records so many places before are put into the payload. */
  readonly names: readonly number[];
  /** Not stored as it is, but with a codec and a context list. */
  readonly whole: boolean;
}

/** What a frame decodes to, and what it stands for. */
export interface Folded {
  readonly folded: Buffer;
  readonly records: number;
  /** Bytes of the plain records. */
  readonly bytes: number;
}

/** Folded records, and the plain ones. */
export function foldRecords(
  engine: Engine,
  wanted: readonly WantedRecord[],
  algo: HashAlgo = 'blake3',
): Folded & { readonly plain: Buffer } {
  const folder = new RecordFolder();
  const plain: Buffer[] = [];
  const digests: Buffer[] = [];
  for (const { kind, bytes, seed, names, whole } of wanted) {
    const named = names.flatMap((back) => digests[digests.length - back] ?? []);
    const parts = named.flatMap((digest, index) => [patternBytes(bytes % (index + 7), seed + index), digest]);
    const rest = patternBytes(bytes, seed);
    const payload = kind === RECORD.blob ? rest : Buffer.concat([...parts, rest]);
    const digest = engine.digest(algo, payload);
    const contextList = whole ? Buffer.concat([Buffer.of(1), ...named.slice(0, 1)]) : NONE;
    const facts = { kind, codec: whole ? 2 : 0, depth: whole ? 3 : 0, digest, decodedBytes: payload.length };
    const record = encodeRecord({ ...facts, contextList, payload }, (data) => engine.xxh3(data));
    if (whole) folder.addWhole(kind, record, { digest, contextListBytes: contextList.length });
    else folder.addPlain(kind, payload, digest);
    plain.push(record);
    digests.push(digest);
  }
  const { records, bytes } = folder;
  return { plain: Buffer.concat(plain), folded: folder.finish(), records, bytes };
}

/** A history as captures write it: contents, what names them, and checkpoints that name both and one another. */
export function historyRecords(versions: number): WantedRecord[] {
  return Array.from({ length: versions }, (_, index): WantedRecord[] => [
    { kind: RECORD.blob, bytes: 300 + (index % 5), seed: 1 + (index % 9), names: [], whole: index % 11 === 7 },
    { kind: RECORD.versions, bytes: 40, seed: index + 1, names: [1], whole: false },
    { kind: RECORD.checkpoint, bytes: 60, seed: 3, names: [1, 3], whole: false },
    ...(index % 10 === 4 ? [{ kind: RECORD.recipe, bytes: 90, seed: 5, names: [4, 1], whole: index % 20 === 4 }] : []),
  ]).flat();
}

/** What stands before the group in its file. */
export const MARGIN = 100;

/** Where all these groups belong. */
export function homeOf(engine: Engine): GroupHome {
  return { checksum: (data) => engine.xxh3(data), storeId: patternBytes(16, 7), pack: 3 };
}

/** The whole group, with every checksum right. */
export async function groupOf(engine: Engine, { folded, records, bytes }: Folded, offset = 64): Promise<Buffer> {
  const frame = await engine.compress(folded, { level: 3 });
  const where = { home: homeOf(engine), place: MARGIN };
  return encodeGroup({ foldedBytes: folded.length, records, offset, bytes }, frame, where);
}

/** A file for groups, open to be read and written. */
export function withPack<T>(task: (pack: FileHandle) => Promise<T>): Promise<T> {
  return withTree(async (root) => {
    const pack = await open(join(root, 'pack'), 'w+');
    try {
      return await task(pack);
    } finally {
      await pack.close();
    }
  });
}

/** All bytes of the plain records, by `openGroup`; null when the engine gives none. */
export async function openedBytes(
  engine: Engine,
  pack: FileHandle,
  group: Buffer,
  how: { readonly bytes: number; readonly offset?: number; readonly algo?: HashAlgo; readonly home?: Buffer },
): Promise<Buffer | null> {
  await pack.truncate(MARGIN);
  await pack.write(group, 0, group.length, MARGIN);
  const { offset = 64, bytes, algo = 'blake3', home = homeBytes(homeOf(engine), MARGIN) } = how;
  const place = { place: MARGIN, groupBytes: group.length, offset, bytes, home };
  const opened = await engine.openGroup(pack.fd, place, algo, { from: 0, length: bytes });
  if (opened === null) return null;
  const all = Buffer.alloc(bytes);
  opened.copy(0, all);
  return all;
}

/** The same step by step; null when anything in it cannot be. */
export async function unfoldedBytes(engine: Engine, group: Buffer, algo: HashAlgo = 'blake3'): Promise<Buffer | null> {
  const checksum = (data: Uint8Array) => engine.xxh3(data);
  try {
    const { head, frame } = decodeGroup(group, homeOf(engine), MARGIN);
    const folded = await engine.decompress(frame, { decodedBytes: head.foldedBytes });
    const digestOf = (data: Uint8Array) => engine.digest(algo, data);
    const all = Buffer.alloc(head.bytes);
    new UnfoldedGroup(folded, { records: head.records, bytes: head.bytes, digestOf, checksum }).copy(0, all);
    return all;
  } catch (error) {
    if (String((error as { code?: string }).code).startsWith('DK_CORRUPT')) return null;
    throw error;
  }
}
