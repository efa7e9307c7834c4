/**
 * Where a chain of deltas goes on that has reached the depth limit. Storing the bytes on their own costs what many deltas
 * do; coding them against an older blob of the chain costs about the deltas that it leaves out, and leaves room for as
 * many more as that blob is less deep. So a long history becomes a tree: few blobs stand alone, some are a few steps away
 * from them, most one step from these.
 */
import { LIMITS } from '../core/core.js';
import { type Digest, digestKey, type Extent } from '../format/format.js';
import type { BlobFetch } from './blob-fetch.js';
import type { BlobInfo } from './types.js';

/** Longer blobs are files taken in pieces: their pages find their contexts by themselves. */
const BASE_BYTES_MAX = LIMITS.smallFileBytes;

/** Blobs from one at the depth limit down to where its chain begins. */
type Chain = BlobInfo[];

/** A blob that others may be coded against. */
export interface Base {
  readonly digest: Digest;
  readonly depth: number;
  readonly bytes: Buffer;
}

/**
 * What goes in the place of blobs that lie too deep to be built upon; null where standing alone is best.
 *
 * @param heads blobs at the depth limit
 * @param depthMax the depth limit
 */
export async function chooseBases(
  {
    fetch,
    read,
  }: { readonly fetch: BlobFetch; readonly read: (digests: readonly Digest[]) => Promise<(Buffer | Error)[]> },
  heads: readonly Digest[],
  depthMax: number,
): Promise<(Base | null)[]> {
  const chosen = (await walkChains(fetch, heads)).map((chain) => chooseBase(chain, depthMax));
  const blobs = await read(chosen.filter((info) => info !== null).map(({ digest }) => digest));
  let next = 0;
  return chosen.map((info) => {
    if (info === null) return null;
    const bytes = blobs[next];
    next += 1;
    // A damaged one is the business of `verify`.
    return Buffer.isBuffer(bytes) ? { digest: info.digest, depth: info.depth, bytes } : null;
  });
}

/** Whether a context is one whole blob that such a chain may be made of. */
export function isWholeBlob(extents: readonly Extent[], info: BlobInfo | undefined): boolean {
  const [only] = extents;
  if (extents.length !== 1 || !only || !info || info.decodedBytes > BASE_BYTES_MAX) return false;
  return only.offset === 0 && only.length === info.decodedBytes;
}

/** One step of all chains at a time, each ending where a blob stands alone, has another kind of context or cannot be read. */
async function walkChains(fetch: BlobFetch, heads: readonly Digest[]): Promise<Chain[]> {
  const failed = new Map<string, Error>();
  const chains = (await fetch.infos(heads)).map((info): Chain => (info ? [info] : []));
  const near = fetch.nearRecords();
  for (let open = chains.filter((chain) => chain.length > 0); open.length > 0; ) {
    const ends = open.map((chain) => chain[chain.length - 1] as BlobInfo).filter(({ depth }) => depth > 0);
    const coded = new Map((await fetch.fetch(ends, failed, { near })).map((blob) => [blob.key, blob.context]));
    const below = open.map((chain) => coded.get(digestKey((chain[chain.length - 1] as BlobInfo).digest)) ?? []);
    const named = below.map((context) => context[0]?.digest ?? null);
    const infos = await fetch.infos(named.filter((digest) => digest !== null));
    let next = 0;
    open = open.filter((chain, index) => {
      if (named[index] === null) return false;
      const info = infos[next];
      next += 1;
      const end = chain[chain.length - 1] as BlobInfo;
      // Damage might lead round in a circle.
      if (!info || info.depth >= end.depth || !isWholeBlob(below[index] as readonly Extent[], info)) return false;
      chain.push(info);
      return true;
    });
  }
  return chains;
}

/** What costs least per version until the chain is at its limit again, by what the records of the chain take. */
function chooseBase(chain: Chain, depthMax: number): BlobInfo | null {
  const bottom = chain[chain.length - 1];
  if (!bottom || chain.length < 2) return null;
  const step = Math.min(...chain.slice(0, -1).map(({ recordBytes }) => recordBytes));
  const perVersion = (first: number, depth: number) => (first + (depthMax - depth) * step) / (depthMax - depth + 1);
  let least = perVersion(bottom.recordBytes, 0);
  let base: BlobInfo | null = null;
  let between = step;
  for (const [index, info] of chain.entries()) {
    if (index > 0) {
      const cost = perVersion(Math.min(between, bottom.recordBytes), info.depth + 1);
      if (cost < least) {
        least = cost;
        base = info;
      }
    }
    between += info.recordBytes;
  }
  return base;
}
