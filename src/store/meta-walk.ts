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
 * @param first how many come with the first batch: some look at the beginning alone
 * @param failed told of what is thrown; throws in its stead
 */
export async function* walkBatches<T>(
  begin: () => Walked<T>,
  first: number,
  failed: (error: unknown) => never,
): AsyncGenerator<T[]> {
  const iterator = attempt(begin, failed);
  try {
    for (let count = first; ; count = Math.min(2 * count, BATCH_MAX)) {
      const found = await iterator.nextv(count).catch(failed);
      if (found.length === 0) return;
      yield found;
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
