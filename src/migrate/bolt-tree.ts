/**
 * Buckets of a BoltDB file: walked in key order, or asked for one key. What is damaged is reported in its place and
 * the walk goes on behind it. Every page is entered once per walk, so that a loop in the file ends.
 */
import { isDiffKeeperError } from '../core/core.js';
import type { BoltFile } from './bolt-file.js';
import { BOLT_LIMITS, boltDamage, decodeBucket } from './bolt-format.js';
import { BoltPage, type BoltValue, type LeafEntry } from './bolt-page.js';

/** Inline buckets are at most a quarter of a page; the header of a bucket is all that is needed otherwise. */
const BUCKET_VALUE_BYTES = 1 << 20;
const PAGES_CACHED = 64;

export type BoltItem =
  | { readonly kind: 'entry'; readonly key: Buffer; readonly value: BoltValue }
  | { readonly kind: 'damage'; readonly message: string };

/** Page numbers seen, 32 to a word, in pieces made as they are needed. */
export class PageSet {
  readonly #pieces = new Map<number, Uint32Array>();

  /** False when it was there already. */
  add(page: number): boolean {
    const number = Math.floor(page / 32768);
    let piece = this.#pieces.get(number);
    if (!piece) {
      piece = new Uint32Array(1024);
      this.#pieces.set(number, piece);
    }
    const word = (page % 32768) >>> 5;
    const bit = 1 << (page & 31);
    if (((piece[word] ?? 0) & bit) !== 0) return false;
    piece[word] = (piece[word] ?? 0) | bit;
    return true;
  }

  has(page: number): boolean {
    const piece = this.#pieces.get(Math.floor(page / 32768));
    return piece !== undefined && ((piece[(page % 32768) >>> 5] ?? 0) & (1 << (page & 31))) !== 0;
  }
}

export class BoltBucket {
  readonly #file: BoltFile;
  readonly #root: number;
  readonly #inline: Buffer | null;
  readonly #pages = new Map<number, BoltPage>();

  constructor(file: BoltFile, root: number, inline: Buffer | null) {
    this.#file = file;
    this.#root = root;
    this.#inline = inline;
  }

  /** Every entry in key order, damage where it is met. Nested buckets are left out. */
  async *walk(seen = new PageSet()): AsyncGenerator<BoltItem> {
    for await (const item of this.#entries(seen)) {
      if (item.kind === 'damage' || !item.entry.isBucket) yield item.kind === 'damage' ? item : toItem(item.entry);
    }
  }

  /** The buckets inside, by name. */
  async buckets(seen: PageSet, damage: (message: string) => void): Promise<Map<string, BoltBucket>> {
    const found = new Map<string, BoltBucket>();
    for await (const item of this.#entries(seen)) {
      if (item.kind === 'damage') damage(item.message);
      else if (item.entry.isBucket) await this.#enter(item.entry, found, damage);
    }
    return found;
  }

