/** What the page can ask for, each a JSON object. */
import { type BytePath, DiffKeeperError, LIMITS, pathToText, Semaphore, throwIfAborted } from '../core/core.js';
import { recover } from '../recover/recover.js';
import type { Store, StoreStats } from '../store/store.js';
import type { CheckpointIndex } from './checkpoint-index.js';
import { viewContent } from './content-view.js';
import { isTextPath, listChanges, listDirectory, pathOfId, searchEntries } from './entry-listing.js';
import type { StoreSession } from './store-session.js';
import { listVersions } from './version-history.js';

/** Questions that read the store at the same time; further ones wait, too many are refused. */
const AT_ONCE = 4;
const WAITING_MAX = 64;
const ROWS_MAX = 1000;
const TEXT_MAX = 200;
const FOUND_CHECKPOINTS = 12;
/** Figures of the whole store take a look at each blob: they are that old at most. */
const STATS_MS = 10_000;

export interface Asked {
  readonly query: URLSearchParams;
  readonly signal: AbortSignal;
}

export interface RestoreOrder {
  readonly at: number;
  /** Ids of paths; absent for the whole tree. */
  readonly ids?: readonly string[];
}

function whole(asked: Asked, name: string, fallback?: number): number {
  const text = asked.query.get(name);
  if (text === null && fallback !== undefined) return fallback;
  const value = Number(text);
  if (text === null || !/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) {
    throw new RangeError(`${name}: expected a whole number, got ${JSON.stringify(text)}`);
  }
  return value;
}

function pathOf(asked: Asked, name = 'id'): BytePath {
  const id = asked.query.get(name) ?? '';
  if (id.length > LIMITS.pathBytes * 2) throw new RangeError(`${name}: too long`);
  return pathOfId(id);
}

export class UiAnswers {
  readonly #session: StoreSession;
  readonly #index: CheckpointIndex;
  readonly #restoreDir: string | undefined;
  readonly #turns = new Semaphore(AT_ONCE);
  #waiting = 0;
  #restoring = false;
  #stats: { readonly atMs: number; readonly value: StoreStats } | null = null;

  constructor(session: StoreSession, index: CheckpointIndex, restoreDir: string | undefined) {
    this.#session = session;
    this.#index = index;
    this.#restoreDir = restoreDir;
  }

