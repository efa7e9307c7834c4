/** Works out what each checkpoint added, changed and removed. */
import { type BytePath, type Checkpoint, type OnUnreadable, type Store, VERSION_TYPE } from '../index.js';

export interface TimelineRow {
  readonly checkpoint: Checkpoint;
  readonly added: number;
  readonly changed: number;
  readonly removed: number;
  /** First few changes: `+`, `~` or `-` and the path. */
  readonly names: readonly { readonly mark: '+' | '~' | '-'; readonly path: BytePath }[];
  /** Versions that it wrote and that cannot be read; they are in no other count. */
  readonly unreadable: number;
}

interface RowOptions {
  /** Names at most. */
  readonly names: number;
  /** Told of each version that is in `unreadable`, as far as its path is known. */
  readonly onUnreadable: OnUnreadable;
}

/** Paths alive before the first checkpoint of the window; what cannot be read was there in some way. */
async function pathsBefore(store: Store, first: Checkpoint, oldest: boolean): Promise<Set<BytePath>> {
  const paths = new Set<BytePath>();
  if (oldest) return paths;
  const onUnreadable: OnUnreadable = ({ path }) => void paths.add(path);
  for await (const batch of store.entries({ at: first.sequence - 1, onUnreadable })) {
    for (const { path } of batch) paths.add(path);
  }
  return paths;
}

/** Rows for the newest checkpoints, oldest of them first; `limit` 0 means all. */
export async function* timelineRows(
  store: Store,
  options: RowOptions & { readonly limit: number },
): AsyncGenerator<TimelineRow> {
  const window: Checkpoint[] = [];
  // One more than shown tells whether the window starts at the store's first checkpoint.
  for await (const checkpoint of store.checkpoints(options.limit === 0 ? {} : { limit: options.limit + 1 })) {
    window.push(checkpoint);
  }
  const oldest = options.limit === 0 || window.length <= options.limit;
  const shown = (oldest ? window : window.slice(0, -1)).reverse();
  const first = shown[0];
  if (first === undefined) return;
  const alive = await pathsBefore(store, first, oldest);
  for (const checkpoint of shown) yield await rowOf(store, checkpoint, alive, options);
}

async function rowOf(
  store: Store,
  checkpoint: Checkpoint,
  alive: Set<BytePath>,
  { names: namesMax, onUnreadable }: RowOptions,
): Promise<TimelineRow> {
  const counts = { '+': 0, '~': 0, '-': 0 };
  const names: TimelineRow['names'][number][] = [];
  const directories: typeof names = [];
  const changes = await store.changes(checkpoint.sequence, {
    onUnreadable: (one) => {
      alive.add(one.path);
      onUnreadable(one);
    },
  });
  for (const { path, type } of changes) {
    const gone = type === VERSION_TYPE.removed;
    const mark = gone ? '-' : alive.has(path) ? '~' : '+';
    if (gone) alive.delete(path);
    else alive.add(path);
    // The state directory itself is no entry in it, and moves with each name made there.
    if (path === '') continue;
    counts[mark] += 1;
    // A directory changes whenever something in it does: names of files say more.
    const list = type === VERSION_TYPE.directory ? directories : names;
    if (list.length < namesMax) list.push({ mark, path });
  }
  return {
    checkpoint,
    added: counts['+'],
    changed: counts['~'],
    removed: counts['-'],
    names: [...names, ...directories].slice(0, namesMax),
    // Metadata that was rebuilt does not even know their names.
    unreadable: store.keepsHistory ? Math.max(0, checkpoint.changed + checkpoint.removed - changes.length) : 0,
  };
}
