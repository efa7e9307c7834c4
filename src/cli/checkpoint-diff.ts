/** What differs between two checkpoints: both lists are sorted alike, so that neither is held in memory. */
import { type BytePath, type Checkpoint, type Store, VERSION_TYPE, type Version } from '../index.js';

export interface Difference {
  readonly mark: '+' | '~' | '-';
  readonly path: BytePath;
  readonly before: Version | undefined;
  readonly after: Version | undefined;
  /** What changed of an entry that both have: `type`, `content`, `mode`, `owner`, `time`, `attributes`. */
  readonly what: readonly string[];
}

async function* flat(store: Store, at: number): AsyncGenerator<Version> {
  for await (const batch of store.entries({ at })) yield* batch;
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

/** Differences in the order of paths. Times of directories move with their content and are not told. */
export async function* differences(store: Store, from: Checkpoint, to: Checkpoint): AsyncGenerator<Difference> {
  const [older, newer] = [flat(store, from.sequence), flat(store, to.sequence)];
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
