/** One state directory and one store: scan, take, commit, remember. */
import { realpath } from 'node:fs/promises';
import { type BytePath, DiffKeeperError, LIMITS, systemClock } from '../core/core.js';
import type { Checkpoint } from '../format/format.js';
import type { Store } from '../store/store.js';
import { CapturePass, type SessionRun, type Taken } from './capture-pass.js';
import { LevelFiles, UnlikeFiles } from './context-worth.js';
import { rowSize, rowType, sameInode } from './entry-version.js';
import { HoldMemory } from './hold-memory.js';
import { IgnoreRules } from './ignore-rules.js';
import { type IndexScope, loadIndexFile, saveIndexFile } from './index-file.js';
import { LeftOut } from './left-out.js';
import { MappedAhead } from './mapped-ahead.js';
import { PageTables } from './page-tables.js';
import { SessionScan } from './session-scan.js';
import {
  assertStoreInPlace,
  checkCaptureOptions,
  type Identity,
  identify,
  stateDirError,
  storeBelow,
} from './state-location.js';
import { StateMemory } from './state-memory.js';
import type { ScanFindings } from './state-scan.js';
import { takeRoot } from './take-root.js';
import type { CaptureOptions, CaptureReport, CaptureSession, LeftOutCounts } from './types.js';
import type { WrittenFacts } from './watch-lag.js';

/** What a watcher wants to know about a capture while it runs. */
export interface CaptureObserver {
  /** After the scan, before bytes are taken. */
  scanned(findings: ScanFindings): void;
  /** After the commit. */
  taken(facts: TakenFacts): void;
}

export interface TakenFacts extends WrittenFacts {
  /** Paths to look at again soon. */
  readonly again: readonly BytePath[];
  readonly full: boolean;
}

export class StateSession implements CaptureSession {
  readonly #store: Store;
  readonly #options: CaptureOptions;
  readonly #root: string;
  readonly #rules: IgnoreRules | null;
  readonly #skip: readonly BytePath[];
  readonly #tables: PageTables;
  readonly #observer: CaptureObserver | undefined;
  readonly #memory: StateMemory;
  readonly #scan: SessionScan;
  readonly #hold = new HoldMemory();
  readonly #leftOut = new LeftOut();
  readonly #mapped = new MappedAhead();
  readonly #unlike = new UnlikeFiles();
  readonly #levels = new LevelFiles();
  readonly #storeId: Identity;
  #scope: IndexScope;
  #queue: Promise<unknown> = Promise.resolve();
  #closed = false;

