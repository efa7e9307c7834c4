/** What one capture has decided so far: the checkpoint in the making and what the stat index will be told. */
import { type BytePath, pathToText, throwIfAborted } from '../core/core.js';
import { type Engine, STAT, STAT_COLUMNS, type StatIndex, TRY } from '../engine/engine.js';
import type { Version } from '../format/format.js';
import type { Store, Transaction } from '../store/store.js';
import type { LevelFiles, UnlikeFiles } from './context-worth.js';
import { changedMsOf, type Entry, rowValue } from './entry-version.js';
import type { MovedFiles } from './moved-files.js';
import type { PageTables } from './page-tables.js';
import type { SkipReason } from './skip-reason.js';
import type { CaptureOptions, CaptureSkip } from './types.js';

/** The kernel stamps files with a clock that ticks every 1-10 ms: two writes closer than this can look alike. */
const RACY_NS = 20_000_000n;
/** A modification time further ahead than this was set by hand and says nothing about writes. */
const AHEAD_NS = 2_000_000_000n;
/** TRY bits by `deltaEngine`. */
const TRIES = {
  auto: undefined,
  zstd: TRY.zstd | TRY.zstdContext,
  xor: TRY.zstd | TRY.xor,
  none: TRY.zstd,
} as const;
/** Rows handed to the index in one call. */
const PUT_ROWS = 8192;

export interface CaptureSetting {
  readonly store: Store;
  readonly root: string;
  readonly options: CaptureOptions;
  readonly tables: PageTables;
  readonly unlike: UnlikeFiles;
  readonly levels: LevelFiles;
  readonly tx: Transaction;
  readonly signal: AbortSignal | undefined;
  readonly takeUnsettled: boolean;
  /** Wall clock (ms) of the kernel when the scan began. */
  readonly scanStartMs: number;
  readonly filesTotal: number;
  readonly moved: MovedFiles;
}

export class CaptureWork {
  readonly store: Store;
  readonly engine: Engine;
  readonly root: string;
  readonly tables: PageTables;
  readonly unlike: UnlikeFiles;
  readonly levels: LevelFiles;
  readonly tx: Transaction;
  readonly moved: MovedFiles;
  readonly takeUnsettled: boolean;
  readonly chunkBytes: number;
  /** TRY bits that `deltaEngine` leaves; undefined = all. */
  readonly tries: number | undefined;
  /** Changed bytes may be coded against older ones. */
  readonly deltas: boolean;
  /** XOR was asked for: give it a chance wherever sizes are equal. */
  readonly preferXor: boolean;
  readonly skipped: CaptureSkip[] = [];
  /** The same by path. */
  readonly leftOut = new Map<BytePath, CaptureSkip['kind']>();
  readonly unsettled: string[] = [];
  /** Entries left to a later capture. */
  readonly left: BytePath[] = [];
  /** Those of them that only did not hold still. */
  readonly again: BytePath[] = [];
  /** Paths that got a version or a removal. */
  readonly written: BytePath[] = [];
  /** When each of them changed last, as the kernel stamped it, ms since 1970; 0: it is gone. */
  readonly changedMs: number[] = [];
  /** The same of the state directory itself; 0: nobody looked. */
  rootChangedMs = 0;
  added = 0;
  changed = 0;
  removed = 0;
  readBytes = 0;
  readonly #setting: CaptureSetting;
  readonly #paths: BytePath[] = [];
  /** `PUT_ROWS` rows each, copied: a view would keep its whole batch alive. */
  readonly #rows: BigInt64Array[] = [];
  readonly #trusted: number[] = [];
  readonly #gone: BytePath[] = [];
  #filesDone = 0;

  constructor(setting: CaptureSetting) {
    this.#setting = setting;
    this.store = setting.store;
    this.engine = setting.store.engine;
    this.root = setting.root;
    this.tables = setting.tables;
    this.unlike = setting.unlike;
    this.levels = setting.levels;
    this.tx = setting.tx;
    this.moved = setting.moved;
    this.takeUnsettled = setting.takeUnsettled;
    const { chunkBytes = 4 << 20, deltaEngine = 'auto' } = setting.options;
    this.chunkBytes = chunkBytes;
    this.preferXor = deltaEngine === 'xor';
    this.deltas = deltaEngine !== 'none';
    this.tries = TRIES[deltaEngine];
  }

