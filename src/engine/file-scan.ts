/** Scanning one large file: what differs from its page table, step by step. Part of the engine's interface. */
import { checkBytes, checkFilePath, checkInteger } from './check-arguments.js';

/** One block of a scan: a step needs room for more than that. */
const BLOCK_BYTES = 256 << 10;
const BYTES_MAX = 2 ** 32 - 1;

/** One step of `FileScan.next`. */
export interface ScanStep {
  /** Pairs (offset, length): ranges of the file that differ from the page table, ascending, whole pages except at the end of file. */
  readonly ranges: Float64Array;
  /** 1 per range that holds only zeros (its bytes are not in `data`), else 0. Zero ranges and data ranges are never merged. */
  readonly zero: Uint8Array;
  /** Bytes of the non-zero ranges, in order. */
  readonly data: Buffer;
  readonly done: boolean;
}

export interface ScanResult {
  /** Stat row after the scan; equal ctime, size and inode before and after unless `torn`. */
  readonly row: BigInt64Array;
  readonly torn: boolean;
  /** 16 bytes per page: XXH3-128 with the seed, canonical (big-endian) byte order. */
  readonly pages: Buffer;
  /** 32 bytes per full 64 KiB group: BLAKE3 chaining value; empty for sha256. */
  readonly groups: Buffer;
  /** Digest of the whole content. */
  readonly digest: Buffer;
  readonly xattrs: Buffer;
}

/** The page table of the version that a scan compares with; empty, and 0, for none. */
export interface ScanTables {
  readonly pages: Uint8Array;
  readonly groups: Uint8Array;
  readonly sourceBytes: number;
}

/** What `FileScan.hold` took. */
export interface HeldFile {
  /** Stat row of that moment. */
  readonly row: BigInt64Array;
  /**
   * How much of the memory is used, from its begin: all bytes of the groups that were copied. Engines agree on it: it does not
   * depend on what is mapped.
   */
  readonly heldBytes: number;
}

/** Scans one large file against its page table; at most `dataBytesMax` of changed bytes are held at a time. */
export interface FileScan {
  /** Stat row of when it was opened. */
  readonly row: BigInt64Array;
  /** Before `hold`, while the file may still change: has it at hand, so that `hold` is quicker. False when that cannot be. */
  map(): Promise<boolean>;
  /**
   * Before the first step: takes the file as it is now, so that all steps and the result are of this moment, whatever
   * becomes of the file. `hold` copies the groups of 64 KiB in which a page differs from the page table, and the last one; of
   * each 1 MiB of the file it stops comparing after four such groups in a row, and copies the rest. They go into `into`, whose
   * used part must stay as it is until the scan is closed, also when the file has moved since it was opened. A file that is not
   * mapped is no longer open then: any number of them may be held. `clone` takes all of it into a nameless file in `directory`
   * (absolute path) that shares its blocks, where the file system can. Undefined, or false, when that was not done and nothing has changed: what is to be copied does not fit, the file is or
   * was empty, it moves, blocks cannot be shared; or, of `clone`, it moved since it was opened.
   */
  hold(into: Uint8Array): Promise<HeldFile | undefined>;
  clone(directory: string): Promise<boolean>;
  /**
   * Begins anew with the file as it is now and another page table: gives the scan to go on with, in place of this one. What is
   * mapped stays so, which costs as much to make as comparing the file does. Undefined when that cannot be, as after a `clone`,
   * or a `hold` of what is not mapped: close it then.
   */
  renew(tables: ScanTables): Promise<FileScan | undefined>;
  /** Continues until at least `dataBytesMax - 256 KiB` changed bytes are gathered, 64 MiB of file went by, or the end. */
  next(dataBytesMax: number): Promise<ScanStep>;
  /** After `done`. Hashes what changed; page table and digest describe exactly the bytes handed out. */
  finish(): Promise<ScanResult>;
  close(): Promise<void>;
}

/** @throws TypeError, RangeError for tables that are none */
export function checkTables({ pages, groups, sourceBytes }: ScanTables): void {
  checkBytes(pages, 'pages');
  checkBytes(groups, 'groups');
  checkInteger(sourceBytes, 'sourceBytes', 0, Number.MAX_SAFE_INTEGER);
}

/** Checks arguments before a scan sees them. */
export function guardScan(scan: FileScan): FileScan {
  return {
    row: scan.row,
    map: () => scan.map(),
    async hold(into) {
      checkBytes(into, 'into');
      return scan.hold(into);
    },
    async clone(directory) {
      checkFilePath(directory, 'directory');
      return scan.clone(directory);
    },
    async renew(tables) {
      checkTables(tables);
      const renewed = await scan.renew(tables);
      return renewed && guardScan(renewed);
    },
    async next(dataBytesMax) {
      checkInteger(dataBytesMax, 'dataBytesMax', BLOCK_BYTES, BYTES_MAX);
      return scan.next(dataBytesMax);
    },
    finish: () => scan.finish(),
    close: () => scan.close(),
  };
}