  private constructor(parts: {
    store: Store;
    options: CaptureOptions;
    root: string;
    skip: readonly BytePath[];
    identity: Identity;
    storeId: Identity;
    observer: CaptureObserver | undefined;
  }) {
    const { store, options, root, skip, identity, storeId, observer } = parts;
    this.#storeId = storeId;
    const patterns = options.ignore ?? [];
    this.#store = store;
    this.#options = options;
    this.#root = root;
    this.#skip = skip;
    this.#observer = observer;
    this.#rules = patterns.length > 0 ? new IgnoreRules(patterns) : null;
    this.#tables = new PageTables(store, (options.clock ?? systemClock).steadyMs);
    this.#memory = new StateMemory(store);
    const rules = Buffer.from(JSON.stringify([patterns, skip]), 'utf8');
    this.#scope = { ...identity, scope: BigInt.asUintN(64, store.engine.xxh3(rules)) };
    this.#scan = new SessionScan({
      state: store,
      memory: this.#memory,
      root,
      rules: this.#rules,
      skip,
      store: storeId,
      assertSameDirectory: () => this.#assertSameDirectory(),
    });
  }

  /** See `openCaptureSession`. */
  static async open(
    store: Store,
    stateDir: string,
    options: CaptureOptions,
    observer?: CaptureObserver,
  ): Promise<StateSession> {
    checkCaptureOptions(options);
    const root = await realpath(stateDir).catch((error: unknown) => {
      throw stateDirError(stateDir, error);
    });
    const identity = await identify(root);
    const skip = await storeBelow(store.path, root);
    const storeId = await identify(await realpath(store.path));
    const session = new StateSession({ store, options, root, skip, identity, storeId, observer });
    const memory = session.#memory;
    memory.primed = await loadIndexFile(store, session.#scope, memory.index);
    memory.sequence = memory.newestSequence;
    return session;
  }

  /** Real path of the state directory. */
  get root(): string {
    return this.#root;
  }

  /** Device and inode of the state directory at the last capture: another one means it was replaced. */
  get identity(): string {
    return `${this.#scope.dev}:${this.#scope.ino}`;
  }

  /** Whether the directory in this row is another one than the one known by this path. */
  tookPlaceOf(path: BytePath, row: BigInt64Array): boolean {
    const known = this.#memory.index.get(path);
    if (!known || rowType(known) !== rowType(row)) return false;
    return !sameInode(known, row);
  }

  /** Files that were mapped for writing at the last capture which asked. */
  get mapped(): ReadonlySet<BytePath> {
    return this.#memory.mapped;
  }

  /** Path of the store below the state directory, if it lies there. */
  get skipped(): readonly BytePath[] {
    return this.#skip;
  }

  get leftOut(): LeftOutCounts {
    return this.#leftOut.counts;
  }

  get rules(): IgnoreRules | null {
    return this.#rules;
  }

  capture(run: SessionRun = {}): Promise<CaptureReport> {
    if (this.#closed) return Promise.reject(new DiffKeeperError('DK_STORE_CLOSED', 'this capture session is closed'));
    const result = this.#queue.then(() => this.#captureNow(run));
    this.#queue = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue;
    await this.#mapped.close().catch(() => {});
    await this.save();
  }

  /** Writes the advisory caches; a failure only means a slower start next time. */
  async save(): Promise<void> {
    try {
      if (this.#memory.whole) await saveIndexFile(this.#store, this.#scope, this.#memory.index);
      await this.#tables.save();
    } catch (error) {
      this.#options.logger?.debug({ error }, 'the capture caches could not be saved');
    }
  }

  async #captureNow(run: SessionRun): Promise<CaptureReport> {
    const clock = this.#options.clock ?? systemClock;
    const startMs = clock.steadyMs();
    this.#scope = { ...(await identify(this.#root)), scope: this.#scope.scope };
    await assertStoreInPlace(this.#store.path, this.#storeId);
    // A full disk, say, while metadata was written: there may be room again.
    if (this.#store.needsReopen) await this.#store.reopen();
    if (this.#memory.outdated) this.#memory.reset();
    // The application may be stopped later on: it must not wait for the end of a prune then.
    await this.#store.quiet();
    const pass = new CapturePass(
      {
        store: this.#store,
        root: this.#root,
        options: this.#options,
        tables: this.#tables,
        memory: this.#memory,
        unlike: this.#unlike,
        levels: this.#levels,
        scan: this.#scan,
        hold: this.#hold,
        leftOut: this.#leftOut,
        mapped: this.#mapped,
        scanned: (findings) => this.#observer?.scanned(findings),
      },
      run,
    );
    try {
      const taken = await pass.take();
      const { work, findings } = taken;
      await takeRoot(work, findings.full);
      const { transaction } = pass;
      const tag = run.tag ?? (transaction.changes > 0 ? this.#options.tag : undefined);
      const checkpoint = await transaction.commit({
        ...(tag !== undefined && { tag }),
        ...(run.force !== undefined && { force: run.force }),
        ...pass.freezeFacts,
      });
      await this.#remember(taken, checkpoint, pass.mapped !== undefined);
      this.#memory.mapped = pass.mapped ?? this.#memory.mapped;
      return {
        checkpoint,
        scanned: findings.scanned,
        added: work.added,
        changed: work.changed,
        removed: work.removed,
        readBytes: work.readBytes,
        storedBytes: checkpoint?.storedBytes ?? 0,
        skipped: work.skipped,
        unsettled: work.unsettled,
        elapsedMs: clock.steadyMs() - startMs,
      };
    } catch (error) {
      await pass.giveUp();
      this.#tables.discard();
      throw error;
    }
  }

  /** A directory that was replaced while it was scanned yields findings of two directories. */
  async #assertSameDirectory(): Promise<void> {
    const { dev, ino } = await identify(this.#root);
    if (dev === this.#scope.dev && ino === this.#scope.ino) return;
    throw new DiffKeeperError('DK_STATE_DIR', `${this.#root} was replaced during the scan`, { path: this.#root });
  }

  /** @param rescanned mapped files were read whatever their stat said */
  async #remember(
    { work, findings, leftOutBefore }: Taken,
    checkpoint: Checkpoint | null,
    rescanned: boolean,
  ): Promise<void> {
    const memory = this.#memory;
    for (const path of findings.removed) {
      const row = memory.index.get(path);
      if (row && rowSize(row) > LIMITS.smallFileBytes) await this.#tables.remove(path);
    }
    work.apply(memory.index);
    await this.#tables.commit();
    this.#leftOut.replace(leftOutBefore, work.leftOut);
    if (checkpoint) memory.sequence = checkpoint.sequence;
    if (findings.full) {
      memory.primed = true;
      memory.unindexed.clear();
    }
    for (const path of work.left) if (memory.index.get(path) === undefined) memory.unindexed.add(path);
    const { written, changedMs, rootChangedMs, again } = work;
    this.#observer?.taken({ written, changedMs, rootChangedMs, again, full: findings.full, rescanned });
  }
}