  async #enter(entry: LeafEntry, found: Map<string, BoltBucket>, damage: (message: string) => void): Promise<void> {
    const name = entry.key.toString('latin1');
    try {
      const { root, inline } = decodeBucket(await entry.value.read(BUCKET_VALUE_BYTES));
      found.set(name, new BoltBucket(this.#file, root, inline));
    } catch (error) {
      damage(`bucket ${JSON.stringify(name)}: ${reasonOf(error)}`);
    }
  }

  async *#entries(
    seen: PageSet,
  ): AsyncGenerator<
    { readonly kind: 'entry'; readonly entry: LeafEntry } | { readonly kind: 'damage'; readonly message: string }
  > {
    // Children still to be entered, the next one last: a stack of numbers, not of calls.
    const stack: { readonly page: number; readonly depth: number }[] = [{ page: this.#root, depth: 0 }];
    let last: Buffer | null = null;
    for (let at = stack.pop(); at; at = stack.pop()) {
      let page: BoltPage;
      try {
        page = await this.#visit(at, seen);
      } catch (error) {
        yield { kind: 'damage', message: reasonOf(error) };
        continue;
      }
      if (page.isBranch) {
        yield* this.#descend(page, at.depth, stack);
        continue;
      }
      for (let index = 0; index < page.header.count; index += 1) {
        try {
          const entry = await page.leaf(index);
          if (last && Buffer.compare(entry.key, last) <= 0) throw boltDamage(`key ${shown(entry.key)} is out of order`);
          last = entry.key;
          yield { kind: 'entry', entry };
        } catch (error) {
          yield { kind: 'damage', message: `page ${page.header.id}, element ${index}: ${reasonOf(error)}` };
        }
      }
    }
  }

  async #visit(at: { readonly page: number; readonly depth: number }, seen: PageSet): Promise<BoltPage> {
    if (at.depth > BOLT_LIMITS.depth) throw boltDamage(`page ${at.page} lies ${at.depth} levels deep`);
    if (this.#inline && at.depth === 0) return BoltPage.inline(this.#inline);
    if (!seen.add(at.page)) throw boltDamage(`page ${at.page} is reached twice`);
    const page = await BoltPage.read(this.#file, at.page);
    if (!page.isLeaf && !page.isBranch) throw boltDamage(`page ${at.page} is neither branch nor leaf`);
    return page;
  }

  async *#descend(
    page: BoltPage,
    depth: number,
    stack: { readonly page: number; readonly depth: number }[],
  ): AsyncGenerator<{ readonly kind: 'damage'; readonly message: string }> {
    for (let index = page.header.count - 1; index >= 0; index -= 1) {
      try {
        stack.push({ page: (await page.branch(index)).child, depth: depth + 1 });
      } catch (error) {
        yield { kind: 'damage', message: `page ${page.header.id}, branch ${index}: ${reasonOf(error)}` };
      }
    }
  }

  /** The value of a key; null when it is not there. @throws DK_CORRUPT_BOLT when the way to it is damaged. */
  async get(key: Buffer): Promise<BoltValue | null> {
    let page = this.#inline ? await BoltPage.inline(this.#inline) : await this.#cached(this.#root);
    for (let depth = 0; page.isBranch; depth += 1) {
      if (depth > BOLT_LIMITS.depth) throw boltDamage('the tree is too deep, or a loop');
      const index = await lastNotAbove(page.header.count, key, async (at) => (await page.branch(at)).key);
      if (page.header.count === 0) return null;
      page = await this.#cached((await page.branch(Math.max(0, index))).child);
    }
    if (!page.isLeaf) throw boltDamage(`page ${page.header.id} is neither branch nor leaf`);
    const index = await lastNotAbove(page.header.count, key, async (at) => (await page.leaf(at)).key);
    if (index < 0) return null;
    const entry = await page.leaf(index);
    return entry.key.equals(key) && !entry.isBucket ? entry.value : null;
  }

  async #cached(id: number): Promise<BoltPage> {
    const known = this.#pages.get(id);
    if (known) return known;
    const page = await BoltPage.read(this.#file, id);
    const oldest = this.#pages.keys().next().value;
    if (this.#pages.size >= PAGES_CACHED && oldest !== undefined) this.#pages.delete(oldest);
    this.#pages.set(id, page);
    return page;
  }
}

/** Index of the last key that is not above the wanted one; -1 when all are. */
async function lastNotAbove(count: number, key: Buffer, keyAt: (index: number) => Promise<Buffer>): Promise<number> {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(await keyAt(middle), key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function toItem(entry: LeafEntry): BoltItem {
  return { kind: 'entry', key: entry.key, value: entry.value };
}

function shown(key: Buffer): string {
  return JSON.stringify(key.subarray(0, 80).toString('utf8'));
}

/** Words for damage; what the system refuses is no damage and goes up. */
function reasonOf(error: unknown): string {
  if (isDiffKeeperError(error, 'DK_CORRUPT_BOLT')) return error.message;
  throw error;
}
