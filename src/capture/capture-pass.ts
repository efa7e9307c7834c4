/** One capture in the making: looks, takes what differs, and for a freeze point keeps the standstill short. */
import { type BytePath, nearestWithinLimits, systemClock } from '../core/core.js';
import type { FileScan } from '../engine/engine.js';
import type { Store, Transaction } from '../store/store.js';
import { Ahead } from './ahead-work.js';
import { type CaptureSetting, CaptureWork } from './capture-work.js';
import type { LevelFiles, UnlikeFiles } from './context-worth.js';
import { holdFindings, takeHeld } from './held-findings.js';
import type { HoldMemory } from './hold-memory.js';
import type { LeftOut } from './left-out.js';
import type { MappedAhead } from './mapped-ahead.js';
import { MovedFiles } from './moved-files.js';
import type { PageTables } from './page-tables.js';
import type { SessionScan } from './session-scan.js';
import type { StateMemory } from './state-memory.js';
import type { ScanFindings } from './state-scan.js';
import { takeFindings } from './take-findings.js';
import type { CaptureOptions, CaptureRun, CaptureSkip, FreezePoint } from './types.js';

/** Looks around before a freeze point, at most: each leaves less to look at. */
const ROUNDS = 3;
/** As many paths are looked at within a millisecond: no round before the freeze point is worth it. */
const FEW_PATHS = 256;

/** What a watcher heard since it was asked last. */
export interface Heard {
  readonly paths: readonly BytePath[];
  /** Paths are not enough: the whole directory has to be looked at. */
  readonly everything: boolean;
}

export interface SessionRun extends CaptureRun {
  /**
   * For a freeze point, instead of `marks`: hands over what was heard since the last call. It is asked before the
   * freeze point and, with `frozen`, once everything stands still: what was written up to then must be in it.
   */
  readonly hear?: (frozen: boolean) => Promise<Heard>;
}

export interface PassParts {
  readonly store: Store;
  readonly root: string;
  readonly options: CaptureOptions;
  readonly tables: PageTables;
  readonly memory: StateMemory;
  /** Files whose older bytes do not help. */
  readonly unlike: UnlikeFiles;
  /** Files of which it is known what a higher level gains. */
  readonly levels: LevelFiles;
  readonly scan: SessionScan;
  /** Holds what a freeze point takes. */
  readonly hold: HoldMemory;
  readonly leftOut: LeftOut;
  /** What is mapped before a freeze point. */
  readonly mapped: MappedAhead;
  /** Told of each scan. */
  readonly scanned: (findings: ScanFindings) => void;
}

/** What was looked at and what goes into the checkpoint. */
export interface Taken {
  readonly work: CaptureWork;
  readonly findings: ScanFindings;
  /** What was left out before and was not looked at. */
  readonly leftOutBefore: ReadonlyMap<BytePath, CaptureSkip['kind']>;
}

export class CapturePass {
  readonly #parts: PassParts;
  readonly #run: SessionRun;
  #transaction: Transaction | undefined;
  #frozen: FreezePoint | undefined;
  #pauseMs: number | undefined;
  #mapped: ReadonlySet<BytePath> | undefined;
  /** Open, or closed again, since the freeze point. */
  readonly #scans: FileScan[] = [];

  constructor(parts: PassParts, run: SessionRun) {
    this.#parts = parts;
    this.#run = run;
  }

  /** The checkpoint in the making; begun when the first bytes are stored. */
  get transaction(): Transaction {
    this.#transaction ??= this.#parts.store.begin();
    return this.#transaction;
  }

  /** Facts about the standstill for the checkpoint. */
  get freezeFacts(): { readonly frozen?: true; readonly pauseMs?: number } {
    return this.#pauseMs === undefined ? {} : { frozen: true, pauseMs: this.#pauseMs };
  }

  /** Files that are mapped for writing; undefined when nobody said. */
  get mapped(): ReadonlySet<BytePath> | undefined {
    return this.#mapped;
  }

  /** Puts everything that differs into the transaction. */
  take(): Promise<Taken> {
    const { freeze } = this.#run;
    return freeze ? this.#takeFrozen(freeze) : this.#takeRunning();
  }

