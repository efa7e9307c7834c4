/**
 * The store of a page that may stay open for days. A store has one owner at a time, so it is held only while somebody
 * asks for something, and a moment longer: a sidecar that starts meanwhile must not find it taken. One that is read
 * through another process is gone when that process ends; it is opened again then.
 */
import { readdir, stat } from 'node:fs/promises';
import * as path from 'node:path';
import { isDiffKeeperError } from '../core/core.js';
import type { Store } from '../store/store.js';

const IDLE_MS = 2000;
/** Files of one directory that are looked at for changes: the last by name are those being written. */
const WATCHED_FILES = 32;

export class StoreSession {
  readonly #open: () => Promise<Store>;
  readonly #idleMs: number;
  #store: Promise<Store> | null = null;
  #closing: Promise<void> = Promise.resolve();
  #uses = 0;
  #stale = false;
  #ended = false;
  #timer: NodeJS.Timeout | undefined;
  /** Where the store was when it was last open, and what its files looked like. */
  #place: { readonly path: string; readonly cachePath: string } | null = null;
  #seen = '';

  constructor(open: () => Promise<Store>, idleMs: number = IDLE_MS) {
    this.#open = open;
    this.#idleMs = idleMs;
  }

  /** Whether the store is open at this moment. */
  get isOpen(): boolean {
    return this.#store !== null;
  }

  /** Runs a task with the store. Throws what opening it and the task throw. */
  async use<T>(task: (store: Store) => Promise<T>): Promise<T> {
    this.#uses += 1;
    clearTimeout(this.#timer);
    let held = this.#store;
    try {
      const store = await this.#opened();
      held = this.#store;
      return await task(store);
    } catch (error) {
      if (isDiffKeeperError(error, 'DK_IO')) this.#stale = true;
      // Nobody can read through a process that has ended: the next use opens the store, also while others fail with this one.
      if (isDiffKeeperError(error, 'DK_STORE_CLOSED') && held === this.#store) void this.#close();
      throw error;
    } finally {
      this.#uses -= 1;
      if (this.#uses === 0) this.#rest();
    }
  }

  /**
   * As `use`, for a task that only asks: it runs once more when the process through which the store was read has ended.
   * Throws what opening the store and the task throw.
   */
  async ask<T>(task: (store: Store) => Promise<T>): Promise<T> {
    try {
      return await this.use(task);
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_STORE_CLOSED') || this.#ended) throw error;
      return this.use(task);
    }
  }

  /**
   * Whether the files of the store changed since it was opened; true when that is not known. A store that is read
   * through another process stays as it was when it was opened: the next use opens it again then.
   */
  async changed(): Promise<boolean> {
    await this.#closing;
    const changed = this.#place === null || this.#seen !== (await this.#look());
    if (changed && this.#store !== null) this.#stale = true;
    return changed;
  }

  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#close();
  }

  async #opened(): Promise<Store> {
    if (this.#stale && this.#uses === 1) await this.#close();
    await this.#closing;
    const fresh = this.#store === null;
    this.#store ??= this.#open();
    try {
      const store = await this.#store;
      this.#place = store;
      if (fresh) this.#seen = await this.#look();
      return store;
    } catch (error) {
      this.#store = null;
      throw error;
    }
  }

  #rest(): void {
    if (this.#ended || this.#stale) void this.#close();
    else {
      this.#timer = setTimeout(() => void this.#close(), this.#idleMs);
      this.#timer.unref();
    }
  }

  #close(): Promise<void> {
    const held = this.#store;
    this.#store = null;
    this.#stale = false;
    if (held === null) return this.#closing;
    this.#closing = this.#look()
      .then(async (before) => {
        await (await held).close();
        // What closing wrote is none of others; what they wrote before is not seen yet.
        if (before === this.#seen) this.#seen = await this.#look();
      })
      .catch(() => {});
    return this.#closing;
  }

  /** Sizes and times of what lies in the store, two levels deep, caches left out. */
  async #look(): Promise<string> {
    if (this.#place === null) return '';
    const { path: root, cachePath } = this.#place;
    const facts: string[] = [];
    for (const entry of await readdir(root, { withFileTypes: true }).catch(() => [])) {
      const below = path.join(root, entry.name);
      if (!entry.isDirectory() || below === cachePath) continue;
      const names = (await readdir(below).catch(() => [])).sort().slice(-WATCHED_FILES);
      for (const name of names) {
        const known = await stat(path.join(below, name)).catch(() => null);
        facts.push(`${entry.name}/${name} ${known?.size} ${known?.mtimeMs}`);
      }
    }
    return facts.join('\n');
  }
}
