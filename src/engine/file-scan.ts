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

/** Scans one large file against its page table; at most `dataBytesMax` of changed bytes are held at a time. */
export interface FileScan {
  /** Stat row of when it was opened. */
  readonly row: BigInt64Array;
  /** Before `hold`, while the file may still change: has it at hand, so that `hold` is quicker. False when that cannot be. */
  map(): Promise<boolean>;
  /**
   * Before the first step: takes the file as it is now, so that all steps and the result are of this moment, whatever
   * becomes of the file. `hold` copies it into `into`, which must stay as it is until the scan is closed, also when it
   * has moved since it was opened, and gives the row of this moment; `clone` into a nameless file in `directory` (absolute
   * path) that shares its blocks, where the file system can. Undefined, or false, when that was not done and nothing has
   * changed: it does not fit, it is or was empty, it moves, blocks cannot be shared; or, of `clone`, it moved since it was opened.
   */
  hold(into: Uint8Array): Promise<BigInt64Array | undefined>;
  clone(directory: string): Promise<boolean>;
  /** Continues until at least `dataBytesMax - 256 KiB` changed bytes are gathered, 64 MiB of file went by, or the end. */
  next(dataBytesMax: number): Promise<ScanStep>;
  /** After `done`. Hashes what changed; page table and digest describe exactly the bytes handed out. */
  finish(): Promise<ScanResult>;
  close(): Promise<void>;
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
    async next(dataBytesMax) {
      checkInteger(dataBytesMax, 'dataBytesMax', BLOCK_BYTES, BYTES_MAX);
      return scan.next(dataBytesMax);
    },
    finish: () => scan.finish(),
    close: () => scan.close(),
  };
}
