/** Entries of an encrypted index in the order of their real keys: they have to be held all at once. */

type Entry = [Buffer, Buffer];

const BATCH = 1000;

/** The same entries in batches, by key. */
export async function* sortedEntries(
  source: AsyncIterable<readonly Entry[]>,
  options: { readonly reverse?: boolean; readonly limit?: number },
): AsyncGenerator<Entry[]> {
  // One-byte strings sort as their bytes do, faster than buffers, and take less memory.
  const keys: string[] = [];
  const values: Buffer[] = [];
  for await (const entries of source) {
    for (const [key, value] of entries) {
      keys.push(key.toString('latin1'));
      // What was opened shares its memory with the key.
      values.push(Buffer.from(value));
    }
  }
  const order = Uint32Array.from(keys.keys()).sort((one, other) =>
    (keys[one] as string) < (keys[other] as string) ? -1 : 1,
  );
  if (options.reverse) order.reverse();
  const { limit = -1 } = options;
  const count = limit < 0 ? order.length : Math.min(limit, order.length);
  for (let first = 0; first < count; first += BATCH) {
    yield [...order.subarray(first, Math.min(first + BATCH, count))].map((index) => [
      Buffer.from(keys[index] as string, 'latin1'),
      values[index] as Buffer,
    ]);
  }
}
