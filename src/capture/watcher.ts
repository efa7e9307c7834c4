/**
 * Change notification for directories. The only importer of chokidar.
 *
 * Only directories are watched (one kernel watch each, however many files they hold), and chokidar's raw events tell
 * which name in which directory changed. What chokidar normally does with an event, reading the whole directory
 * again and comparing, is left out: with 100,000 files in a directory that would cost far more than the change,
 * and the capture's own scan knows better. So this class decides itself which directories are watched.
 *
 * A directory with more events than listing it would cost, or than can be handled in time, is taken off watch ("calmed")
 * until `rearmCalmed`: it is then listed as a whole instead.
 */
import { join } from 'node:path';
import { FSWatcher } from 'chokidar';
import { type BytePath, inGroups, pathFromText, pathJoin, pathName, pathParent, pathToText } from '../core/core.js';
import { EventBudget, type EventCount } from './event-budget.js';
import { isReachable, listBeneath } from './list-beneath.js';

/** A directory with more names is watched for each capture anew: it may have few events by now, and to list it takes long. */
const STAYING_NAMES_MAX = 1024;
/** Directories armed side by side. */
const SIDE_BY_SIDE = 32;

export interface DirectoryEvents {
  /** A name in a watched directory changed; `renamed`: it came, went or was replaced. */
  changed(path: BytePath, renamed: boolean): void;
  /** Something in this directory changed, and the name is not known. */
  unnamed(directory: BytePath): void;
  /** Too many events: the directory is not watched until `rearmCalmed`; `lossy`: events of others may be lost, too. */
  calmed(directory: BytePath, lossy: boolean): void;
  /** Watching no longer covers everything. */
  failed(error: Error): void;
  /** Directories that are none of ours. */
  ignores(directory: BytePath): boolean;
}

class QuietWatcher extends FSWatcher {
  constructor() {
    super({ persistent: true, ignoreInitial: true, followSymlinks: false, atomic: false });
  }

  /** Watches a directory without ever reading it; the event `error` tells when it cannot be watched. */
  watchDirectory(path: string): void {
    const closer = this._nodeFsHandler._watchWithNodeFs(path, () => {});
    if (closer) this._addPathCloser(path, closer);
  }

  forget(path: string): void {
    this._closeFile(path);
    this._watched.delete(path);
    this._watched.get(join(path, '..'))?.items.delete(path.slice(path.lastIndexOf('/') + 1));
  }
}

/** A directory as chokidar's events name it. */
interface Watched extends EventCount {
  readonly directory: BytePath;
}

export class DirectoryWatcher {
  readonly #root: string;
  readonly #events: DirectoryEvents;
  readonly #armed = new Set<BytePath>();
  /** Those of them that have a kernel watch, by absolute path. */
  readonly #watched = new Map<string, Watched>();
  /** Those of them that had too many events. */
  #calmed = new Set<BytePath>();
  /** Those that will be at the end of this turn. */
  readonly #busy = new Set<Watched>();
  readonly #budget: EventBudget;
  /** Names in each, when it was listed. */
  readonly #names = new Map<BytePath, number>();
  /** Directories whose names are not text, or whose absolute paths are too long for the kernel: chokidar cannot watch them. */
  readonly #unwatchable = new Set<BytePath>();
  #watcher: QuietWatcher;

  /** @param timed whether captures come at their time, however soon it is quiet */
  constructor(root: string, timed: boolean, events: DirectoryEvents) {
    this.#root = root;
    this.#budget = new EventBudget(timed);
    this.#events = events;
    this.#watcher = this.#create();
  }

  get unwatchable(): ReadonlySet<BytePath> {
    return this.#unwatchable;
  }

  get calmed(): ReadonlySet<BytePath> {
    return this.#calmed;
  }

  has(directory: BytePath): boolean {
    return this.#armed.has(directory);
  }

