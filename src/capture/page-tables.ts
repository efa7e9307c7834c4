/**
 * Page tables of large files: what each 4 KiB page of the newest version hashes to. Kept in memory within a
 * budget and in `pages/` of the store's cache directory. Advisory: a table counts only when it names the digest
 * and the size of the version it is used with, and its own checksum holds (`readSealedFile`).
 *
 *   prefix  := magic 8 | store id 16 | path digest 32 | content digest 32 | size u64
 *   payload := pages | groups
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BytePath, LIMITS, pathBytes } from '../core/core.js';
import type { Version } from '../format/format.js';
import { readSealedFile, type Store, writeSealedFile } from '../store/store.js';

const MAGIC = Buffer.from('DKPAGE02', 'latin1');
const PREFIX_BYTES = 96;
/** More than what stands before the pages in a file. */
const FILE_HEAD_BYTES = 256;
const PAGE_HASH_BYTES = 16;
const GROUP_VALUE_BYTES = 32;
/** Bytes of tables held in memory; more are written out and forgotten. */
const MEMORY_BYTES = 64 << 20;
/** A table that changed little is written at most this often, ms: losing it costs one comparison, not data. */
const WRITE_EVERY_MS = 30_000;
/** One that changed much, ms: a log that is written all the time has another table after each capture. */
const WRITE_MUCH_EVERY_MS = 5_000;

export interface PageTable {
  /** Digest of the whole content that the table describes. */
  readonly digest: Buffer;
  readonly size: number;
  readonly pages: Buffer;
  readonly groups: Buffer;
}

interface Kept {
  readonly table: PageTable;
  dirty: boolean;
  writtenMs: number;
}

interface Staged {
  readonly table: PageTable;
  readonly changedBytes: number;
}

function tableBytes(table: PageTable): number {
  return table.pages.length + table.groups.length;
}

/** All page tables of one store. Not safe for two captures at once; a session runs one at a time. */
export class PageTables {
  readonly #store: Store;
  readonly #folder: string;
  readonly #nowMs: () => number;
  /** Least recently used first. */
  readonly #kept = new Map<BytePath, Kept>();
  readonly #staged = new Map<BytePath, Staged>();
  #keptBytes = 0;

  constructor(store: Store, nowMs: () => number) {
    this.#store = store;
    this.#folder = join(store.cachePath, 'pages');
    this.#nowMs = nowMs;
  }

  /** The table of exactly this version's content, if there is one. */
  async find(version: Version): Promise<PageTable | undefined> {
    const kept = this.#kept.get(version.path);
    if (kept && this.#fits(kept.table, version)) return kept.table;
    const table = await this.#read(version);
    if (!table) return undefined;
    await this.#keep(version.path, { table, dirty: false, writtenMs: this.#nowMs() });
    return table;
  }

  /** Remembers the table of a version that is not committed yet. */
  stage(path: BytePath, table: PageTable, changedBytes: number): void {
    this.#staged.set(path, { table, changedBytes });
  }

  /** The staged versions were committed: their tables count from now on. */
  async commit(): Promise<void> {
    for (const [path, staged] of this.#staged) {
      const before = this.#kept.get(path);
      const kept: Kept = { table: staged.table, dirty: true, writtenMs: before?.writtenMs ?? Number.NEGATIVE_INFINITY };
      // A table is 0.4 % of its file: write it when the capture wrote far more than that anyway.
      const worth = staged.changedBytes >= 4 * tableBytes(staged.table);
      const everyMs = worth ? WRITE_MUCH_EVERY_MS : WRITE_EVERY_MS;
      if (this.#nowMs() - kept.writtenMs >= everyMs) await this.#write(path, kept);
      await this.#keep(path, kept);
    }
    this.#staged.clear();
  }

  /** The capture failed: forget what it staged. */
  discard(): void {
    this.#staged.clear();
  }

  /** Forgets the table of a file that is gone. */
  async remove(path: BytePath): Promise<void> {
    this.#drop(path);
    await rm(this.#file(path), { force: true }).catch(() => {});
  }

  /** Writes what is only in memory. */
  async save(): Promise<void> {
    for (const [path, kept] of this.#kept) await this.#write(path, kept);
  }

  #fits(table: PageTable, version: Version): boolean {
    return version.digest !== null && table.size === version.size && table.digest.equals(version.digest);
  }

  #file(path: BytePath): string {
    const name = BigInt.asUintN(64, this.#store.engine.xxh3(this.#store.guard.describe(pathBytes(path))));
    return join(this.#folder, name.toString(16).padStart(16, '0'));
  }

  #drop(path: BytePath): void {
    const kept = this.#kept.get(path);
    if (!kept) return;
    this.#keptBytes -= tableBytes(kept.table);
    this.#kept.delete(path);
  }

  async #keep(path: BytePath, kept: Kept): Promise<void> {
    this.#drop(path);
    this.#kept.set(path, kept);
    this.#keptBytes += tableBytes(kept.table);
    for (const [oldest, old] of this.#kept) {
      if (this.#keptBytes <= MEMORY_BYTES || oldest === path) break;
      await this.#write(oldest, old);
      this.#drop(oldest);
    }
    if (this.#keptBytes <= MEMORY_BYTES) return;
    await this.#write(path, kept);
    this.#drop(path);
  }

  async #write(path: BytePath, kept: Kept): Promise<void> {
    if (!kept.dirty) return;
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const { table } = kept;
      const payload = Buffer.concat([table.pages, table.groups]);
      await writeSealedFile(this.#store, this.#file(path), this.#prefix(path, table), payload);
      kept.dirty = false;
      kept.writtenMs = this.#nowMs();
    } catch {
      // Advisory: without it the next session compares the file with the store.
    }
  }

  /** What a table is about: it counts for nothing else. */
  #prefix(path: BytePath, { digest, size }: Pick<PageTable, 'digest' | 'size'>): Buffer {
    const { engine, hashAlgo, id } = this.#store;
    const prefix = Buffer.alloc(PREFIX_BYTES);
    MAGIC.copy(prefix, 0);
    Buffer.from(id, 'hex').copy(prefix, 8, 0, 16);
    engine.digest(hashAlgo, pathBytes(path)).copy(prefix, 24, 0, 32);
    digest.copy(prefix, 56, 0, 32);
    prefix.writeBigUInt64LE(BigInt(size), 88);
    return prefix;
  }

  async #read({ path, digest, size }: Version): Promise<PageTable | undefined> {
    if (digest === null) return undefined;
    const pagesBytes = PAGE_HASH_BYTES * Math.ceil(size / LIMITS.pageBytes);
    const groupsBytes = GROUP_VALUE_BYTES * Math.ceil(size / LIMITS.groupBytes);
    const bytesMax = FILE_HEAD_BYTES + pagesBytes + groupsBytes;
    const payload = await readSealedFile(this.#store, this.#file(path), this.#prefix(path, { digest, size }), bytesMax);
    if (!payload || payload.length < pagesBytes) return undefined;
    return { digest, size, pages: payload.subarray(0, pagesBytes), groups: payload.subarray(pagesBytes) };
  }
}
