/**
 * What an older store holds, wherever its buckets are kept: one entry per file name, put together from the buckets
 * that know it, in the order of the names' bytes.
 */
import type { BoltValue } from './bolt-page.js';
import type { BoltItem } from './bolt-tree.js';

/** Sorted keys with values. */
export interface LegacyBucket {
  walk(): AsyncIterable<BoltItem>;
  get(key: Buffer): Promise<BoltValue | null>;
}

/** Everything that is known of one name. More than one of a kind only where damage left several. */
export interface LegacyEntry {
  readonly name: Buffer;
  /** Whole content, compressed with gzip. */
  readonly gzips: readonly BoltValue[];
  /** SHA-256 of the content, as text. */
  readonly hashes: readonly BoltValue[];
  /** Metadata, JSON. */
  readonly metas: readonly BoltValue[];
}

export type LegacyItem =
  | { readonly kind: 'entry'; readonly entry: LegacyEntry }
  /** A part of the structure that cannot be read: names that stood there are not known. */
  | { readonly kind: 'damage'; readonly message: string };

export interface LegacySource {
  /** Names the source in reports. */
  readonly path: string;
  /** 1 or 2. */
  readonly schema: number;
  /** Tells one state of the source from another. */
  readonly identity: string;
  /** Ends the tags of its checkpoints; empty when there is one state of it only. */
  readonly tagSuffix: string;
  /** When the source was last written: the time of files that have none of their own. */
  readonly timeNs: bigint;
  /** Damage of the source as a whole. */
  readonly damage: readonly string[];
  /** Bytes of all values that `items` hands out, for progress. */
  readonly valueBytes: number;
  items(): AsyncGenerator<LegacyItem>;
  /** Values stored under this name of a content; several only where damage left several. */
  contents(name: string): Promise<readonly BoltValue[]>;
  /** Names of contents that were stored for a file; empty when nothing says so. */
  contentsOf(name: Buffer): Promise<readonly string[]>;
  /** The list of chunks of a file that is kept beside its metadata. */
  manifest(name: Buffer): Promise<BoltValue | null>;
  close(): Promise<void>;
}

/** A walk with a look at what comes next. */
class Cursor {
  readonly #items: AsyncIterator<BoltItem>;
  next: { readonly key: Buffer; readonly value: BoltValue } | null = null;

  constructor(bucket: LegacyBucket) {
    this.#items = bucket.walk()[Symbol.asyncIterator]();
  }

  /** Goes to the next entry; hands out the damage on the way. */
  async *advance(): AsyncGenerator<LegacyItem> {
    for (;;) {
      const { value: item, done } = await this.#items.next();
      this.next = done !== true && item.kind === 'entry' ? item : null;
      if (done === true || item.kind === 'entry') return;
      yield item;
    }
  }

  async end(): Promise<void> {
    await this.#items.return?.();
  }
}

/** Joins sorted buckets by key. */
export async function* joinBuckets(buckets: {
  readonly gzips: LegacyBucket;
  readonly hashes: LegacyBucket;
  readonly metas: LegacyBucket;
}): AsyncGenerator<LegacyItem> {
  const gzips = new Cursor(buckets.gzips);
  const hashes = new Cursor(buckets.hashes);
  const metas = new Cursor(buckets.metas);
  const all = [gzips, hashes, metas];
  try {
    for (const cursor of all) yield* cursor.advance();
    for (let name = smallest(all); name !== null; name = smallest(all)) {
      const key = name;
      const here = (cursor: Cursor): readonly BoltValue[] => (cursor.next?.key.equals(key) ? [cursor.next.value] : []);
      yield { kind: 'entry', entry: { name: key, gzips: here(gzips), hashes: here(hashes), metas: here(metas) } };
      for (const cursor of all) if (cursor.next?.key.equals(key)) yield* cursor.advance();
    }
  } finally {
    for (const cursor of all) await cursor.end();
  }
}

function smallest(cursors: readonly Cursor[]): Buffer | null {
  let least: Buffer | null = null;
  for (const { next } of cursors) if (next && (!least || Buffer.compare(next.key, least) < 0)) least = next.key;
  return least;
}

/** A bucket without entries. */
export const EMPTY_BUCKET: LegacyBucket = {
  async *walk() {},
  get: () => Promise.resolve(null),
};
