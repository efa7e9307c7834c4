/** Public types of the room `capture`. */
import type { Clock, Logger } from '../core/core.js';
import type { Checkpoint } from '../format/format.js';
import type { PrunePolicy } from '../store/store.js';

export interface CaptureOptions {
  /** gitignore patterns, relative to the state directory. The store is always ignored when it lies inside. */
  readonly ignore?: readonly string[];
  /** Largest piece of a file handled at once, bytes. Default 4 MiB. */
  readonly chunkBytes?: number;
  /**
   * `auto` tries what promises most; `zstd` and `xor` restrict deltas to one engine; `none`: whatever changed is stored
   * on its own, never against older bytes (what did not change is still stored once). Default `auto`.
   */
  readonly deltaEngine?: 'auto' | 'zstd' | 'xor' | 'none';
  readonly tag?: string;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  readonly clock?: Clock;
  /** Called now and then. */
  readonly onProgress?: (progress: CaptureProgress) => void;
}

export interface CaptureProgress {
  readonly filesDone: number;
  readonly filesTotal: number;
  readonly bytesDone: number;
}

export interface CaptureSkip {
  readonly path: string;
  /**
   * `special`: a socket, FIFO or device, or a `lost+found` that cannot be read, never kept; `too-long`: its path is longer than
   * a store holds (4,095 bytes, 255 in a name), never kept either, nor is what is below it; `unreadable`: tried again at
   * the next capture of everything; `unsettled`: it changed or was replaced while it was read, tried again at the next capture.
   */
  readonly kind: 'special' | 'too-long' | 'unreadable' | 'unsettled';
  readonly reason: string;
}

/** How many entries are left out, by reason. */
export type LeftOutCounts = Readonly<Record<CaptureSkip['kind'], number>>;

export interface CaptureReport {
  /** Null when nothing changed. */
  readonly checkpoint: Checkpoint | null;
  readonly scanned: number;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  /** Content bytes read. */
  readonly readBytes: number;
  readonly storedBytes: number;
  /** Entries left out, of those that were looked at: all that there are when everything was. */
  readonly skipped: readonly CaptureSkip[];
  /** Large files that never held still and were taken as they were read (only with `takeUnsettled`). */
  readonly unsettled: readonly string[];
  readonly elapsedMs: number;
  /** From the first event about what is in it to its being durable, ms; only of a watcher, when events announced it. */
  readonly lagMs?: number;
  /**
   * The same of what no event announced and a scan found, ms: from the last change of its oldest entry, as the kernel stamped it (`ctime`),
   * but no longer than since the look before. Absent when there is none, or its time is not known: it was there before
   * watching began, or the wall clock was set meanwhile.
   */
  readonly scanLagMs?: number;
}

/** Knows one state directory and one store; keeps the stat index warm between captures. */
export interface CaptureSession {
  /** Takes what changed. With `marks`, only these paths (and what is new below them) are looked at. */
  capture(options?: CaptureRun): Promise<CaptureReport>;
  /**
   * What is left out as of the last capture, 16,384 entries at most. Of what was there before the session, and of special files
   * that come and go unasked, only a capture of everything knows.
   */
  readonly leftOut: LeftOutCounts;
  /** Saves the advisory caches. Does not close the store. */
  close(): Promise<void>;
}

export interface CaptureRun {
  readonly tag?: string;
  readonly force?: boolean;
  readonly signal?: AbortSignal;
  /**
   * Paths (bytes) that must be read again whatever their stat says: files that are mapped for writing. Those of the
   * session's last capture that was given any are read again, too: what was stored in them since shows in nothing else.
   */
  readonly rescan?: readonly string[];
  /** Only look at these paths (bytes) and list the directories among them; absent = everything. */
  readonly marks?: readonly string[];
  /**
   * A large file that changes during three readings in a row is taken as it was read instead of being left out:
   * its bytes are real but may stem from slightly different moments. Default false.
   */
  readonly takeUnsettled?: boolean;
  /**
   * Freeze point: called before the bytes are taken; the function it returns is called as soon as they are in
   * memory (up to 64 MiB) or in the pack, before they are coded and made durable, and gives the pause in
   * milliseconds (undefined: nothing stood still). Much that changed is looked at and read once before, so that only
   * what moves since is left. It must not wait for a prune, a condense or another tag of this store, which wait for the capture. Its `rescan` is as that of the run; without one nothing is known of mapped files.
   */
  readonly freeze?: () => Promise<FreezePoint>;
}

