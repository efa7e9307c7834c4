/** What the metadata says of itself after it was made anew, or content was found lost: whoever remembers what it had asks here. */
import { randomBytes } from '../core/core.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import type { NewestState } from './blob-index.js';
import type { MetaChange } from './meta.js';
import { MENDED_KEY } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';

const GENERATION_BYTES = 8;
const PACK_MAX = 0xffffffff;
const FLAG = { lost: 1, unlooked: 2 } as const;

/**
 *   smended := generation[8] | varint sequence | u8 flags | varint pack | varint length
 *   flags   := 1 something is lost | 2 nobody has looked yet what
 */
export interface Mended {
  /** Random: what somebody learned of the store under another one does not count. 0: never mended. */
  readonly generation: bigint;
  /** Up to this checkpoint nothing that is missing will be found by making the metadata anew; 0 when nothing is known to be missing. */
  readonly sequence: number;
  /** There may be keys of lost heads and blobs. */
  readonly lost: boolean;
  /** The packs are damaged, and what is lost with them is not written down yet. */
  readonly unlooked: boolean;
  /** A pack that was missing, or shorter than this; 0 for none. */
  readonly pack: number;
  readonly length: number;
}

export const NEVER_MENDED: Mended = { generation: 0n, sequence: 0, lost: false, unlooked: false, pack: 0, length: 0 };

export function newGeneration(): bigint {
  return randomBytes(GENERATION_BYTES).readBigUInt64LE();
}

/** Throws DK_CORRUPT_INDEX. */
export async function readMended(meta: MetaReader): Promise<Mended> {
  const value = await meta.get(MENDED_KEY);
  if (!value) return NEVER_MENDED;
  const reader = new ByteReader(value, 'DK_CORRUPT_INDEX', 'mended');
  const generation = Buffer.from(reader.bytes(GENERATION_BYTES)).readBigUInt64LE();
  const sequence = reader.varint();
  const flags = reader.u8();
  const [pack, length] = [reader.varint(PACK_MAX), reader.varint()];
  return { generation, sequence, lost: (flags & FLAG.lost) > 0, unlooked: (flags & FLAG.unlooked) > 0, pack, length };
}

export function mendedChange({ generation, sequence, lost, unlooked, pack, length }: Mended): MetaChange {
  const bytes = Buffer.alloc(GENERATION_BYTES);
  bytes.writeBigUInt64LE(generation);
  const flags = (lost ? FLAG.lost : 0) | (unlooked ? FLAG.unlooked : 0);
  const writer = new ByteWriter(48).bytes(bytes).varint(sequence).u8(flags).varint(pack).varint(length);
  return { key: MENDED_KEY, value: writer.finish() };
}

/** Of metadata that is being made from packs. */
export function madeAnew(state: NewestState | null, damaged: boolean): MetaChange {
  const sequence = damaged ? (state?.sequence ?? 0) : 0;
  return mendedChange({ ...NEVER_MENDED, generation: newGeneration(), sequence, unlooked: damaged });
}
