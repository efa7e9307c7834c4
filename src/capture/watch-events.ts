/** What a watcher tells, and what it is asked for. */
import { EventEmitter } from 'node:events';
import { type Logger, silentLogger } from '../core/core.js';
import { LeftOutWarnings } from './left-out-warnings.js';
import type { CaptureReport, CaptureSkip, WatchState } from './types.js';

export interface FlushRequest {
  readonly tag?: string;
  readonly force?: boolean;
  readonly resolve: (report: CaptureReport) => void;
  readonly reject: (error: unknown) => void;
}

export interface WatchEvents {
  checkpoint: [CaptureReport];
  state: [WatchState, string];
  leftOut: [readonly CaptureSkip[]];
  error: [Error];
}

/** Tells what nobody listens to in the log. */
export class WatchEmitter extends EventEmitter<WatchEvents> {
  protected readonly logger: Logger;
  readonly #warnings: LeftOutWarnings;

  protected constructor(logger: Logger = silentLogger) {
    super();
    this.logger = logger;
    this.#warnings = new LeftOutWarnings(logger);
  }

  protected tellLeftOut(skipped: readonly CaptureSkip[]): void {
    if (skipped.length === 0) return;
    if (this.listenerCount('leftOut') > 0) this.emit('leftOut', skipped);
    else this.#warnings.tell(skipped);
  }

  protected tellFailure(failure: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', failure);
    else this.logger.error({ error: failure.message }, 'capture failed, trying again');
  }
}
