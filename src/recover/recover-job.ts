/** State shared by the lanes of one recover. */
import {
  type BytePath,
  DiffKeeperError,
  errnoError,
  isDiffKeeperError,
  type Logger,
  pathParent,
  pathToText,
  systemCode,
  throwIfAborted,
} from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import type { Version } from '../format/format.js';
import type { Store } from '../store/store.js';
import type { AttributeRules } from './attribute-rows.js';
import type { DamageLog } from './damage-log.js';
import type { Target } from './target-tree.js';

/** What all lanes of one pass need to know, and where they count. */
export class RecoverJob {
  readonly store: Store;
  readonly engine: Engine;
  readonly target: Target;
  readonly owner: boolean;
  /** Files may run as somebody else than who starts them. */
  readonly lendIdentity: boolean;
  readonly rules: AttributeRules;
  readonly damage: DamageLog;
  readonly logger: Logger;
  readonly signal: AbortSignal | undefined;
  written = 0;
  kept = 0;
  removed = 0;
  /** Files that were to run as somebody else and came back as any other. */
  identityDropped = 0;
  /** Content bytes written. */
  bytes = 0;
  /** Directories whose content was changed, so that their mtime has to be set again. */
  readonly touched = new Set<BytePath>();
  /** Files with several names that were right already, by the name that stands for the group. */
  readonly keptLeaders = new Set<BytePath>();
  readonly #progress: (bytes: number) => void;

  constructor(options: {
    readonly store: Store;
    readonly target: Target;
    readonly owner: boolean;
    readonly setuid: boolean;
    readonly damage: DamageLog;
    readonly logger: Logger;
    readonly signal: AbortSignal | undefined;
    readonly progress: (bytes: number) => void;
  }) {
    this.store = options.store;
    this.engine = options.store.engine;
    this.target = options.target;
    this.owner = options.owner;
    // Without the owner they would lend another identity than the one that was meant.
    this.lendIdentity = options.owner && options.setuid;
    this.rules = { owner: options.owner, mtimeStepNs: this.engine.info.kind === 'native' ? 1n : 2000n };
    this.damage = options.damage;
    this.logger = options.logger;
    this.signal = options.signal;
    this.#progress = options.progress;
  }

  get root(): string {
    return this.target.root;
  }

  /** Throws DK_ABORTED when the caller gave up. */
  check(): void {
    throwIfAborted(this.signal);
  }

  /** Content bytes that are dealt with, whether written, kept or lost. */
  progress(bytes: number): void {
    this.#progress(bytes);
  }

  touch(path: BytePath): void {
    this.touched.add(pathParent(path));
  }

  countKept(version: Version): void {
    this.kept += 1;
    if (version.linkId !== 0n) this.keptLeaders.add(version.path);
    this.progress(version.size);
  }

  countWritten(version: Version, bytes: number): void {
    this.written += 1;
    this.bytes += bytes;
    this.touch(version.path);
  }

  /**
   * Notes that an entry could not be brought back, or throws when the trouble is
   * not this entry's alone: an abort, a full disk, a closed store.
   */
  fail(path: BytePath, error: unknown): void {
    if (isDiffKeeperError(error)) {
      if (error.code === 'DK_ABORTED' || error.code === 'DK_DISK_FULL' || error.code === 'DK_STORE_CLOSED') throw error;
    } else if (isFullDisk(systemCode(error))) {
      throw new DiffKeeperError(
        'DK_DISK_FULL',
        `no room left for ${pathToText(path)}`,
        { path: pathToText(path) },
        error,
      );
    }
    this.damage.addError(path, placeError(path, error));
  }

  /** As `fail`, for a status of the engine: a negative errno. */
  failStatus(path: BytePath, status: number): void {
    this.fail(path, errnoError(status, `write ${pathToText(path)}`));
  }
}

function isFullDisk(code: string): boolean {
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** A link in the way is a matter of safety, not of the disk: say so. */
function placeError(path: BytePath, error: unknown): unknown {
  const code = systemCode(error);
  if (code !== 'ELOOP' && code !== 'EXDEV') return error;
  return new DiffKeeperError(
    'DK_UNSAFE_PATH',
    `a symbolic link is in the way of ${pathToText(path)}`,
    { path: pathToText(path) },
    error,
  );
}
