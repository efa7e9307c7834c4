/**
 * Scanning one large file against its page table (`Engine.openFileScan` of the
 * twin). What is handed out, compared and hashed is one read of each block.
 */
import type { Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { type BytePath, createHash, LIMITS, randomUUID, readFully } from '../core/core.js';
import {
  ENTRY,
  type Engine,
  type FileScan,
  type HeldFile,
  type ScanResult,
  type ScanStep,
  type ScanTables,
  STAT,
} from './engine.js';
import { fullPath, ParentCheck, sameContent, statRow, systemError } from './twin-beneath.js';
import { blake3, GROUP_BYTES, groupValue, rootFromGroups } from './twin-blake3.js';
import { PAGE_VALUE_BYTES, type PageHash, pageHash } from './twin-pages.js';
import { READ_FLAGS } from './twin-read.js';
import { StepBuilder } from './twin-scan-step.js';

type Options = Parameters<Engine['openFileScan']>[0];

const PAGE_BYTES = LIMITS.pageBytes;
const BLOCK_BYTES = 256 << 10;
/** Bytes of the file that one step covers at most. */
const STEP_BYTES = 64 << 20;
const GROUP_PAGES = GROUP_BYTES / PAGE_BYTES;
/** Groups that are compared until so many in a row differ; the rest of such a piece is copied without a look. */
const PIECE_GROUPS = 16;
const MOVED_RUN = 4;
/** Place of a group that is as in the source version. */
const KNOWN = -1;

/** The groups that were copied; the place of one that is as in the source version is `KNOWN`. */
interface HeldGroups {
  readonly bytes: Buffer;
  readonly places: readonly number[];
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
  /** What was taken by `hold`, where each group lies in it, and the row of that moment; or the row of a clone. */
  #held: { readonly groups: HeldGroups | undefined; readonly row: BigInt64Array } | undefined;

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

  async hold(into: Uint8Array): Promise<HeldFile | undefined> {
    if (this.#at > 0 || this.#held || this.#size === 0) return undefined;
    const row = statRow(await this.file.stat({ bigint: true }));
    const size = Number(row[STAT.size]);
    if (size === 0) return undefined;
    const bytes = Buffer.from(into.buffer, into.byteOffset, into.length);
    const places: number[] = [];
    let heldBytes = 0;
    let moved = 0;
    for (let at = 0; at < size; at += GROUP_BYTES) {
      const index = at / GROUP_BYTES;
      const length = Math.min(GROUP_BYTES, size - at);
      const group = this.#block.subarray(0, length);
      if ((await readFully(this.file, group, at)) !== length) return undefined;
      // As the native scan, whose threads each take a piece, so that both take the same.
      if (index % PIECE_GROUPS === 0) moved = 0;
      // No group value stands for the last one.
      const known = at + length < size && moved < MOVED_RUN && this.#isSourceGroup(index, group);
      moved = known ? 0 : moved + 1;
      places.push(known ? KNOWN : heldBytes);
      if (known) continue;
      if (heldBytes + length > bytes.length) return undefined;
      heldBytes += group.copy(bytes, heldBytes);
    }
    if (!(await this.#keep({ bytes, places }, row))) return undefined;
    // Nothing more is asked of it, and there may be thousands.
    await this.file.close();
    this.#measure(row);
    return { row, heldBytes };
  }

  /** Whether a full group is as in the source version, by its page hashes; SHA-256 needs the bytes of every group. */
  #isSourceGroup(index: number, content: Buffer): boolean {
    const { pages, groups, sourceBytes } = this.options;
    const first = index * GROUP_PAGES * PAGE_VALUE_BYTES;
    const kept = (index + 1) * GROUP_BYTES <= sourceBytes && groups.length >= (index + 1) * 32;
    if (this.#sha || !kept || pages.length < first + GROUP_PAGES * PAGE_VALUE_BYTES) return false;
    for (let page = 0; page < GROUP_PAGES; page += 1) {
      const hash = this.hashPage(content.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
      const at = first + page * PAGE_VALUE_BYTES;
      if (Buffer.compare(hash, pages.subarray(at, at + PAGE_VALUE_BYTES)) !== 0) return false;
    }
    return true;
  }

  async renew(tables: ScanTables): Promise<FileScan | undefined> {
    // A clone is no longer the file, and what was taken is no longer open.
    if (this.#held) return undefined;
    const row = statRow(await this.file.stat({ bigint: true }));
    return new TwinFileScan(row, this.file, { ...this.options, ...tables }, this.hashPage);
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
  async #keep(groups: HeldGroups | undefined, before: BigInt64Array): Promise<boolean> {
    const row = statRow(await this.file.stat({ bigint: true }));
    if (!sameContent(before, row)) return false;
    this.#held = { groups, row };
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
    const held = this.#held?.groups;
    if (held) {
      for (let at = 0; at < want; at += GROUP_BYTES) {
        const place = held.places[(this.#at + at) / GROUP_BYTES] as number;
        if (place !== KNOWN) held.bytes.copy(this.#block, at, place, place + Math.min(GROUP_BYTES, want - at));
      }
      return want;
    }
    const got = await readFully(this.file, this.#block.subarray(0, want), this.#at);
    if (got < want) this.#torn = true;
    return got;
  }

  #takeBlock(bytes: number, step: StepBuilder): void {
    const start = this.#at;
    for (let group = 0; group < bytes; group += GROUP_BYTES) {
      const index = Math.floor((start + group) / GROUP_BYTES);
      if (this.#held?.groups?.places[index] === KNOWN) {
        this.#takeKnown(index);
        continue;
      }
      const content = this.#block.subarray(group, Math.min(group + GROUP_BYTES, bytes));
      const changed = this.#comparePages(start + group, content, step);
      this.#takeGroup(index, content, changed);
    }
    this.#sha?.update(this.#block.subarray(0, bytes));
    this.#at = this.#torn ? this.#size : start + bytes;
  }

  /** A group that is as in the source version: so are its hashes and its value. */
  #takeKnown(index: number): void {
    const { pages, groups } = this.options;
    const [first, bytes] = [index * GROUP_PAGES * PAGE_VALUE_BYTES, GROUP_PAGES * PAGE_VALUE_BYTES];
    this.#pages.set(pages.subarray(first, first + bytes), first);
    this.#groups.set(groups.subarray(index * 32, index * 32 + 32), index * 32);
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
