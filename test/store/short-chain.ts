/** A chain of short blobs in a store. */
import type { Digest } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { noise, putExtents } from './store-fixture.js';

/** Length of each blob. */
export const SHORT_BYTES = 3000;

export interface ShortChain {
  readonly contents: readonly Buffer[];
  readonly digests: readonly Digest[];
}

/**
 * Commits a blob, and further ones, each a few bytes away from the one before and coded against it: `links` in all.
 * @param options `before`: stored in front of the first; `between`: bytes of others in front of each, which stand in its way
 */
export async function keepShortChain(
  store: Store,
  links: number,
  { before, between = 0 }: { readonly before?: Buffer; readonly between?: number } = {},
): Promise<ShortChain> {
  const contents = [noise(SHORT_BYTES, 1)];
  const digests: Digest[] = [];
  for (let link = 0; link < links; link += 1) {
    const bytes = contents[link] as Buffer;
    const below = contents[link - 1];
    const transaction = store.begin();
    if (link === 0 && before) await transaction.storeBlobs([{ bytes: before, kind: 'blob' }]);
    if (between > 0) await transaction.storeBlobs([{ bytes: noise(between, 100 + link), kind: 'blob' }]);
    const extents = below && [{ digest: digests[link - 1] as Digest, offset: 0, length: SHORT_BYTES }];
    const context = below && extents && { bytes: below, extents, aligned: false };
    const stored = await transaction.storeBlobs([{ bytes, kind: 'blob', ...(context && { context }) }]);
    const digest = stored[0] as Digest;
    await putExtents(transaction, 'f', { extents: [{ digest, offset: 0, length: SHORT_BYTES }], digest });
    await transaction.commit();
    digests.push(digest);
    const next = Buffer.from(bytes);
    noise(20, 50 + link).copy(next, 100 * link);
    contents.push(next);
  }
  return { contents, digests };
}
