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
  /** Give setuid, setgid and capabilities of files back; only together with the owner. Default false. */
  readonly setuid?: boolean;
  /**
   * The report comes only when all that was written would survive a loss of power. Takes as long as the disk needs to
   * write it. Default false.
   */
  readonly durable?: boolean;
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
  /** Called after each step of work. `totalBytes` counts content bytes, kept files included. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export interface RecoverDamage {
  /** `entry`: this path is not as the checkpoint has it. `root`: the tree as a whole does not match. */
  readonly kind: 'entry' | 'root';
  /** Bytes of the path read as UTF-8; empty for `root`. */
  readonly path: string;
  /** The path's bytes in base64; only when they are not UTF-8. */
  readonly pathBase64?: string;
  readonly code: string;
  readonly message: string;
}

export interface RecoverReport {
  readonly checkpoint: Checkpoint;
  /** Entries of the checkpoint (after `paths`), directories included. */
  readonly entries: number;
  /** Files, links and symbolic links written; the others were right already. Directories are not counted. */
  readonly written: number;
  readonly kept: number;
  readonly removed: number;
  /** Content bytes written. */
  readonly bytes: number;
  /** Files that came back without the setuid or setgid bit, or the capabilities, that they have in the checkpoint. */
  readonly identityDropped: number;
  /** Files that could not be brought back; the rest was. */
  readonly damaged: readonly RecoverDamage[];
  /** Whether the Merkle root recomputed from what was restored equals the checkpoint's. Null for a partial recover. */
  readonly rootVerified: boolean | null;
  readonly elapsedMs: number;
}

export interface PlanOptions extends Pick<RecoverOptions, 'at' | 'paths' | 'removeExtra' | 'ignore' | 'signal'> {
  /** Directory that the recover would go to: what it would remove there is told. Nothing is made. Default: not told. */
  readonly stateDir?: string;
}

/** An entry of the state directory that a recover would remove. */
export interface RecoverRemoval {
  /** Bytes of the path read as UTF-8. */
  readonly path: string;
  /** The path's bytes in base64; only when they are not UTF-8. */
  readonly pathBase64?: string;
}

/** What a recover would bring back, and remove; content is not looked at. */
export interface RecoverPlan {
  readonly checkpoint: Checkpoint;
  readonly entries: number;
  readonly directories: number;
  readonly files: number;
  readonly symlinks: number;
  /** Content bytes of the files and link texts; a group of hard links counts each name. */
  readonly bytes: number;
  /** Entries that a recover will refuse. */
  readonly damaged: readonly RecoverDamage[];
  /**
   * Entries of `stateDir`, directories included, that a recover would remove; it removes none when the tree does not
   * match its root. Null without `stateDir`.
   */
  readonly removed: number | null;
  /** The first 10,000 of them, by name. */
  readonly removals: readonly RecoverRemoval[];
}
