/** Whether the file of a dense pack holds what it was written of: nothing takes the place of a pack that was not read back to its end. */
import { open } from 'node:fs/promises';
import { DiffKeeperError, readFully, throwIfAborted } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import {
  type Checksum,
  type DecodedRecord,
  type Digest,
  PACK_HEADER_BYTES,
  type RecordKind,
} from '../format/format.js';
import { findGroups } from './dense-find.js';
import { DensePack, OpenGroups } from './dense-pack.js';
import { packName } from './pack-names.js';
import { scanPack } from './pack-scan.js';
import type { Packs } from './packs.js';

export interface CheckParts {
  readonly engine: Engine;
  readonly algo: HashAlgo;
  readonly checksum: Checksum;
  readonly packs: Packs;
}

export interface WrittenPack {
  readonly file: string;
  readonly pack: number;
  /** Bytes of the plain pack that it is to stand for. */
  readonly length: number;
  /** Of all its records, in order. */
  readonly written: bigint;
  readonly signal: AbortSignal | undefined;
}

/** What a sum of records is over. */
export interface SummedRecord extends Pick<DecodedRecord, 'contextList' | 'payload'> {
  readonly head: { readonly kind: RecordKind; readonly digest: Digest };
}

/** The sum of records with one more. */
export function sumWith(checksum: Checksum, before: bigint, { head, contextList, payload }: SummedRecord): bigint {
  const { kind, digest } = head;
  const bytes = Buffer.alloc(25 + digest.length);
  bytes.writeBigUInt64LE(before);
  bytes.writeBigUInt64LE(checksum(contextList), 8);
  bytes.writeBigUInt64LE(checksum(payload), 16);
  bytes[24] = kind;
  bytes.set(digest, 25);
  return checksum(bytes);
}

/** Throws DK_CORRUPT_PACK when it holds anything else, DK_ABORTED, and system errors. */
export async function checkDensePack(
  parts: CheckParts,
  { file, pack, length, written, signal }: WrittenPack,
): Promise<void> {
  const { packs, checksum } = parts;
  const handle = await open(file, 'r');
  try {
    const header = Buffer.alloc(PACK_HEADER_BYTES);
    await readFully(handle, header, 0);
    const { groups, short } = await findGroups({ handle, header }, packs.home(pack));
    if (groups === null) return cannotCondense(pack, 'the dense one does not begin as such');
    const opened = { ...parts, home: packs.home(pack), opened: new OpenGroups() };
    const dense = new DensePack(opened, { handle, header, groups, short });
    if (dense.length !== length) cannotCondense(pack, 'the dense one stands for another length');
    const read = async (_pack: number, offset: number, bytes: number): Promise<Buffer> => {
      const room = Buffer.allocUnsafe(bytes);
      return room.subarray(0, await dense.read(offset, room));
    };
    const readPast = () => Promise.reject(new RangeError('not asked for'));
    const soundFrom = async (_pack: number, offset: number): Promise<number> => offset;
    const source = { read, readPast, records: packs.records, soundFrom };
    let found = 0n;
    for await (const scanned of scanPack(source, { pack, from: PACK_HEADER_BYTES, end: length })) {
      throwIfAborted(signal);
      if (scanned.kind === 'damage') cannotCondense(pack, `the dense one is damaged: ${scanned.message}`);
      found = sumWith(checksum, found, scanned.record);
    }
    if (found !== written) cannotCondense(pack, 'the dense one holds other records');
  } finally {
    await handle.close();
  }
}

/** Throws DK_CORRUPT_PACK. */
export function cannotCondense(pack: number, message: string): never {
  const name = packName(pack);
  throw new DiffKeeperError('DK_CORRUPT_PACK', `pack ${name} cannot be condensed: ${message}`, { name });
}
