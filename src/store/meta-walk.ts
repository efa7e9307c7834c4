/** Walks over what LevelDB holds, a batch at a time. */

/** An iterator of LevelDB. */
interface Walked<T> {
  nextv(count: number): Promise<T[]>;
  close(): Promise<void>;
}

const BATCH_MAX = 1024;

/**
 * Everything that an iterator gives.
 *
 * @param begin LevelDB throws at once when it is not open
 * @param batch how many come with the first one, since some look at the beginning alone; `limit`: what LevelDB was told to give at
 *   most, so that nothing is asked for behind it
 * @param failed told of what is thrown; throws in its stead
 */
export async function* walkBatches<T>(
  begin: () => Walked<T>,
  batch: { readonly first: number; readonly limit: number },
  failed: (error: unknown) => never,
): AsyncGenerator<T[]> {
  const iterator = attempt(begin, failed);
  try {
    for (let count = batch.first, given = 0; given !== batch.limit; count = Math.min(2 * count, BATCH_MAX)) {
      const found = await iterator.nextv(count).catch(failed);
      if (found.length === 0) return;
      yield found;
      given += found.length;
    }
  } finally {
    await iterator.close();
  }
}

/** As the call, but for what it throws. */
export function attempt<T>(call: () => T, failed: (error: unknown) => never): T {
  try {
    return call();
  } catch (error) {
    return failed(error);
  }
}