  /** Neither the application's standstill nor a half-made checkpoint may outlive the failure that is reported. */
  async giveUp(): Promise<void> {
    await this.#thaw().catch(() => {});
    for (const scan of this.#scans) await scan.close().catch(() => {});
    await this.#parts.mapped.close().catch(() => {});
    await this.#transaction?.abort().catch(() => {});
  }

  async #takeRunning(): Promise<Taken> {
    const { scan, scanned } = this.#parts;
    const startMs = systemClock.nowMs();
    const findings = await scan.look(this.#run.marks ?? null, this.#rescan());
    await scan.addDropped(findings);
    scanned(findings);
    const work = new CaptureWork(this.#setting(startMs, findings));
    work.checkAborted();
    await takeFindings(work, findings);
    const leftOutBefore = this.#parts.leftOut.untouched(findings);
    // A first capture has a row for every name here, and nobody asks for them again.
    findings.found.clear();
    return { work, findings, leftOutBefore };
  }

  async #takeFrozen(freeze: NonNullable<CaptureRun['freeze']>): Promise<Taken> {
    const { store, root, tables, scan, scanned, memory, hold, mapped } = this.#parts;
    // Begun at once: a prune or a condense that takes its turn from here on would be waited for while the application stands still.
    void this.transaction;
    const ahead = new Ahead();
    hold.prepare();
    const open = await this.#lookAhead(ahead);
    await mapped.open({ store, root, tables, engine: store.engine }, open.paths, (path) => memory.index.get(path));
    this.#frozen = await freeze();
    const startMs = systemClock.nowMs();
    const news = (await this.#run.hear?.(true)) ?? open;
    const rescan = this.#rescan(this.#frozen.rescan);
    ahead.forget(rescan);
    const everything = open.everything || news.everything || !memory.primed;
    const looked = await scan.look(everything ? null : [...open.paths, ...news.paths, ...ahead.paths], rescan);
    const findings = ahead.complete(looked, (path) => memory.index.get(path) !== undefined);
    const work = new CaptureWork(this.#setting(startMs, findings));
    work.checkAborted();
    const held = await holdFindings(work, findings, {
      candidates: ahead.candidates,
      memory: hold,
      mapped,
      scans: this.#scans,
    });
    await this.#thaw();
    await mapped.end(held.large.map(({ entry }) => entry.path));
    await scan.addDropped(findings);
    scanned(looked);
    await takeHeld(work, held);
    return { work, findings, leftOutBefore: this.#parts.leftOut.untouched(findings) };
  }

  /** What is to be read whatever its times say: what is mapped now, and what was at the last capture that asked. */
  #rescan(frozen?: readonly BytePath[]): BytePath[] {
    const { memory } = this.#parts;
    const { rescan } = this.#run;
    if (rescan === undefined && frozen === undefined) return [];
    const paths = [...(rescan ?? []), ...(frozen ?? [])];
    this.#mapped = new Set(paths.filter((path) => nearestWithinLimits(path) === path));
    // Should this capture fail, the next one reads all of them.
    memory.mapped = new Set([...memory.mapped, ...this.#mapped]);
    return [...memory.mapped];
  }

  /** While the application runs: looks at what was heard, if that is much. Returns what is still to be looked at. */
  async #lookAhead(ahead: Ahead): Promise<Heard> {
    const { marks, hear } = this.#run;
    let open = (await hear?.(false)) ?? { paths: marks ?? [], everything: marks === undefined };
    for (let round = 1; round <= ROUNDS; round += 1) {
      const much = open.everything ? !ahead.full : open.paths.length > FEW_PATHS;
      if (!much) break;
      const startMs = systemClock.nowMs();
      const findings = await this.#parts.scan.look(open.everything ? null : open.paths, []);
      this.#parts.scanned(findings);
      await ahead.take(findings, () => this.#setting(startMs, findings));
      if (!hear) break;
      open = await hear(false);
    }
    return open;
  }

  /** The kernel stamps files with the real clock, so `scanStartMs` is not of the clock that tests own. */
  #setting(scanStartMs: number, findings: ScanFindings): CaptureSetting {
    const { store, root, options, tables, unlike, levels, memory } = this.#parts;
    return {
      store,
      root,
      options,
      tables,
      unlike,
      levels,
      tx: this.transaction,
      signal: this.#run.signal ?? options.signal,
      takeUnsettled: this.#run.takeUnsettled ?? false,
      scanStartMs,
      filesTotal: findings.found.size,
      moved: new MovedFiles(findings, (path) => memory.index.get(path)),
    };
  }

  async #thaw(): Promise<void> {
    const frozen = this.#frozen;
    this.#frozen = undefined;
    if (frozen) this.#pauseMs = await frozen.thaw();
  }
}
