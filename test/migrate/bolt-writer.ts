/** Writes BoltDB files for tests: plain, whole, and in every shape a reader must know. */
import {
  BUCKET_BYTES,
  ELEMENT_BYTES,
  fnv1a,
  LEAF_BUCKET,
  META_BYTES,
  PAGE,
  PAGE_HEADER_BYTES,
} from '../../src/migrate/bolt-format.js';

export type Entries = ReadonlyMap<string, Buffer>;

export interface BoltShape {
  readonly pageBytes: number;
  /** Small buckets are kept inside their parent's page. */
  readonly inline: boolean;
  /** Without a freelist page, as files written with NoFreelistSync are. */
  readonly freelist: boolean;
  /** The newest state is in meta page 0 or 1. */
  readonly newest: 0 | 1;
  /** Elements on a page, at most: small numbers make deep trees. */
  readonly fanOut: number;
}

export const PLAIN_SHAPE: BoltShape = { pageBytes: 4096, inline: true, freelist: true, newest: 0, fanOut: 1000 };

interface Element {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Child page of a branch. */
  readonly child: number;
  readonly isBucket: boolean;
}

class Writer {
  readonly #shape: BoltShape;
  readonly #pages: Buffer[] = [];

  constructor(shape: BoltShape) {
    this.#shape = shape;
    // Meta pages and the freelist come at the end, when the rest is known.
    this.#take(3 * shape.pageBytes);
  }

  #take(bytes: number): number {
    const id = this.#pages.length;
    for (let at = 0; at < bytes; at += this.#shape.pageBytes) this.#pages.push(Buffer.alloc(this.#shape.pageBytes));
    return id;
  }

  #put(id: number, bytes: Buffer): void {
    const { pageBytes } = this.#shape;
    for (let at = 0; at < bytes.length; at += pageBytes) {
      bytes.copy(this.#pages[id + at / pageBytes] as Buffer, 0, at, Math.min(at + pageBytes, bytes.length));
    }
  }