  checkAborted(): void {
    throwIfAborted(this.#setting.signal);
  }

  /**
   * Leaves the entry to a later capture. `reason` null: it is simply not there any more, which is not worth a
   * report. `again`: look as soon as possible, because it only did not hold still.
   */
  skip(path: BytePath, reason: SkipReason | null, again = false): void {
    if (reason !== null) this.leaveOut(path, reason);
    this.left.push(path);
    if (again) this.again.push(path);
    this.#step(0);
  }

  /** Tells that something is left out. */
  leaveOut(path: BytePath, reason: SkipReason): void {
    this.skipped.push({ path: pathToText(path), ...reason });
    this.leftOut.set(path, reason.kind);
  }

  /** Leaves out what is never kept (a socket, for example). The index must not trust it, so that each full scan tells of it. */
  exclude(entry: Entry, head: Version | undefined, reason: string): void {
    this.leaveOut(entry.path, { kind: 'special', reason });
    if (head) this.#removal(entry.path);
    this.#know(entry, 0);
    this.#step(0);
  }

  /** The entry is as the store has it (or never will be there): the index may remember it. */
  settle(entry: Entry, bytes: number): void {
    this.#know(entry, this.#isRacy(entry.row) ? 0 : 1);
    this.#step(bytes);
  }

  #know({ path, row }: Entry, trusted: 0 | 1): void {
    const at = this.#paths.length % PUT_ROWS;
    if (at === 0) this.#rows.push(new BigInt64Array(PUT_ROWS * STAT_COLUMNS));
    this.#rows[this.#rows.length - 1]?.set(row.subarray(0, STAT_COLUMNS), at * STAT_COLUMNS);
    this.#paths.push(path);
    this.#trusted.push(trusted);
  }

  /** The entry gets a version, as far as the store can hold it. */
  write(entry: Entry, version: Version, head: Version | undefined): void {
    if (this.tx.put(version)) {
      this.written.push(entry.path);
      this.changedMs.push(changedMsOf(entry.row));
      if (head) this.changed += 1;
      else this.added += 1;
    }
    this.settle(entry, version.size);
  }

  /** The entry is gone; `head` says whether the store knew it. */
  erase(path: BytePath, head: Version | undefined): void {
    this.#gone.push(path);
    if (head) this.#removal(path);
  }

  #removal(path: BytePath): void {
    if (!this.tx.remove(path)) return;
    this.written.push(path);
    this.changedMs.push(0);
    this.removed += 1;
  }

  /** After the commit: tells the index what is known now. */
  apply(index: StatIndex): void {
    // Removal takes everything below with it, so it goes first.
    if (this.#gone.length > 0) index.remove(this.#gone);
    for (let first = 0; first < this.#paths.length; first += PUT_ROWS) {
      const paths = this.#paths.slice(first, first + PUT_ROWS);
      const rows = this.#rows[first / PUT_ROWS]?.subarray(0, paths.length * STAT_COLUMNS) ?? new BigInt64Array(0);
      index.put(paths, rows, Uint8Array.from(this.#trusted.slice(first, first + PUT_ROWS)));
    }
  }

  #step(bytes: number): void {
    this.readBytes += bytes;
    this.#filesDone += 1;
    const { onProgress } = this.#setting.options;
    if (!onProgress || (this.#filesDone % 64 !== 0 && bytes < 1 << 20)) return;
    onProgress({
      filesDone: this.#filesDone,
      filesTotal: Math.max(this.#setting.filesTotal, this.#filesDone),
      bytesDone: this.readBytes,
    });
  }

  #isRacy(row: BigInt64Array): boolean {
    const start = BigInt(Math.floor(this.#setting.scanStartMs)) * 1_000_000n;
    const mtime = rowValue(row, STAT.mtimeNs);
    if (rowValue(row, STAT.ctimeNs) > start - RACY_NS) return true;
    return mtime > start - RACY_NS && mtime < start + AHEAD_NS;
  }
}
