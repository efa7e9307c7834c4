/**
 * Keeps a state directory captured: events only mark paths; this loop takes the marks in batches, when they hold
 * still or when the maximum lag is near, and proves by full scans that no event was missed.
 */
import { EventEmitter } from 'node:events';
import { type BytePath, type Clock, DiffKeeperError, isWithin, systemClock, systemCode } from '../core/core.js';
import { ENTRY } from '../engine/engine.js';
import type { Store } from '../store/store.js';
import { StateSession } from './capture-session.js';
import { rowType } from './entry-version.js';
import { MarkSet } from './mark-set.js';
import { MissedChanges } from './missed-changes.js';
import type { ScanFindings } from './state-scan.js';
import type { CaptureReport, CaptureRun, StateWatcher, WatchOptions, WatchState } from './types.js';
import { DirectoryWatcher } from './watcher.js';

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 10_000;
/** Scans may use at most this share of the time. */
const SCAN_SHARE = 10;

interface FlushRequest {
  readonly tag?: string;
  readonly force?: boolean;
  readonly resolve: (report: CaptureReport) => void;
  readonly reject: (error: unknown) => void;
}

interface WatchEvents {
  checkpoint: [CaptureReport];
  state: [WatchState, string];
  error: [Error];
}

export class WatchLoop extends EventEmitter<WatchEvents> implements StateWatcher {
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #maxLagMs: number;
  readonly #settleMs: number;
  readonly #rescanMs: number;
  readonly #missed = new MissedChanges();
  #session!: StateSession;
  #watcher!: DirectoryWatcher;
  #state: WatchState = 'starting';
  #reason = '';
  #marks = new MarkSet();
  /** Watched directories whose names came, went or changed hands. */
  #stale = new Set<BytePath>();
  /** Why events cannot be relied upon; empty when they can. */
  #watchTrouble = '';
  #armedIdentity = '';
  #requests: FlushRequest[] = [];
  #arming: Promise<void> = Promise.resolve();
  #nextFullMs = 0;
  #failures = 0;
  #retryMs = 0;
  #closing = false;
  #wake: () => void = () => {};
  #running: Promise<void> = Promise.resolve();
  #closed: Promise<void> | undefined;
}
