/** An open BoltDB file: read-only, read in bounded pieces, its two meta pages weighed against each other. */
import { type FileHandle, open } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, readFully } from '../core/core.js';
import {
  BOLT_LIMITS,
  type BoltMeta,
  boltDamage,
  decodeMeta,
  hasMagic,
  META_BYTES,
  PAGE_HEADER_BYTES,
} from './bolt-format.js';

/** What is known of the file before any page is followed. */
export interface BoltFacts {
  readonly fileBytes: number;
  readonly mtimeNs: bigint;
  /** Whole meta pages, newest first; empty for a file of no bytes. */
  readonly metas: readonly BoltMeta[];
  /** Why a meta page cannot be used, in the order of the pages. */
  readonly metaDamage: readonly string[];
}

export class BoltFile {
  readonly path: string;
  readonly facts: BoltFacts;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle, facts: BoltFacts) {
    this.path = path;
    this.#handle = handle;
    this.facts = facts;
  }

  /**
   * Opens a file for reading. A file of no bytes is an empty one, as the library that wrote these has it.
   *
   * @throws DK_NO_STORE when it is no BoltDB file, DK_CORRUPT_BOLT when both meta pages are damaged, DK_IO
   */
  static async open(path: string): Promise<BoltFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(path, 'r');
      return new BoltFile(path, handle, await readFacts(path, handle));
    } catch (error) {
      await handle?.close().catch(() => {});
      throw fromSystemError(error, 'read', path);
    }
  }

  /** Bytes per page; 4096 for a file of no bytes. */
  get pageBytes(): number {
    return this.facts.metas[0]?.pageBytes ?? 4096;
  }

  /** Pages that are really there. */
  get pageCount(): number {
    return Math.floor(this.facts.fileBytes / this.pageBytes);
  }

  /** Exactly these bytes. @throws DK_CORRUPT_BOLT behind the end of the file, DK_IO */
  async read(offset: number, length: number): Promise<Buffer> {
    if (offset < 0 || length < 0 || offset + length > this.facts.fileBytes) {
      throw boltDamage(`the file ends at ${this.facts.fileBytes}, before byte ${offset + length}`, offset);
    }
    return readExactly(this.path, this.#handle, { offset, length });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function readExactly(
  path: string,
  handle: FileHandle,
  range: { readonly offset: number; readonly length: number },
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(range.length);
  const got = await readFully(handle, bytes, range.offset).catch((error: unknown) => {
    throw fromSystemError(error, 'read', path);
  });
  if (got < range.length) throw boltDamage('the file became shorter while it was read', range.offset + got);
  return bytes;
}

async function readFacts(path: string, handle: FileHandle): Promise<BoltFacts> {
  const { size, mtimeNs } = await handle.stat({ bigint: true });
  const fileBytes = Number(size);
  if (fileBytes === 0) return { fileBytes, mtimeNs, metas: [], metaDamage: [] };
  const bodyAt = async (pageOffset: number): Promise<Buffer> => {
    const length = Math.min(META_BYTES, fileBytes - pageOffset - PAGE_HEADER_BYTES);
    if (length <= 0) return Buffer.alloc(0);
    return readExactly(path, handle, { offset: pageOffset + PAGE_HEADER_BYTES, length });
  };
  const firstBody = await bodyAt(0);
  const first = decodeMeta(firstBody);
  const metaDamage: string[] = [];
  const metas: BoltMeta[] = [];
  let known = hasMagic(firstBody);
  if (typeof first === 'string') metaDamage.push(`meta page 0: ${first}`);
  else metas.push(first);
  // The second meta page stands one page on; when the first one cannot say how far that is, every size is tried.
  const sizes = typeof first === 'string' ? pageSizes() : [first.pageBytes];
  let second: BoltMeta | string = 'it is not there';
  for (const pageBytes of sizes) {
    const body = await bodyAt(pageBytes);
    known ||= hasMagic(body);
    const meta = decodeMeta(body);
    if (typeof meta !== 'string' && meta.pageBytes !== pageBytes) continue;
    second = meta;
    if (typeof meta !== 'string') break;
  }
  if (typeof second === 'string') metaDamage.push(`meta page 1: ${second}`);
  else metas.push(second);
  if (!known) throw new DiffKeeperError('DK_NO_STORE', `${path} is neither a store nor a BoltDB file`, { path });
  if (metas.length === 0) {
    throw new DiffKeeperError('DK_CORRUPT_BOLT', `both meta pages of ${path} are damaged: ${metaDamage.join('; ')}`, {
      path,
    });
  }
  metas.sort((one, other) => (one.transaction < other.transaction ? 1 : -1));
  return { fileBytes, mtimeNs, metas, metaDamage };
}

function pageSizes(): number[] {
  const sizes: number[] = [];
  for (let size: number = BOLT_LIMITS.pageBytesMin; size <= BOLT_LIMITS.pageBytesMax; size *= 2) sizes.push(size);
  return sizes;
}
