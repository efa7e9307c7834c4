/**
 * Scanning one large file against its page table (`Engine.openFileScan` of the
 * twin). What is handed out, compared and hashed is one read of each block.
 */
import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type BytePath, createHash, LIMITS, randomUUID, readFully } from '../core/core.js';
import { ENTRY, type Engine, type FileScan, type ScanResult, type ScanStep, STAT } from './engine.js';
import { fullPath, ParentCheck, sameContent, statRow, systemError } from './twin-beneath.js';
import { blake3, GROUP_BYTES, groupValue, rootFromGroups } from './twin-blake3.js';
import { PAGE_VALUE_BYTES, type PageHash, pageHash } from './twin-pages.js';
import { READ_FLAGS } from './twin-read.js';

type Options = Parameters<Engine['openFileScan']>[0];

const PAGE_BYTES = LIMITS.pageBytes;
const BLOCK_BYTES = 256 << 10;
/** Bytes of the file that one step covers at most. */
const STEP_BYTES = 64 << 20;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/** Ranges of one step as they grow. */
class StepBuilder {
  readonly #ranges: number[] = [];
  readonly #zero: number[] = [];
  readonly #data: Buffer[] = [];
  bytes = 0;

  add(offset: number, page: Buffer): void {
    const zero = page.equals(ZERO_PAGE.subarray(0, page.length)) ? 1 : 0;
    const last = this.#zero.length - 1;
    const joins = last >= 0 && this.#zero[last] === zero && this.#end() === offset;
    if (joins) this.#ranges[last * 2 + 1] = (this.#ranges[last * 2 + 1] as number) + page.length;
    else {
      this.#ranges.push(offset, page.length);
      this.#zero.push(zero);
    }
    if (zero === 1) return;
    // The block is read into again: what is handed out needs a copy.
    this.#data.push(Buffer.from(page));
    this.bytes += page.length;
  }

  #end(): number {
    return (this.#ranges.at(-2) as number) + (this.#ranges.at(-1) as number);
  }

