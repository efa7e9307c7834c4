/** What a watcher tells, and what it is asked for. */
import type { CaptureReport, WatchState } from './types.js';

export interface FlushRequest {
  readonly tag?: string;
  readonly force?: boolean;
  readonly resolve: (report: CaptureReport) => void;
  readonly reject: (error: unknown) => void;
}

export interface WatchEvents {
  checkpoint: [CaptureReport];
  state: [WatchState, string];
  error: [Error];
}
