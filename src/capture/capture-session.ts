/** One state directory and one store: scan, take, commit, remember. */
import { realpath } from 'node:fs/promises';
import { type BytePath, DiffKeeperError, isWithin, LIMITS, systemClock } from '../core/core.js';
import { STAT, type StatIndex } from '../engine/engine.js';
import type { Checkpoint } from '../format/format.js';
import type { Store, Transaction } from '../store/store.js';
import { CaptureWork } from './capture-work.js';
import { rowSize, rowType } from './entry-version.js';
import { IgnoreRules } from './ignore-rules.js';
import { type IndexScope, loadIndexFile, saveIndexFile } from './index-file.js';
import { PageTables } from './page-tables.js';
import { checkCaptureOptions, type Identity, identify, stateDirError, storeBelow } from './state-location.js';
import { type ScanFindings, StateScan } from './state-scan.js';
import { takeFindings } from './take-findings.js';
import type { CaptureOptions, CaptureReport, CaptureRun, CaptureSession } from './types.js';

/** What a watcher wants to know about a capture while it runs. */
export interface CaptureObserver {
  /** After the scan, before bytes are taken. */
  scanned(findings: ScanFindings): void;
  /** After the commit: paths that got a version or a removal, and paths to look at again soon. */
  taken(written: readonly BytePath[], again: readonly BytePath[], full: boolean): void;
}

