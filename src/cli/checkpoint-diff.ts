/** What differs between two checkpoints: both lists are sorted alike, so that neither is held in memory. */
import {
  type BytePath,
  type Checkpoint,
  type OnUnreadable,
  type Store,
  type UnreadableVersion,
  VERSION_TYPE,
  type Version,
} from '../index.js';

export interface Difference {
  readonly mark: '+' | '~' | '-';
  readonly path: BytePath;
  readonly before: Version | undefined;
  readonly after: Version | undefined;
  /** What changed of an entry that both have: `type`, `content`, `mode`, `owner`, `time`, `attributes`. */
  readonly what: readonly string[];
}

async function* flat(store: Store, at: number, onUnreadable: OnUnreadable): AsyncGenerator<Version> {
  for await (const batch of store.entries({ at, onUnreadable })) yield* batch;
}

/** Order of the lists: by parent directory, then by name, as bytes; the state directory itself first. */
function sortKey(path: BytePath): string {
  const cut = path.lastIndexOf('/');
  return cut < 0 ? `\0${path}` : `${path.slice(0, cut)}\0${path.slice(cut + 1)}`;
}

function changes(before: Version, after: Version): string[] {
  if (before.type !== after.type) return ['type'];
  const what: string[] = [];
  const equal = before.digest === null ? after.digest === null : after.digest?.equals(before.digest) === true;
  if (!equal) what.push('content');
  if (before.mode !== after.mode) what.push('mode');
  if (before.uid !== after.uid || before.gid !== after.gid) what.push('owner');
  if (before.mtimeNs !== after.mtimeNs) what.push('time');
  if (!before.xattrs.equals(after.xattrs)) what.push('attributes');
  return what;
}

/**
 * Differences in the order of paths. Times of directories move with their content and are not told; neither is a path
 * that cannot be read at one of the two: `onUnreadable` is told that at the end. A version that both have is no
 * difference, whatever it is.
 */
export async function* differences(
  store: Store,
  {
    from,
    to,
    onUnreadable,
  }: { readonly from: Checkpoint; readonly to: Checkpoint; readonly onUnreadable: OnUnreadable },
): AsyncGenerator<Difference> {
  const [left, right] = [new Map<BytePath, UnreadableVersion>(), new Map<BytePath, UnreadableVersion>()];
  const older = flat(store, from.sequence, (one) => void left.set(one.path, one));
  const newer = flat(store, to.sequence, (one) => void right.set(one.path, one));
  // A list tells what it cannot read before it goes on to what stands behind that.
  for await (const one of merged(older, newer)) if (!left.has(one.path) && !right.has(one.path)) yield one;
  for (const [path, one] of left) if (right.get(path)?.sequence !== one.sequence) onUnreadable(one);
  for (const [path, one] of right) if (left.get(path)?.sequence !== one.sequence) onUnreadable(one);
}

async function* merged(older: AsyncGenerator<Version>, newer: AsyncGenerator<Version>): AsyncGenerator<Difference> {
  let before = await older.next();
  let after = await newer.next();
  while (!before.done || !after.done) {
    const left = before.done ? undefined : before.value;
    const right = after.done ? undefined : after.value;
    const leftKey = left && sortKey(left.path);
    const rightKey = right && sortKey(right.path);
    if (left && (rightKey === undefined || (leftKey as string) < rightKey)) {
      yield { mark: '-', path: left.path, before: left, after: undefined, what: [] };
      before = await older.next();
    } else if (right && (leftKey === undefined || rightKey !== leftKey)) {
      yield { mark: '+', path: right.path, before: undefined, after: right, what: [] };
      after = await newer.next();
    } else if (left && right) {
      const what = changes(left, right);
      const told = right.type === VERSION_TYPE.directory ? what.filter((one) => one !== 'time') : what;
      if (told.length > 0) yield { mark: '~', path: right.path, before: left, after: right, what: told };
      before = await older.next();
      after = await newer.next();
    }
  }
}
