/** Public types of the room `sidecar`. */
import type { CaptureOptions, RetentionOptions } from '../capture/capture.js';
import type { Logger } from '../core/core.js';
import type { OpenOptions } from '../migrate/migrate.js';
import type { Store } from '../store/store.js';
import type { ReplicaTarget } from './replicas.js';

/** `file`: each file is consistent in itself; `freeze`: all files are of one instant. */
export type Consistency = 'file' | 'freeze';

/**
 * What happens to the state directory before the application starts. `auto` recovers into a missing or empty
 * directory and otherwise takes what is there as the newest state; `always` keeps what is there as a checkpoint
 * tagged `before-recover` and then recovers the newest checkpoint before it; `never` leaves the directory alone.
 */
export type RecoverMode = 'auto' | 'always' | 'never';

/**
 * What happens when an earlier run on this directory was killed and its application still runs. `refuse`: this run does
 * not start, unless that ends within two seconds; `terminate`: it is told to end as at the end of a run (SIGTERM, after
 * `stopTimeoutMs` SIGKILL); `ignore`: another one is started beside it.
 */
export type OrphanMode = 'refuse' | 'terminate' | 'ignore';

export interface SidecarOptions {
  /** Directory that is kept. Made when it is missing. */
  readonly stateDir: string;
  /** Path of a store (created when missing, closed at the end) or an open one (left open). */
  readonly store: string | Store;
  /** Program and its arguments; never given to a shell. May be empty only when `exec` is false. */
  readonly command?: readonly string[];
  /** Default `file`. */
  readonly consistency?: Consistency;
  /** Freeze mode: what stops the application. `auto`: a control group where one may be made, else signals. Default `auto`. */
  readonly freezeWith?: 'auto' | 'signals';
  /** Freeze mode: time between two checkpoints while something changes, ms. Default 1000. */
  readonly checkpointIntervalMs?: number;
  /**
   * Freeze mode: checkpoints are further apart than `checkpointIntervalMs` where they would otherwise cost the application
   * more than this share of the machine, percent above 0 and at most 100: what this process needs of all processors, and
   * the pauses. 60 s apart at most. Default: none is too dear.
   */
  readonly maxOverheadPercent?: number;
  /** File mode: a change is durable at the latest after this time, ms. Default 400. */
  readonly maxLagMs?: number;
  /** Prune, condense or both, now and then while the application runs. Default: never. */
  readonly retention?: RetentionOptions;
  /** gitignore patterns, relative to the state directory. */
  readonly ignore?: readonly string[];
  /** Default `auto`. */
  readonly recover?: RecoverMode;
  /** Default `refuse`. Without a child (`exec` false) nobody is asked for. */
  readonly orphan?: OrphanMode;
  /** Start although files of the checkpoint could not be brought back. Default false. */
  readonly allowDamaged?: boolean;
  /** As in `RecoverOptions`. Default false. */
  readonly setuid?: boolean;
  /**
   * Freeze mode: collect V8's garbage between checkpoints, once 24 MB have piled up, so that this does not lengthen a pause
   * of the application; V8 itself is given 64 MB of room. For a process that does nothing else: it stands still for that
   * time, and V8's setting is the process's. Default false.
   */
  readonly collectGarbage?: boolean;
  /**
   * Freeze mode: processes below us that lose their parent become our children (Linux, with the addon), belong to the application,
   * and are collected when they end, so that a daemon is stopped for each checkpoint whatever it did to its environment. For a process
   * that does nothing else: every other child of it counts as the application's too, and this lasts as long as the process. Default false.
   */
  readonly adoptOrphans?: boolean;
  /** False: keep the directory without a child until SIGINT or SIGTERM (or `signal`). Default true. */
  readonly exec?: boolean;
  /** Largest piece of a file handled at once, bytes. Default 4 MiB. */
  readonly chunkBytes?: number;
  /** Default `auto`. */
  readonly deltaEngine?: CaptureOptions['deltaEngine'];
  /** Commands of the shell around each checkpoint; when the first one fails, that checkpoint is not taken. */
  readonly beforeCheckpoint?: string;
  readonly afterCheckpoint?: string;
  /** Each of these commands is ended after this time, ms. Default 10000. */
  readonly hookTimeoutMs?: number;
  /**
   * Where the control interface listens: `unix:PATH`, `HOST:PORT` on a loopback address, `off`, or `auto`: the socket
   * `control.sock` in the store. Default `auto`.
   */
  readonly control?: string;
  /** `HOST:PORT` for metrics, status and health alone. Default none. */
  readonly metricsAddress?: string;
  /** Served stores that each checkpoint goes to, beside the run (`docs/replication.md`). Default none. */
  readonly replicate?: readonly ReplicaTarget[];
  /** `on-failure`: the application is started again when it fails. Default `no`. */
  readonly restart?: 'no' | 'on-failure';
  /** Restarts in a row, with waits of 1 s, 2 s, 4 s ... 60 s; the count begins anew after a minute of life. Default 5. */
  readonly restartsMax?: number;
  /** After SIGTERM the application is given this long before SIGKILL, ms; 0: for ever. Default 25000. */
  readonly stopTimeoutMs?: number;
  /** Shown in the metrics. */
  readonly version?: string;
  /** How a store is made or opened, when `store` is a path. */
  readonly storeOptions?: Omit<OpenOptions, 'create' | 'logger' | 'signal' | 'onProgress'>;
  /** Environment of the child. Default: our own. */
  readonly env?: NodeJS.ProcessEnv;
  /** Working directory of the child. Default: our own. */
  readonly cwd?: string;
  /** Asks the child to end (SIGTERM); the final capture still takes place. */
  readonly signal?: AbortSignal;
  readonly logger?: Logger;
}

/** How a child ended. */
export interface ChildEnd {
  /** Exit code, or 128 + signal number. */
  readonly exitCode: number;
  /** Name of the signal that ended it, `SIG34` ... of a real-time one; null when it exited by itself. */
  readonly signalName: string | null;
}
