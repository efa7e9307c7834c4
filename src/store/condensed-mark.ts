/** The key of the metadata that says that packs were condensed. */
import { randomInt } from '../core/core.js';
import { ByteReader, ByteWriter } from '../format/format.js';
import type { MetaChange } from './meta.js';
import { CONDENSED_KEY } from './meta-keys.js';
import type { MetaReader } from './meta-reader.js';

/** Says that places learned before do not count any more. */
export function condensedChange(): MetaChange {
  return { key: CONDENSED_KEY, value: new ByteWriter(8).varint(randomInt(1, 2 ** 47)).finish() };
}

/** Another number each time that a pack was replaced, 0 before the first. Throws DK_CORRUPT_INDEX. */
export async function readCondensed(meta: MetaReader): Promise<number> {
  const value = await meta.get(CONDENSED_KEY);
  return value ? new ByteReader(value, 'DK_CORRUPT_INDEX', 'mark of condensed packs').varint() : 0;
}