  /** Runs a question in its turn. Throws DK_LIMIT when too many wait. */
  async #ask<T>(signal: AbortSignal, task: (store: Store) => Promise<T>): Promise<T> {
    if (this.#waiting >= WAITING_MAX) throw new DiffKeeperError('DK_LIMIT', 'too many questions at once');
    this.#waiting += 1;
    try {
      return await this.#turns.run(async () => {
        throwIfAborted(signal);
        return this.#session.ask(task);
      });
    } finally {
      this.#waiting -= 1;
    }
  }

  /** By the last part of the address. */
  readonly known: Readonly<Record<string, (asked: Asked) => Promise<object>>> = {
    store: ({ signal }) =>
      this.#ask(signal, async (store) => {
        await this.#index.update(store, true);
        const { total, generation } = this.#index;
        const { path, id, hashAlgo, newest } = store;
        const { entries = 0, treeBytes = 0 } = newest ?? {};
        return { path, id, hashAlgo, entries, treeBytes, total, generation, restoreDir: this.#restoreDir ?? null };
      }),
    stats: ({ signal }) =>
      this.#ask(signal, async (store) => {
        if (this.#stats === null || performance.now() - this.#stats.atMs > STATS_MS) {
          this.#stats = { value: await store.stats(), atMs: performance.now() };
        }
        return { ...this.#stats.value, pauses: this.#index.pauses() };
      }),
    checkpoints: async (asked) => {
      const [start, count] = [whole(asked, 'start'), Math.min(whole(asked, 'count'), ROWS_MAX)];
      const { total, generation } = this.#index;
      return { start, total, generation, rows: this.#index.rows(start, count) };
    },
    density: async (asked) => this.#index.density(whole(asked, 'buckets')),
    changes: (asked) =>
      this.#ask(asked.signal, (store) =>
        listChanges(store, { at: whole(asked, 'at'), start: whole(asked, 'start', 0) }),
      ),
    tree: (asked) =>
      this.#ask(asked.signal, async (store) => {
        const at = whole(asked, 'at');
        await store.checkpointAt(at);
        const after = Buffer.from(asked.query.get('after') ?? '', 'base64url').toString('latin1');
        return listDirectory(store, { at, directory: pathOf(asked), after, signal: asked.signal });
      }),
    search: (asked) => this.#search(asked),
    history: (asked) =>
      this.#ask(asked.signal, (store) =>
        listVersions(store, {
          path: pathOf(asked),
          before: whole(asked, 'before', Number.MAX_SAFE_INTEGER),
          signal: asked.signal,
        }),
      ),
    view: (asked) =>
      this.#ask(asked.signal, (store) =>
        viewContent(store, {
          path: pathOf(asked),
          from: asked.query.has('from') ? whole(asked, 'from') : undefined,
          to: whole(asked, 'to'),
          hex: asked.query.has('hex'),
          offset: whole(asked, 'offset', 0),
          whole: asked.query.has('whole'),
          signal: asked.signal,
        }),
      ),
  };

  /** Checkpoints by number, time or tag, and paths of a checkpoint. */
  #search(asked: Asked): Promise<object> {
    const text = (asked.query.get('text') ?? '').trim().slice(0, TEXT_MAX);
    const at = whole(asked, 'at');
    const positions = new Set<number>();
    const number = /^#?(\d{1,15})$/.exec(text);
    const bySequence = number ? this.#index.positionOf(Number(number[1])) : undefined;
    if (bySequence !== undefined) positions.add(bySequence);
    const timeMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
    if (!Number.isNaN(timeMs) && this.#index.total > 0) positions.add(this.#index.positionAt(timeMs));
    if (text !== '') for (const position of this.#index.tagged(text, FOUND_CHECKPOINTS)) positions.add(position);
    const checkpoints = [...positions].map((position) => ({ position, row: this.#index.row(position) }));
    if (text === '') return Promise.resolve({ checkpoints, entries: [], more: false });
    return this.#ask(asked.signal, async (store) => ({
      checkpoints,
      ...(await searchEntries(store, { at, text, under: pathOf(asked, 'under'), signal: asked.signal })),
    }));
  }

  /** Brings paths back below the directory that was chosen at the start; nothing there is removed. */
  async restore(order: RestoreOrder, signal: AbortSignal): Promise<object> {
    const directory = this.#restoreDir;
    if (directory === undefined) {
      throw new DiffKeeperError('DK_ARGUMENT', 'start with --restore-dir to restore from the page');
    }
    const bytePaths = order.ids?.map(pathOfId);
    if (bytePaths?.some((path) => !isTextPath(path))) {
      throw new DiffKeeperError(
        'DK_UNSUPPORTED',
        'the name is not UTF-8: download it, or recover the whole checkpoint',
      );
    }
    const paths = bytePaths?.some((path) => path === '') ? undefined : bytePaths?.map(pathToText);
    if (this.#restoring) throw new DiffKeeperError('DK_LIMIT', 'another restore is under way');
    this.#restoring = true;
    try {
      const options = { at: order.at, removeExtra: false, signal, ...(paths ? { paths } : {}) };
      const report = await this.#session.use((store) => recover(store, directory, options));
      const { checkpoint, entries, written, kept, bytes, damaged, elapsedMs } = report;
      const facts = { sequence: checkpoint.sequence, entries, written, kept, bytes, elapsedMs };
      return { ...facts, directory, damaged: damaged.slice(0, 100), damagedCount: damaged.length };
    } finally {
      this.#restoring = false;
    }
  }
}

/** The order in a body. Throws RangeError for anything else. */
export function readOrder(body: string): RestoreOrder {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new RangeError('body: expected JSON');
  }
  const { at, ids } = (value ?? {}) as { readonly at?: unknown; readonly ids?: unknown };
  if (typeof at !== 'number' || !Number.isSafeInteger(at)) throw new RangeError('at: expected a checkpoint number');
  if (ids === undefined) return { at };
  if (!Array.isArray(ids) || ids.length === 0 || !ids.every((id): id is string => typeof id === 'string')) {
    throw new RangeError('ids: expected a list of paths');
  }
  return { at, ids };
}
