/** One page of a BoltDB file with its overflow, or an inline page: its elements, checked, and their bytes on demand. */
import type { BoltFile } from './bolt-file.js';
import {
  boltDamage,
  branchElement,
  decodeHeader,
  ELEMENT_BYTES,
  LEAF_BUCKET,
  type LeafElement,
  leafElement,
  PAGE,
  PAGE_HEADER_BYTES,
  type PageHeader,
} from './bolt-format.js';

/** How many bytes of a value are read at once while it is streamed. */
const STREAM_BYTES = 256 << 10;

/** A value that is read when it is asked for. */
export interface BoltValue {
  readonly length: number;
  /** The whole value. @throws DK_LIMIT above `bytesMax`, DK_CORRUPT_BOLT, DK_IO */
  read(bytesMax: number): Promise<Buffer>;
  /** The value in pieces of bounded size. */
  stream(): AsyncGenerator<Buffer>;
}

export interface LeafEntry {
  readonly key: Buffer;
  readonly isBucket: boolean;
  readonly value: BoltValue;
}

export interface Branch {
  readonly key: Buffer;
  readonly child: number;
}

/** Where the bytes of a page come from: the file, or memory. */
interface Source {
  readonly bytes: number;
  read(offset: number, length: number): Promise<Buffer>;
}

export class BoltPage {
  readonly header: PageHeader;
  readonly #source: Source;
  readonly #elements: Buffer;

  private constructor(header: PageHeader, source: Source, elements: Buffer) {
    this.header = header;
    this.#source = source;
    this.#elements = elements;
  }

  /** Page `id` of the file. @throws DK_CORRUPT_BOLT when it is not there, says it is another, or does not fit. */
  static async read(file: BoltFile, id: number): Promise<BoltPage> {
    const { pageBytes } = file;
    if (id < 2 || id >= file.pageCount) throw boltDamage(`page ${id} is not in the file (${file.pageCount} pages)`);
    const start = id * pageBytes;
    const first = await file.read(start, pageBytes);
    const header = decodeHeader(first);
    if (header.id !== id) throw boltDamage(`page ${id} says that it is page ${header.id}`, start);
    if (id + header.overflow >= file.pageCount) {
      throw boltDamage(`page ${id} and its ${header.overflow} overflow pages leave the file`, start);
    }
    const bytes = (header.overflow + 1) * pageBytes;
    if (header.overflow === 0) return BoltPage.#of(header, memory(first));
    // Overflow is read when it is asked for: whoever keeps a value in mind must not keep its bytes in memory.
    const inFirst = (offset: number, length: number): boolean => offset + length <= pageBytes;
    const read: Source['read'] = async (offset, length) =>
      inFirst(offset, length) ? first.subarray(offset, offset + length) : file.read(start + offset, length);
    return BoltPage.#of(header, { bytes, read });
  }

  /** The page inside a bucket's value. */
  static inline(bytes: Buffer): Promise<BoltPage> {
    if (bytes.length < PAGE_HEADER_BYTES) throw boltDamage(`an inline bucket of ${bytes.length} bytes`);
    const header = decodeHeader(bytes);
    if ((header.flags & PAGE.leaf) === 0) throw boltDamage('an inline bucket that is no leaf');
    return BoltPage.#of(header, memory(bytes));
  }

  static async #of(header: PageHeader, source: Source): Promise<BoltPage> {
    const length = header.count * ELEMENT_BYTES;
    if (PAGE_HEADER_BYTES + length > source.bytes) {
      throw boltDamage(`page ${header.id} claims ${header.count} elements, more than it has room for`);
    }
    return new BoltPage(header, source, await source.read(PAGE_HEADER_BYTES, length));
  }

  get isLeaf(): boolean {
    return (this.header.flags & PAGE.leaf) !== 0;
  }

  get isBranch(): boolean {
    return (this.header.flags & PAGE.branch) !== 0;
  }

  async branch(index: number): Promise<Branch> {
    const { keyOffset, keyBytes, child } = branchElement(this.#elements, index, this.#source.bytes);
    return { key: await this.#source.read(keyOffset, keyBytes), child };
  }

  async leaf(index: number): Promise<LeafEntry> {
    const element = leafElement(this.#elements, index, this.#source.bytes);
    return {
      key: Buffer.from(await this.#source.read(element.keyOffset, element.keyBytes)),
      isBucket: (element.flags & LEAF_BUCKET) !== 0,
      value: new PageValue(this.#source, element),
    };
  }
}

class PageValue implements BoltValue {
  readonly #source: Source;
  readonly #offset: number;
  readonly length: number;

  constructor(source: Source, element: LeafElement) {
    this.#source = source;
    this.#offset = element.valueOffset;
    this.length = element.valueBytes;
  }

  async read(bytesMax: number): Promise<Buffer> {
    if (this.length > bytesMax) throw boltDamage(`a value of ${this.length} bytes, at most ${bytesMax} expected`);
    return this.#source.read(this.#offset, this.length);
  }

  async *stream(): AsyncGenerator<Buffer> {
    for (let at = 0; at < this.length; at += STREAM_BYTES) {
      yield await this.#source.read(this.#offset + at, Math.min(STREAM_BYTES, this.length - at));
    }
  }
}

function memory(bytes: Buffer): Source {
  return {
    bytes: bytes.length,
    read: (offset, length) => {
      if (offset + length > bytes.length) throw boltDamage('bytes behind the end of a page');
      return Promise.resolve(bytes.subarray(offset, offset + length));
    },
  };
}
