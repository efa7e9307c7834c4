/** What verifying, repairing and pruning tell. */
import type { BytePath } from '../core/core.js';

export interface DamageReport {
  readonly kind:
    | 'pack'
    | 'record'
    | 'blob'
    | 'recipe'
    | 'version'
    | 'checkpoint'
    | 'root'
    | 'index'
    | 'file'
    | 'unreadable';
  readonly where: string;
  readonly message: string;
  /** Paths (with sequence) that cannot be read back because of it. */
  readonly affected: readonly { readonly path: BytePath; readonly sequence: number }[];
}

/** Things of one kind in the quarantine. */
export interface QuarantineItem {
  readonly kind: 'packEnd' | 'stretch' | 'unreadable' | 'pack' | 'metadata' | 'report' | 'other';
  readonly entries: number;
  readonly bytes: number;
}

/** What was put aside and is not used any more: no damage by itself, but it may be all that is left of something. */
export interface QuarantineReport {
  readonly path: string;
  readonly entries: number;
  readonly bytes: number;
  readonly items: readonly QuarantineItem[];
}

export interface VerifyReport {
  readonly packs: number;
  readonly records: number;
  readonly blobs: number;
  readonly versions: number;
  readonly checkpoints: number;
  readonly bytes: number;
  /** Blobs that were decoded; recipes not counted. */
  readonly blobsRead: number;
  /** Checkpoints whose tree root was made anew from the packs and is right; only those in front of any damage. */
  readonly roots: number;
  readonly damage: readonly DamageReport[];
  /** Absent for schema 1. */
  readonly quarantine?: QuarantineReport;
}

export interface VerifyOptions {
  /** With `readData`: decode this share of the blobs, others each time; above 0, at most 1. Default 1. */
  readonly sample?: number;
  /** Decode every blob and check its digest. Default true. */
  readonly readData?: boolean;
  readonly signal?: AbortSignal;
  /** Called now and then with bytes checked and bytes in all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface RebuildReport {
  readonly checkpoints: number;
  readonly records: number;
  readonly damage: readonly DamageReport[];
  /** What only the metadata before still had, and stands in packs again. Absent when that metadata does not read. */
  readonly carriedOver?: { readonly versions: number; readonly checkpoints: number };
  /** With `check`: blobs that do not decode any more; they are stored anew when a capture meets their bytes again. */
  readonly droppedBlobs?: number;
  /** With `check`: paths whose newest version cannot be read back: the next capture takes them anew. */
  readonly lostHeads?: number;
  /** With `check`: files in `quarantinePath`: copies of damaged stretches, and a report of all damage. */
  readonly quarantined?: readonly string[];
  /** With `check`: all that lies there now. */
  readonly quarantine?: QuarantineReport;
}

export interface RebuildOptions extends VerifyOptions {
  /** Verify afterwards, say what damage reaches, and put it aside. Default false. */
  readonly check?: boolean;
}

export interface CondenseOptions {
  readonly signal?: AbortSignal;
  /** Shorter packs stay as they are, bytes. Default 4096, of which nothing would be left to be won. */
  readonly packBytesMin?: number;
  /** Called now and then with bytes worked on and bytes to be worked on. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface CondenseReport {
  /** Packs that are dense now. */
  readonly packs: number;
  /** Packs of mostly small blobs and history that the newest state needs little of. */
  readonly considered: number;
  /** Bytes of all packs; what captures add meanwhile is not counted. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Packs with damaged records: they stay as they are. */
  readonly damaged: number;
  /** Packs that somebody read or wrote meanwhile: the next run takes them. */
  readonly packsLeft: number;
}

export interface PruneOptions {
  /** Say what would go; write nothing. Default false. */
  readonly dryRun?: boolean;
  /** Drop nothing when the packs would become longer by more than this, bytes. Default: whatever it takes. */
  readonly growthMax?: number;
  /**
   * A pack is rewritten when less than this share of its bytes is needed, 0 to 1. Above 0, others are as well where the packs
   * would become longer otherwise. Default 0.5.
   */
  readonly compactBelow?: number;
  /** Prune although records are damaged; packs that hold them stay as they are. Default false. */
  readonly allowDamaged?: boolean;
  readonly signal?: AbortSignal;
  /** Called now and then with bytes moved and bytes to be moved. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface PruneReport {
  readonly dryRun: boolean;
  /** Sequences, ascending. */
  readonly kept: readonly number[];
  readonly dropped: readonly number[];
  /** Versions (and removals) that the kept checkpoints have now. */
  readonly versions: number;
  /** Bytes of all packs; what captures add meanwhile is not counted. With `dryRun` `bytesAfter` is an estimate. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Bytes copied out of packs that went. */
  readonly movedBytes: number;
  readonly removedPacks: number;
  readonly writtenPacks: number;
  /** Damaged records that were met (only with `allowDamaged`). */
  readonly damaged: number;
  /** Packs that could not be removed yet, because somebody reads them or the system refused. */
  readonly packsLeft: number;
}
