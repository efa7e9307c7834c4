/** Public types of the room `replicate`. */
import type { Logger } from '../core/core.js';

/** Asks the other side; counted. */
export type Ask = (verb: string, body: Buffer, signal: AbortSignal | undefined) => Promise<Buffer>;

export interface SyncOptions {
  /** Ends the run; what has arrived is kept. */
  readonly signal?: AbortSignal;
  /** Called with bytes of records that are durable at the taking side, and those known to be wanted so far. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Push: go on in the place of another writer; needs the right `admin` there. Default false. */
  readonly takeOver?: boolean;
  readonly logger?: Logger;
}

/** What a run has brought. */
export interface SyncReport {
  /** Newest checkpoint of the taking store afterwards; 0 for none. */
  readonly sequence: number;
  /** Checkpoints taken over. */
  readonly checkpoints: number;
  /** Blobs, and bytes of their records. */
  readonly blobs: number;
  readonly bytes: number;
  /** Questions of the taking side. */
  readonly questions: number;
  readonly elapsedMs: number;
}
