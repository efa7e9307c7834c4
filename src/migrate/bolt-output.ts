/**
 * Writes a BoltDB file from sorted entries, page after page: nothing but keys and the page in the making is held. The
 * meta pages are written last, so that a file cut short is none.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import * as path from 'node:path';
import { DiffKeeperError, fromSystemError, fsyncDirectory, writeFully } from '../core/core.js';
import {
  BOLT_LIMITS,
  BUCKET_BYTES,
  ELEMENT_BYTES,
  encodeMeta,
  LEAF_BUCKET,
  META_BYTES,
  PAGE,
  PAGE_HEADER_BYTES,
} from './bolt-format.js';

const PAGE_BYTES = 4096;
/** Meta pages and an empty list of free pages. */
const FIRST_PAGE = 3;

interface Element {
  readonly key: Buffer;
  readonly value: Buffer;
  /** Child page of a branch element. */
  readonly child: number;
  readonly flags: number;
}

/** First key of a page and its number. */
interface Child {
  readonly key: Buffer;
  readonly page: number;
}

/** One bucket in the making; keys must come in ascending order. */
export class BucketOutput {
  readonly #output: BoltOutput;
  #elements: Element[] = [];
  #bytes = PAGE_HEADER_BYTES;
  #children: Child[] = [];

  constructor(output: BoltOutput) {
    this.#output = output;
  }

  /** @throws DK_LIMIT for a key or value that the format cannot hold */
  async add(key: Buffer, value: Buffer, flags = 0): Promise<void> {
    if (key.length === 0 || key.length > BOLT_LIMITS.keyBytes || value.length > BOLT_LIMITS.valueBytes) {
      const facts = { name: key.subarray(0, 200).toString('utf8'), actual: value.length };
      throw new DiffKeeperError(
        'DK_LIMIT',
        `a BoltDB file cannot hold a key of ${key.length} and a value of ${value.length} bytes`,
        facts,
      );
    }
    const bytes = ELEMENT_BYTES + key.length + value.length;
    if (this.#elements.length > 0 && this.#bytes + bytes > PAGE_BYTES) await this.#flush();
    this.#elements.push({ key, value, child: 0, flags });
    this.#bytes += bytes;
  }

  async #flush(): Promise<void> {
    const key = this.#elements[0]?.key ?? Buffer.alloc(0);
    this.#children.push({ key, page: await this.#output.page(this.#elements, true) });
    this.#elements = [];
    this.#bytes = PAGE_HEADER_BYTES;
  }

  /** Writes what is left and the branches above; returns the root page. */
  async finish(): Promise<number> {
    if (this.#elements.length > 0 || this.#children.length === 0) await this.#flush();
    while (this.#children.length > 1) {
      const level = this.#children;
      this.#children = [];
      for (let first = 0; first < level.length; ) {
        const elements: Element[] = [];
        let bytes = PAGE_HEADER_BYTES;
        // A branch needs two children at least, whatever the length of their keys.
        while (
          first < level.length &&
          (elements.length < 2 || bytes < PAGE_BYTES - ELEMENT_BYTES - (level[first]?.key.length ?? 0))
        ) {
          const { key, page } = level[first] as Child;
          elements.push({ key, value: Buffer.alloc(0), child: page, flags: 0 });
          bytes += ELEMENT_BYTES + key.length;
          first += 1;
        }
        const [{ key }] = elements as [Element];
        this.#children.push({ key, page: await this.#output.page(elements, false) });
      }
    }
    return this.#children[0]?.page ?? 0;
  }
}

export class BoltOutput {
  readonly #file: string;
  readonly #temporary: string;
  readonly #handle: FileHandle;
  #pages = FIRST_PAGE;

  private constructor(file: string, temporary: string, handle: FileHandle) {
    this.#file = file;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  /** Begins a file under a temporary name. @throws DK_IO, DK_DISK_FULL */
  static async create(file: string): Promise<BoltOutput> {
    const temporary = `${file}.${process.pid}.tmp`;
    try {
      return new BoltOutput(file, temporary, await open(temporary, 'w', 0o600));
    } catch (error) {
      throw fromSystemError(error, 'write', temporary);
    }
  }

  /** Writes one page with its overflow; returns its number. */
  async page(elements: readonly Element[], leaf: boolean): Promise<number> {
    const id = this.#pages;
    const header = Buffer.alloc(PAGE_HEADER_BYTES + elements.length * ELEMENT_BYTES);
    let data = 0;
    for (const [index, element] of elements.entries()) {
      const at = PAGE_HEADER_BYTES + index * ELEMENT_BYTES;
      const position = header.length - at + data;
      if (leaf) {
        header.writeUInt32LE(element.flags, at);
        header.writeUInt32LE(position, at + 4);
        header.writeUInt32LE(element.key.length, at + 8);
        header.writeUInt32LE(element.value.length, at + 12);
      } else {
        header.writeUInt32LE(position, at);
        header.writeUInt32LE(element.key.length, at + 4);
        header.writeBigUInt64LE(BigInt(element.child), at + 8);
      }
      data += element.key.length + element.value.length;
    }
    const count = Math.ceil((header.length + data) / PAGE_BYTES);
    header.writeBigUInt64LE(BigInt(id), 0);
    header.writeUInt16LE(leaf ? PAGE.leaf : PAGE.branch, 8);
    header.writeUInt16LE(elements.length, 10);
    header.writeUInt32LE(count - 1, 12);
    this.#pages += count;
    const pad = Buffer.alloc(count * PAGE_BYTES - header.length - data);
    await this.#write([header, ...elements.flatMap(({ key, value }) => [key, value]), pad], id * PAGE_BYTES);
    return id;
  }

  async #write(parts: readonly Buffer[], offset: number): Promise<void> {
    let at = offset;
    try {
      for (const part of parts) {
        await writeFully(this.#handle, part, at);
        at += part.length;
      }
    } catch (error) {
      throw fromSystemError(error, 'write', this.#temporary);
    }
  }

  /** Names the buckets (sorted), writes the meta pages, and gives the file its name. Returns its length in bytes. */
  async finish(buckets: readonly { readonly name: string; readonly root: number }[]): Promise<number> {
    const root = new BucketOutput(this);
    for (const { name, root: page } of buckets) {
      const value = Buffer.alloc(BUCKET_BYTES);
      value.writeBigUInt64LE(BigInt(page), 0);
      await root.add(Buffer.from(name), value, LEAF_BUCKET);
    }
    const rootPage = await root.finish();
    const free = Buffer.alloc(PAGE_BYTES);
    free.writeBigUInt64LE(2n, 0);
    free.writeUInt16LE(PAGE.freelist, 8);
    await this.#write([free], 2 * PAGE_BYTES);
    for (const id of [0, 1]) {
      const page = Buffer.alloc(PAGE_BYTES);
      page.writeBigUInt64LE(BigInt(id), 0);
      page.writeUInt16LE(PAGE.meta, 8);
      const facts = { pageBytes: PAGE_BYTES, root: rootPage, pages: this.#pages, transaction: BigInt(1 + id) };
      encodeMeta(facts).copy(page, PAGE_HEADER_BYTES, 0, META_BYTES);
      await this.#write([page], id * PAGE_BYTES);
    }
    try {
      await this.#handle.sync();
      await this.#handle.close();
      await rename(this.#temporary, this.#file);
      await fsyncDirectory(path.dirname(this.#file));
    } catch (error) {
      throw fromSystemError(error, 'write', this.#file);
    }
    return this.#pages * PAGE_BYTES;
  }

  /** Gives up: nothing is left. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await rm(this.#temporary, { force: true });
  }
}
