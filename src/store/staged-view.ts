/** The blob index together with what a transaction has staged: blobs of its own that it codes others against. */
import type { MetaReader } from './meta-reader.js';
import type { StagedBlobs } from './staged-blobs.js';

export function withStaged(meta: MetaReader, staged: StagedBlobs): MetaReader {
  const getMany = async (keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> => {
    const values = await meta.getMany(keys);
    return values.map((value, index) => value ?? staged.value(keys[index] as Buffer));
  };
  return {
    isOrdered: meta.isOrdered,
    get: async (key) => (await getMany([key]))[0],
    getMany,
    range: (range, options) => meta.range(range, options),
  };
}