/** The application stands still, or what has to be done before a capture is done. */
export interface FreezePoint {
  readonly rescan?: readonly string[];
  thaw(): Promise<number | undefined>;
}

export type WatchState = 'starting' | 'watching' | 'degraded' | 'closed';

export interface RetentionOptions {
  /** What a prune keeps. Default: nothing is pruned. */
  readonly policy?: PrunePolicy;
  /**
   * Condense as well, packs from 4 MiB on (`Store.condense`). An encrypted store stays as it is, which is told once, as a warning.
   * Default false.
   */
  readonly condense?: boolean;
  /** Time between two rounds, ms. Default one hour. The first comes after a minute at the latest. */
  readonly intervalMs?: number;
}

export interface SpacingFacts {
  /** A prune or a condense of the watcher was at work since the capture before. */
  readonly maintained: boolean;
}

export interface WatchOptions extends CaptureOptions {
  /** A change is durable at the latest after this time, ms. Default 400. */
  readonly maxLagMs?: number;
  /** A file that keeps changing is given this long to hold still, ms. Default 50. */
  readonly settleMs?: number;
  /** A full scan proves that no event was missed, ms. Default 10000. */
  readonly rescanMs?: number;
  /** Wraps each capture of the watcher in a freeze point. */
  readonly freeze?: CaptureRun['freeze'];
  /**
   * Asked after each capture how long after its begin the next one may begin at the earliest, ms; `flush` and `close`
   * do not wait. Default 0.
   */
  readonly spacing?: (report: CaptureReport, beside: SpacingFacts) => number;
  /** Asked at each full scan for files that are mapped for writing, as `rescan` of `CaptureRun`. Default: none are known. */
  readonly mapped?: () => readonly string[];
  /** Prune, condense or both, now and then. Trouble with it makes the watcher `degraded`, nothing else. Default: never. */
  readonly retention?: RetentionOptions;
}

/**
 * Emits `checkpoint` (CaptureReport), `state` (WatchState, reason), `leftOut` (CaptureSkip[]), `error` (Error). Without a listener
 * `error` is logged, and of `leftOut` the first entries of each kind, once, as warnings.
 */
export interface StateWatcher {
  readonly state: WatchState;
  /** Changes that no event announced and a full scan found: 0 on a healthy system. */
  readonly missedChanges: number;
  /**
   * For how long the oldest change that is known of and not in a checkpoint yet has been waiting, ms; 0 without one. While captures
   * fail it grows: from the first of them on, or from an event before it.
   */
  readonly waitingMs: number;
  /** What is left out as of the last capture, as `leftOut` of `CaptureSession`. */
  readonly leftOut: LeftOutCounts;
  /** After each capture that left something out, of those that it looked at: each full scan tells of all. */
  on(event: 'leftOut', listener: (skipped: readonly CaptureSkip[]) => void): this;
  on(event: 'checkpoint', listener: (report: CaptureReport) => void): this;
  on(event: 'state', listener: (state: WatchState, reason: string) => void): this;
  on(event: 'error', listener: (error: Error) => void): this;
  /** Captures everything that changed up to now. */
  flush(options?: { readonly tag?: string; readonly force?: boolean }): Promise<CaptureReport>;
  /** Last capture, then stop. */
  close(options?: { readonly finalCapture?: boolean }): Promise<void>;
}
