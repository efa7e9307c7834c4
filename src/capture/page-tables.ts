/**
 * Page tables of large files: what each 4 KiB page of the newest version hashes to. Kept in memory within a
 * budget and in `pages/` of the store's cache directory. Advisory: a table counts only when it names the digest
 * and the size of the version it is used with, and its own checksum holds.
 *
 *   magic 8 | store id 16 | path digest 32 | content digest 32 | size u64 | pages bytes u64 | groups bytes u64 |
 *   XXH3-64 u64 of the payload, seeded with the XXH3-64 of all before it | pages | groups
 */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type BytePath, LIMITS, pathBytes, writeFileAdvisory } from '../core/core.js';
import type { Version } from '../format/format.js';
import type { Store } from '../store/store.js';

const MAGIC = Buffer.from('DKPAGE01', 'latin1');
const HEADER_BYTES = 120;
/** Bytes of tables held in memory; more are written out and forgotten. */
const MEMORY_BYTES = 64 << 20;
/** A table that changed little is written at most this often, ms: losing it costs one comparison, not data. */
const WRITE_EVERY_MS = 30_000;

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
    const found = await readFile(this.#file(version.path)).catch(() => undefined);
    const bytes = found && this.#store.guard.open(found, this.#about(version.path));
    const table = bytes && this.#decode(version.path, bytes);
    if (!table || !this.#fits(table, version)) return undefined;
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
      const kept: Kept = { table: staged.table, dirty: true, writtenMs: before?.writtenMs ?? 0 };
      // A table is 0.4 % of its file: write it when the capture wrote far more than that anyway.
      const worth = staged.changedBytes >= 4 * tableBytes(staged.table);
      if (worth || this.#nowMs() - kept.writtenMs >= WRITE_EVERY_MS) await this.#write(path, kept);
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

  /** What stands for the path outside of the file. */
  #about(path: BytePath): Buffer {
    return this.#store.guard.describe(pathBytes(path));
  }

  #file(path: BytePath): string {
    const name = BigInt.asUintN(64, this.#store.engine.xxh3(this.#about(path)));
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
      const bytes = this.#store.guard.seal(this.#encode(path, kept.table), this.#about(path));
      await writeFileAdvisory(this.#file(path), bytes);
      kept.dirty = false;
      kept.writtenMs = this.#nowMs();
    } catch {
      // Advisory: without it the next session compares the file with the store.
    }
  }

  #header(path: BytePath, table: PageTable): Buffer {
    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header, 0);
    Buffer.from(this.#store.id, 'hex').copy(header, 8, 0, 16);
    this.#store.engine.digest(this.#store.hashAlgo, pathBytes(path)).copy(header, 24, 0, 32);
    table.digest.copy(header, 56, 0, 32);
    header.writeBigUInt64LE(BigInt(table.size), 88);
    header.writeBigUInt64LE(BigInt(table.pages.length), 96);
    header.writeBigUInt64LE(BigInt(table.groups.length), 104);
    return header;
  }

  #encode(path: BytePath, table: PageTable): Buffer {
    const header = this.#header(path, table);
    const payload = Buffer.concat([table.pages, table.groups]);
    header.writeBigUInt64LE(this.#checksum(header, payload), 112);
    return Buffer.concat([header, payload]);
  }

  #checksum(header: Buffer, payload: Uint8Array): bigint {
    const { engine } = this.#store;
    return BigInt.asUintN(64, engine.xxh3(payload, engine.xxh3(header.subarray(0, 112))));
  }

  #decode(path: BytePath, bytes: Buffer): PageTable | undefined {
    if (bytes.length < HEADER_BYTES) return undefined;
    const size = Number(bytes.readBigUInt64LE(88));
    const pagesBytes = Number(bytes.readBigUInt64LE(96));
    const payload = bytes.subarray(HEADER_BYTES);
    if (size > LIMITS.fileBytes || pagesBytes !== 16 * Math.ceil(size / LIMITS.pageBytes)) return undefined;
    if (pagesBytes > payload.length) return undefined;
    const table: PageTable = {
      digest: bytes.subarray(56, 88),
      size,
      pages: payload.subarray(0, pagesBytes),
      groups: payload.subarray(pagesBytes),
    };
    // Building the header again checks every field of it in one comparison.
    const header = this.#header(path, table);
    if (!header.subarray(0, 112).equals(bytes.subarray(0, 112))) return undefined;
    if (bytes.readBigUInt64LE(112) !== this.#checksum(header, payload)) return undefined;
    return table;
  }
}
