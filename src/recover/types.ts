/** Public types of the room `recover`. */
import type { Logger } from '../core/core.js';
import type { Checkpoint } from '../format/format.js';

export interface RecoverOptions {
  /** Checkpoint sequence number or moment; default the newest. */
  readonly at?: number | Date;
  /** Only these paths (and what lies below them), UTF-8 text relative to the state directory. Default all. */
  readonly paths?: readonly string[];
  /** Fail (DK_PARTIAL) when anything is damaged, instead of restoring the rest. Default false. */
  readonly strict?: boolean;
  /** Remove entries of the target that the checkpoint does not have. Default true for a whole recover, never for `paths`. */
  readonly removeExtra?: boolean;
  /** gitignore patterns that are left alone in the target. */
  readonly ignore?: readonly string[];
  /** Set owner and group. Default: when running as root. */
  readonly owner?: boolean;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface RecoverDamage {
  readonly path: string;
  readonly code: string;
  readonly message: string;
}

export interface RecoverReport {
  readonly checkpoint: Checkpoint;
  /** Entries of the checkpoint (after `paths`). */
  readonly entries: number;
  /** Files written; the others were right already. */
  readonly written: number;
  readonly kept: number;
  readonly removed: number;
  readonly bytes: number;
  /** Files that could not be brought back; the rest was. */
  readonly damaged: readonly RecoverDamage[];
  /** Whether the Merkle root recomputed from what was restored equals the checkpoint's. Null for a partial recover. */
  readonly rootVerified: boolean | null;
  readonly elapsedMs: number;
}