export class StateSession implements CaptureSession {
  readonly #store: Store;
  readonly #options: CaptureOptions;
  readonly #root: string;
  readonly #rules: IgnoreRules | null;
  readonly #skip: readonly BytePath[];
  readonly #storeId: Identity;
  readonly #tables: PageTables;
  readonly #observer: CaptureObserver | undefined;
  #index: StatIndex;
  #scope: IndexScope;
  /** The index knows every entry of the store: what it does not report is unchanged. */
  #primed = false;
  /** Newest checkpoint that the index describes. */
  #sequence = -1;
  /** Entries that the store may have but the index does not: checked for removal at each full scan. */
  #unindexed = new Set<BytePath>();
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
    const patterns = options.ignore ?? [];
    this.#store = store;
    this.#options = options;
    this.#root = root;
    this.#skip = skip;
    this.#storeId = storeId;
    this.#observer = observer;
    this.#rules = patterns.length > 0 ? new IgnoreRules(patterns) : null;
    this.#tables = new PageTables(store, (options.clock ?? systemClock).steadyMs);
    this.#index = store.engine.createStatIndex();
    const rules = Buffer.from(JSON.stringify([patterns, skip]), 'utf8');
    this.#scope = { ...identity, scope: BigInt.asUintN(64, store.engine.xxh3(rules)) };
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
    session.#primed = await loadIndexFile(store, session.#scope, session.#index);
    session.#sequence = store.newest?.sequence ?? -1;
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
    const known = this.#index.get(path);
    if (!known || rowType(known) !== rowType(row)) return false;
    return known[STAT.ino] !== row[STAT.ino] || known[STAT.dev] !== row[STAT.dev];
  }

  /** Path of the store below the state directory, if it lies there. */
  get skipped(): readonly BytePath[] {
    return this.#skip;
  }

  get rules(): IgnoreRules | null {
    return this.#rules;
  }

  capture(run: CaptureRun = {}): Promise<CaptureReport> {
    if (this.#closed) return Promise.reject(new DiffKeeperError('DK_STORE_CLOSED', 'this capture session is closed'));
    const result = this.#queue.then(() => this.#captureNow(run));
    this.#queue = result.catch(() => {});
    return result;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#queue;
    await this.save();
  }

  /** Writes the advisory caches; a failure only means a slower start next time. */
  async save(): Promise<void> {
    // An index that does not know everything must not be taken for one that does.
    const whole = this.#primed && this.#unindexed.size === 0 && this.#sequence === (this.#store.newest?.sequence ?? -1);
    try {
      if (whole) await saveIndexFile(this.#store, this.#scope, this.#index);
      await this.#tables.save();
    } catch (error) {
      this.#options.logger?.debug({ error }, 'the capture caches could not be saved');
    }
  }

  async #captureNow(run: CaptureRun): Promise<CaptureReport> {
    const clock = this.#options.clock ?? systemClock;
    const startMs = clock.steadyMs();
    this.#scope = { ...(await identify(this.#root)), scope: this.#scope.scope };
    if ((this.#store.newest?.sequence ?? -1) !== this.#sequence) this.#reset();
    const frozen = await run.freeze?.();
    let pauseMs = 0;
    let thawed = false;
    const thaw = async (): Promise<void> => {
      if (!frozen || thawed) return;
      thawed = true;
      pauseMs = await frozen.thaw();
    };
    let tx: Transaction | undefined;
    try {
      const rescan = [...(run.rescan ?? []), ...(frozen?.rescan ?? [])];
      const started = this.#store.begin();
      tx = started;
      const { work, findings } = await this.#take(started, { ...run, rescan });
      await thaw();
      const tag = run.tag ?? (started.changes > 0 ? this.#options.tag : undefined);
      const checkpoint = await started.commit({
        ...(tag !== undefined && { tag }),
        ...(run.force !== undefined && { force: run.force }),
        ...(frozen && { frozen: true, pauseMs }),
      });
      await this.#remember(work, findings, checkpoint);
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
      // Neither the application's standstill nor a half-made checkpoint may outlive the failure that is reported.
      await thaw().catch(() => {});
      await tx?.abort().catch(() => {});
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

  #reset(): void {
    this.#index = this.#store.engine.createStatIndex();
    this.#primed = false;
    this.#unindexed.clear();
    this.#sequence = this.#store.newest?.sequence ?? -1;
  }

  async #take(tx: Transaction, run: CaptureRun): Promise<{ work: CaptureWork; findings: ScanFindings }> {
    // The kernel stamps files with the real clock, so this is not the clock that tests own.
    const scanStartMs = systemClock.nowMs();
    const findings = await this.#scan(run);
    this.#observer?.scanned(findings);
    const work = new CaptureWork({
      store: this.#store,
      root: this.#root,
      options: this.#options,
      tables: this.#tables,
      tx,
      signal: run.signal ?? this.#options.signal,
      takeUnsettled: run.takeUnsettled ?? false,
      scanStartMs,
      filesTotal: findings.found.size,
    });
    work.checkAborted();
    await takeFindings(work, findings);
    return { work, findings };
  }

  async #scan(run: CaptureRun): Promise<ScanFindings> {
    for (const path of run.rescan ?? []) {
      const row = this.#index.get(path);
      if (row) this.#index.put([path], row, Uint8Array.of(0));
    }
    const scan = new StateScan({
      index: this.#index,
      root: this.#root,
      rules: this.#rules,
      skip: this.#skip,
      store: this.#storeId,
    });
    const marks = run.marks && this.#primed ? [...run.marks, ...(run.rescan ?? [])] : undefined;
    const findings = marks ? await scan.marked(marks) : await scan.full();
    await this.#assertSameDirectory();
    await this.#addRemovals(scan, findings);
    return findings;
  }

  /** What the index cannot know: entries of the store that it has never heard of. */
  async #addRemovals(scan: StateScan, findings: ScanFindings): Promise<void> {
    const { found, removed } = findings;
    if (findings.droppedTrees.length > 0) {
      for await (const batch of this.#store.entries({ under: findings.droppedTrees })) {
        for (const { path } of batch) if (!found.has(path)) removed.add(path);
      }
    }
    if (!findings.full) return;
    const missing = [...this.#unindexed].filter((path) => !found.has(path));
    if (!this.#primed && this.#store.newest) {
      const unreadable = [...found].filter(([, row]) => rowType(row) < 0).map(([path]) => path);
      for await (const batch of this.#store.entries()) {
        for (const { path } of batch) {
          if (!found.has(path) && !unreadable.some((above) => isWithin(path, above))) missing.push(path);
        }
      }
    }
    await scan.lookAgain(findings, missing);
    for (const path of missing) if (!found.has(path)) removed.add(path);
  }

  async #remember(work: CaptureWork, findings: ScanFindings, checkpoint: Checkpoint | null): Promise<void> {
    for (const path of findings.removed) {
      const row = this.#index.get(path);
      if (row && rowSize(row) > LIMITS.smallFileBytes) await this.#tables.remove(path);
    }
    work.apply(this.#index);
    await this.#tables.commit();
    if (checkpoint) this.#sequence = checkpoint.sequence;
    if (findings.full) {
      this.#primed = true;
      this.#unindexed.clear();
    }
    for (const path of work.left) if (this.#index.get(path) === undefined) this.#unindexed.add(path);
    this.#observer?.taken(work.written, work.again, findings.full);
  }
}
