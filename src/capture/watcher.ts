/**
 * Change notification for directories. The only importer of chokidar.
 *
 * Only directories are watched (one kernel watch each, however many files they hold), and chokidar's raw events tell
 * which name in which directory changed. What chokidar normally does with an event, reading the whole directory
 * again and comparing, is switched off: with 100,000 files in a directory that would cost far more than the change,
 * and the capture's own scan knows better. So this class decides itself which directories are watched.
 */
import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { FSWatcher } from 'chokidar';
import { type BytePath, pathBytes, pathFromText, pathJoin, pathParent, pathToText } from '../core/core.js';

/** Directories armed side by side. */
const SIDE_BY_SIDE = 32;

export interface DirectoryEvents {
  /** A name in a watched directory changed; `renamed`: it came, went or was replaced. */
  changed(path: BytePath, renamed: boolean): void;
  /** Something in this directory changed, and the name is not known. */
  unnamed(directory: BytePath): void;
  /** Watching no longer covers everything. */
  failed(error: Error): void;
  /** Directories that are none of ours. */
  ignores(directory: BytePath): boolean;
}

/** Never reads a directory: `_throttle` is what chokidar asks before each reading, and "no" ends it. */
class QuietWatcher extends FSWatcher {
  constructor() {
    super({ persistent: true, ignoreInitial: true, followSymlinks: false, atomic: false });
  }

  override _throttle(): false {
    return false;
  }

  /** Resolves when the directory is watched (or could not be, which the event `error` tells). */
  async watchDirectory(path: string): Promise<void> {
    await this._nodeFsHandler._addToNodeFs(path, true, undefined, 0);
  }

  forget(path: string): void {
    this._closeFile(path);
    this._watched.delete(path);
    this._watched.get(join(path, '..'))?.items.delete(path.slice(path.lastIndexOf('/') + 1));
  }
}

export class DirectoryWatcher {
  readonly #root: string;
  readonly #events: DirectoryEvents;
  readonly #armed = new Set<BytePath>();
  /** Directories whose names are not text: chokidar cannot watch them. */
  readonly #unwatchable = new Set<BytePath>();
  #watcher: QuietWatcher;

  constructor(root: string, events: DirectoryEvents) {
    this.#root = root;
    this.#events = events;
    this.#watcher = this.#create();
  }

  get unwatchable(): ReadonlySet<BytePath> {
    return this.#unwatchable;
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
      for (let first = 0; first < level.length; first += SIDE_BY_SIDE) {
        const part = level.slice(first, first + SIDE_BY_SIDE);
        await Promise.all(part.map((path) => this.#armOne(path, fresh, below)));
      }
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
      if (this.#armed.delete(armed)) this.#watcher.forget(this.#absolute(armed));
    }
  }

  /** Forgets everything, for a state directory that was replaced. */
  async restart(): Promise<void> {
    await this.close();
    this.#watcher = this.#create();
  }

  async close(): Promise<void> {
    this.#armed.clear();
    this.#unwatchable.clear();
    await this.#watcher.close();
  }

  #create(): QuietWatcher {
    const watcher = new QuietWatcher();
    watcher.on('raw', (event: string, name: unknown, details: unknown) => {
      const watched = (details as { watchedPath?: unknown } | undefined)?.watchedPath;
      if (typeof watched !== 'string') return;
      const directory = pathFromText(relative(this.#root, watched));
      // U+FFFD stands for bytes that are no text: the name is lost, the directory is not.
      if (typeof name !== 'string' || name === '' || name.includes('\uFFFD')) this.#events.unnamed(directory);
      else this.#events.changed(pathJoin(directory, pathFromText(name)), event !== 'change');
    });
    watcher.on('error', (error: unknown) => {
      this.#events.failed(error instanceof Error ? error : new Error(String(error)));
    });
    return watcher;
  }

  #absolute(directory: BytePath): string {
    return directory === '' ? this.#root : join(this.#root, pathToText(directory));
  }

  async #armOne(directory: BytePath, fresh: BytePath[], below: BytePath[]): Promise<void> {
    const isText = pathFromText(pathToText(directory)) === directory;
    if (!isText) this.#unwatchable.add(directory);
    else if (!this.#armed.has(directory)) {
      this.#armed.add(directory);
      fresh.push(directory);
      await this.#watcher.watchDirectory(this.#absolute(directory));
    }
    const path = isText
      ? this.#absolute(directory)
      : Buffer.concat([Buffer.from(`${this.#root}/`), pathBytes(directory)]);
    // A directory that vanished meanwhile has nothing to watch; its own removal is an event of its parent.
    const entries = await readdir(path, { withFileTypes: true, encoding: 'latin1' }).catch(() => []);
    for (const entry of entries) {
      const child = pathJoin(directory, entry.name);
      if (entry.isDirectory() && !this.#events.ignores(child)) below.push(child);
    }
  }
}