  /**
   * Watches a directory and everything below it. Each directory is watched before it is listed, so that nothing
   * falls between. Returns the directories that were not watched before: what happened in them earlier is unknown.
   */
  async arm(directory: BytePath): Promise<BytePath[]> {
    const fresh: BytePath[] = [];
    for (let level = [directory]; level.length > 0; ) {
      const below: BytePath[] = [];
      await inGroups(level, SIDE_BY_SIDE, (path) => this.#armOne(path, fresh, below));
      level = below;
    }
    return fresh;
  }

  /** Stops watching these directories and everything below them: they are gone or others took their names. */
  disarm(directories: ReadonlySet<BytePath>): void {
    if (directories.size === 0) return;
    for (const armed of [...this.#armed, ...this.#unwatchable]) {
      let at = armed;
      while (at !== '' && !directories.has(at)) at = pathParent(at);
      if (!directories.has(at)) continue;
      this.#unwatchable.delete(armed);
      this.#calmed.delete(armed);
      this.#names.delete(armed);
      if (this.#armed.delete(armed)) this.#unwatch(this.#absolute(armed));
    }
  }

  /** Watches the calmed directories again, but for those that stay as they are, and returns all: what happened in them is unknown. */
  rearmCalmed(stays: (directory: BytePath) => boolean): ReadonlySet<BytePath> {
    const calmed = this.#calmed;
    for (const watched of this.#watched.values()) watched.events = 0;
    if (calmed.size === 0) return calmed;
    this.#calmed = new Set();
    for (const directory of calmed) {
      const names = this.#names.get(directory) ?? 0;
      if (names <= STAYING_NAMES_MAX && stays(directory)) this.#calmed.add(directory);
      else this.#watch(directory);
    }
    return calmed;
  }

  /** Forgets everything, for a state directory that was replaced. */
  async restart(): Promise<void> {
    await this.close();
    this.#watcher = this.#create();
  }

  async close(): Promise<void> {
    this.#armed.clear();
    this.#watched.clear();
    this.#calmed.clear();
    this.#names.clear();
    this.#unwatchable.clear();
    await this.#watcher.close();
  }

  #create(): QuietWatcher {
    const watcher = new QuietWatcher();
    watcher.on('raw', (event: string, name: unknown, details: unknown) => {
      const path = (details as { watchedPath?: unknown } | undefined)?.watchedPath;
      const watched = typeof path === 'string' ? this.#watched.get(path) : undefined;
      if (watched) this.#heard(watched, event !== 'change', name);
    });
    watcher.on('error', (error: unknown) => {
      this.#events.failed(error instanceof Error ? error : new Error(String(error)));
    });
    return watcher;
  }

  /** Called for each event, so everything here has to be cheap. */
  #heard(watched: Watched, renamed: boolean, name: unknown): void {
    const { directory } = watched;
    const verdict = this.#budget.judge(watched);
    if (verdict === 'busy') this.#calmSoon(watched);
    if (verdict === 'spent') {
      this.#calm(directory, true);
      return;
    }
    // U+FFFD stands for bytes that are no text: the name is lost, the directory is not.
    if (typeof name !== 'string' || name === '' || name.includes('\uFFFD')) {
      this.#events.unnamed(directory);
      return;
    }
    const bytes = pathFromText(name);
    this.#events.changed(pathJoin(directory, bytes), renamed);
    // A directory that is moved or removed says so under its own name, even when its parent is not heard.
    if (renamed && directory !== '' && bytes === pathName(directory)) this.#events.changed(directory, true);
  }

  #calm(directory: BytePath, lossy: boolean): void {
    this.#calmed.add(directory);
    this.#unwatch(this.#absolute(directory));
    this.#events.calmed(directory, lossy);
  }

  /**
   * When the events that are queued have been taken: those of a directory that is off watch no longer reach us, and how many
   * there are in one turn tells whether the kernel's queue was full.
   */
  #calmSoon(watched: Watched): void {
    this.#busy.add(watched);
    if (this.#busy.size > 1) return;
    setImmediate(() => {
      for (const { directory } of this.#busy) {
        if (this.#watched.get(this.#absolute(directory))?.directory === directory) this.#calm(directory, false);
      }
      this.#busy.clear();
    });
  }

  #count(directory: BytePath, names: number): void {
    this.#names.set(directory, names);
    const watched = this.#watched.get(this.#absolute(directory));
    if (watched?.directory === directory) watched.names = names;
  }

  #watch(directory: BytePath): void {
    const path = this.#absolute(directory);
    this.#watched.set(path, { directory, events: 0, names: this.#names.get(directory) ?? 0 });
    this.#watcher.watchDirectory(path);
  }

  #unwatch(path: string): void {
    this.#watched.delete(path);
    this.#watcher.forget(path);
  }

  #absolute(directory: BytePath): string {
    return directory === '' ? this.#root : join(this.#root, pathToText(directory));
  }

  async #armOne(directory: BytePath, fresh: BytePath[], below: BytePath[]): Promise<void> {
    const isText = pathFromText(pathToText(directory)) === directory;
    if (!isText || !isReachable(this.#root, directory)) this.#unwatchable.add(directory);
    else if (!this.#armed.has(directory)) {
      this.#armed.add(directory);
      fresh.push(directory);
      this.#watch(directory);
    }
    // A directory that vanished meanwhile has nothing to watch; its own removal is an event of its parent.
    const entries = await listBeneath(this.#root, directory).catch(() => []);
    this.#count(directory, entries.length);
    for (const entry of entries) {
      const child = pathJoin(directory, entry.name);
      if (entry.isDirectory() && !this.#events.ignores(child)) below.push(child);
    }
  }
}