  /** One page of elements; overflow as needed. */
  #page(elements: readonly Element[], leaf: boolean): { readonly id: number; readonly key: Buffer } {
    const body = encodePage(elements, leaf);
    const { pageBytes } = this.#shape;
    const id = this.#take(Math.max(1, body.length));
    body.writeBigUInt64LE(BigInt(id), 0);
    body.writeUInt32LE(Math.ceil(body.length / pageBytes) - 1, 12);
    this.#put(id, body);
    return { id, key: elements[0]?.key ?? Buffer.alloc(0) };
  }

  /** A tree; returns its root page. */
  tree(elements: readonly Element[]): number {
    let level = this.#split(elements, true).map((part) => this.#page(part, true));
    while (level.length > 1) {
      const branches = level.map(({ id, key }) => ({ key, value: Buffer.alloc(0), child: id, isBucket: false }));
      level = this.#split(branches, false).map((part) => this.#page(part, false));
    }
    return level[0]?.id ?? 0;
  }

  #split(elements: readonly Element[], leaf: boolean): Element[][] {
    const parts: Element[][] = [[]];
    let bytes = PAGE_HEADER_BYTES;
    const most = Math.max(leaf ? 1 : 2, this.#shape.fanOut);
    for (const element of elements) {
      const more = ELEMENT_BYTES + element.key.length + element.value.length;
      const part = parts.at(-1) as Element[];
      const full = part.length >= most || (bytes + more > this.#shape.pageBytes && part.length >= (leaf ? 1 : 2));
      if (full) {
        parts.push([element]);
        bytes = PAGE_HEADER_BYTES + more;
      } else {
        part.push(element);
        bytes += more;
      }
    }
    return parts;
  }

  bucket(name: string, entries: Entries): Element {
    const elements = sorted(entries).map(([key, value]) => ({ key, value, child: 0, isBucket: false }));
    const key = Buffer.from(name);
    const inlined = encodePage(elements, true);
    if (this.#shape.inline && inlined.length <= this.#shape.pageBytes / 4) {
      return { key, value: Buffer.concat([Buffer.alloc(BUCKET_BYTES), inlined]), child: 0, isBucket: true };
    }
    const value = Buffer.alloc(BUCKET_BYTES);
    value.writeBigUInt64LE(BigInt(this.tree(elements)), 0);
    return { key, value, child: 0, isBucket: true };
  }

  finish(root: number): Buffer {
    const { freelist, newest } = this.#shape;
    if (freelist) {
      const page = Buffer.alloc(PAGE_HEADER_BYTES);
      page.writeBigUInt64LE(2n, 0);
      page.writeUInt16LE(PAGE.freelist, 8);
      this.#put(2, page);
    }
    for (const id of [0, 1]) {
      const page = Buffer.alloc(PAGE_HEADER_BYTES + META_BYTES);
      page.writeBigUInt64LE(BigInt(id), 0);
      page.writeUInt16LE(PAGE.meta, 8);
      encodeMeta(page.subarray(PAGE_HEADER_BYTES), {
        shape: this.#shape,
        root,
        pages: this.#pages.length,
        transaction: id === newest ? 8 : 7,
      });
      this.#put(id, page);
    }
    return Buffer.concat(this.#pages);
  }
}

function encodeMeta(
  body: Buffer,
  facts: { readonly shape: BoltShape; readonly root: number; readonly pages: number; readonly transaction: number },
): void {
  body.writeUInt32LE(0xed0cdaed, 0);
  body.writeUInt32LE(2, 4);
  body.writeUInt32LE(facts.shape.pageBytes, 8);
  body.writeBigUInt64LE(BigInt(facts.root), 16);
  body.writeBigUInt64LE(facts.shape.freelist ? 2n : 0xffff_ffff_ffff_ffffn, 32);
  body.writeBigUInt64LE(BigInt(facts.pages), 40);
  body.writeBigUInt64LE(BigInt(facts.transaction), 48);
  body.writeBigUInt64LE(fnv1a(body.subarray(0, 56)), 56);
}

function encodePage(elements: readonly Element[], leaf: boolean): Buffer {
  const header = Buffer.alloc(PAGE_HEADER_BYTES);
  header.writeUInt16LE(leaf ? PAGE.leaf : PAGE.branch, 8);
  header.writeUInt16LE(elements.length, 10);
  const table = Buffer.alloc(elements.length * ELEMENT_BYTES);
  const data: Buffer[] = [];
  let bytes = 0;
  for (const [index, { key, value, child, isBucket }] of elements.entries()) {
    const at = index * ELEMENT_BYTES;
    const position = table.length - at + bytes;
    if (leaf) {
      table.writeUInt32LE(isBucket ? LEAF_BUCKET : 0, at);
      table.writeUInt32LE(position, at + 4);
      table.writeUInt32LE(key.length, at + 8);
      table.writeUInt32LE(value.length, at + 12);
    } else {
      table.writeUInt32LE(position, at);
      table.writeUInt32LE(key.length, at + 4);
      table.writeBigUInt64LE(BigInt(child), at + 8);
    }
    data.push(key, value);
    bytes += key.length + value.length;
  }
  return Buffer.concat([header, table, ...data]);
}

/** Keys are byte strings (`latin1`). */
export function sorted(entries: Entries): [Buffer, Buffer][] {
  const list = [...entries].map(([key, value]): [Buffer, Buffer] => [Buffer.from(key, 'latin1'), value]);
  return list.sort(([one], [other]) => Buffer.compare(one, other));
}

/** A whole file with these buckets. */
export function writeBolt(buckets: Readonly<Record<string, Entries>>, shape: Partial<BoltShape> = {}): Buffer {
  const writer = new Writer({ ...PLAIN_SHAPE, ...shape });
  const names = Object.keys(buckets).sort();
  const elements = names.map((name) => writer.bucket(name, buckets[name] as Entries));
  return writer.finish(writer.tree(elements));
}