  build(done: boolean): ScanStep {
    return {
      ranges: Float64Array.from(this.#ranges),
      zero: Uint8Array.from(this.#zero),
      data: Buffer.concat(this.#data),
      done,
    };
  }
}

class TwinFileScan implements FileScan {
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  readonly #sha: Hash | undefined;
  #size = 0;
  #pages = Buffer.alloc(0);
  #groups = Buffer.alloc(0);
  /** The last group, full or not: alone or partial it cannot be told by its chaining value. */
  #tail = Buffer.alloc(0);
  #leadGroups = 0;
  #at = 0;
  #torn = false;
  /** What was taken by `hold`, and the row of that moment; or the row of a clone. */
  #held: { readonly bytes: Buffer | undefined; readonly row: BigInt64Array } | undefined;

  constructor(
    readonly row: BigInt64Array,
    public file: FileHandle,
    readonly options: Options,
    readonly hashPage: PageHash,
  ) {
    this.#sha = options.algo === 'sha256' ? createHash('sha256') : undefined;
    this.#measure(row);
  }

  /** Makes room for a file as this row has it. */
  #measure(row: BigInt64Array): void {
    this.#size = Number(row[STAT.size]);
    const fullGroups = this.options.algo === 'blake3' ? Math.floor(this.#size / GROUP_BYTES) : 0;
    this.#leadGroups = Math.max(0, Math.ceil(this.#size / GROUP_BYTES) - 1);
    this.#pages = Buffer.alloc(Math.ceil(this.#size / PAGE_BYTES) * PAGE_VALUE_BYTES);
    this.#groups = Buffer.alloc(fullGroups * 32);
    this.#tail = Buffer.alloc(this.#size - this.#leadGroups * GROUP_BYTES);
  }

  async map(): Promise<boolean> {
    return false;
  }

  async hold(into: Uint8Array): Promise<BigInt64Array | undefined> {
    if (this.#at > 0 || this.#held || this.#size === 0) return undefined;
    const row = statRow(await this.file.stat({ bigint: true }));
    const size = Number(row[STAT.size]);
    if (size === 0 || size > into.length) return undefined;
    const bytes = Buffer.from(into.buffer, into.byteOffset, size);
    if ((await readFully(this.file, bytes, 0)) !== size || !(await this.#keep(bytes, row))) return undefined;
    this.#measure(row);
    return row;
  }

  async clone(directory: string): Promise<boolean> {
    if (process.platform !== 'linux' || this.#at > 0 || this.#held) return false;
    const path = join(directory, `clone-${randomUUID()}`);
    let clone: FileHandle | undefined;
    try {
      await copyFile(`/proc/self/fd/${this.file.fd}`, path, constants.COPYFILE_FICLONE_FORCE);
      clone = await open(path);
    } catch {
      return false;
    } finally {
      await unlink(path).catch(() => {});
    }
    const kept = await this.#keep(undefined, this.row);
    await (kept ? this.file : clone).close();
    if (kept) this.file = clone;
    return kept;
  }

  /** False when what was read is not of one moment. */
  async #keep(bytes: Buffer | undefined, before: BigInt64Array): Promise<boolean> {
    const row = statRow(await this.file.stat({ bigint: true }));
    if (!sameContent(before, row)) return false;
    this.#held = { bytes, row };
    return true;
  }

  async next(dataBytesMax: number): Promise<ScanStep> {
    const step = new StepBuilder();
    const stop = Math.min(this.#size, this.#at + STEP_BYTES);
    do {
      const bytes = await this.#readBlock();
      this.#takeBlock(bytes, step);
    } while (this.#at < stop && step.bytes < dataBytesMax - BLOCK_BYTES);
    return step.build(this.#at >= this.#size);
  }

  /** Bytes of the next block; a file that became shorter is torn and reads as ended. */
  async #readBlock(): Promise<number> {
    const want = Math.min(BLOCK_BYTES, this.#size - this.#at);
    const held = this.#held?.bytes;
    if (held) return held.copy(this.#block, 0, this.#at, this.#at + want);
    const got = await readFully(this.file, this.#block.subarray(0, want), this.#at);
    if (got < want) this.#torn = true;
    return got;
  }

  #takeBlock(bytes: number, step: StepBuilder): void {
    const start = this.#at;
    for (let group = 0; group < bytes; group += GROUP_BYTES) {
      const content = this.#block.subarray(group, Math.min(group + GROUP_BYTES, bytes));
      const changed = this.#comparePages(start + group, content, step);
      this.#takeGroup(Math.floor((start + group) / GROUP_BYTES), content, changed);
    }
    this.#sha?.update(this.#block.subarray(0, bytes));
    this.#at = this.#torn ? this.#size : start + bytes;
  }

  /** Hashes and compares the pages of one group; whether any of them changed. */
  #comparePages(offset: number, content: Buffer, step: StepBuilder): boolean {
    const { pages, sourceBytes } = this.options;
    let changed = false;
    for (let at = 0; at < content.length; at += PAGE_BYTES) {
      const page = content.subarray(at, at + PAGE_BYTES);
      const begin = offset + at;
      const valueAt = (begin / PAGE_BYTES) * PAGE_VALUE_BYTES;
      this.#pages.set(this.hashPage(page), valueAt);
      const sameLength = Math.min(PAGE_BYTES, sourceBytes - begin) === page.length;
      const known = sameLength && valueAt + PAGE_VALUE_BYTES <= pages.length;
      const end = valueAt + PAGE_VALUE_BYTES;
      if (known && this.#pages.compare(pages, valueAt, end, valueAt, end) === 0) continue;
      changed = true;
      step.add(begin, page);
    }
    return changed;
  }

  #takeGroup(index: number, content: Buffer, changed: boolean): void {
    if (this.options.algo !== 'blake3') return;
    if (index === this.#leadGroups) this.#tail.set(content);
    if (content.length < GROUP_BYTES) return;
    const known = this.options.groups.subarray(index * 32, index * 32 + 32);
    const keep = !changed && known.length === 32 && (index + 1) * GROUP_BYTES <= this.options.sourceBytes;
    this.#groups.set(keep ? known : groupValue(content, index), index * 32);
  }

  async finish(): Promise<ScanResult> {
    const row = this.#held?.row ?? statRow(await this.file.stat({ bigint: true }));
    // What was taken is of one moment.
    const moved = this.#held === undefined && !sameContent(this.row, row);
    // As the native scan: the digest of a file cut while it was read names nothing.
    const digest = this.#torn ? Buffer.alloc(32) : (this.#sha?.digest() ?? this.#contentDigest());
    return {
      row,
      torn: this.#torn || moved,
      pages: this.#pages,
      groups: this.#groups,
      digest,
      xattrs: Buffer.alloc(0),
    };
  }

  #contentDigest(): Buffer {
    if (this.#size === 0) return blake3(this.#tail);
    return rootFromGroups(this.#groups, this.#leadGroups, this.#tail);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

async function openRegular(root: string, path: BytePath): Promise<{ file: FileHandle; row: BigInt64Array }> {
  await new ParentCheck(root).check(path);
  const file = await open(fullPath(root, path), READ_FLAGS);
  try {
    const row = statRow(await file.stat({ bigint: true }));
    if (row[STAT.type] === BigInt(ENTRY.directory)) throw systemError('EISDIR', path);
    if (row[STAT.type] !== BigInt(ENTRY.file)) throw systemError('EINVAL', path);
    return { file, row };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** See `Engine.openFileScan`. */
export async function openFileScan(options: Options): Promise<FileScan> {
  const hash = await pageHash(options.seed);
  const { file, row } = await openRegular(options.root, options.path);
  return new TwinFileScan(row, file, options, hash);
}
