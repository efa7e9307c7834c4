/** Which checkpoint, which paths, and which of the entries found may be used at all. Pure apart from reading metadata. */
import {
  type BytePath,
  DiffKeeperError,
  isSafePath,
  isWithin,
  pathFromText,
  pathParent,
  pathToText,
} from '../core/core.js';
import { type Checkpoint, hasSafePath, VERSION_TYPE, type Version, versionTrouble } from '../format/format.js';
import type { OnUnreadable, Store } from '../store/store.js';
import { oddName } from './odd-names.js';

/** Throws DK_NOT_FOUND when there is no such checkpoint. */
export async function findCheckpoint(store: Store, at: number | Date | undefined): Promise<Checkpoint> {
  if (at !== undefined) return store.checkpointAt(at);
  if (store.newest === null)
    throw new DiffKeeperError('DK_NOT_FOUND', 'the store has no checkpoint yet', { path: store.path });
  return store.newest;
}

/**
 * Paths as bytes, without those that lie below another one; null for everything.
 * Throws TypeError for a path that is absolute or leads out of the directory.
 */
export function selectPaths(paths: readonly string[] | undefined): BytePath[] | null {
  if (paths === undefined) return null;
  const wanted = new Set<BytePath>();
  for (const text of paths) {
    if (typeof text !== 'string') throw new TypeError(`paths: expected strings, got ${typeof text}`);
    const path = pathFromText(text.replace(/^(\.\/+)+/, '').replace(/\/+$/, ''));
    if (path === '' || path === '.') return null;
    if (!isSafePath(path))
      throw new TypeError(`paths: expected a path below the state directory, got ${JSON.stringify(text)}`);
    wanted.add(path);
  }
  return [...wanted].filter((path) => {
    for (let up = path; up !== ''; ) {
      up = pathParent(up);
      if (up !== '' && wanted.has(up)) return false;
    }
    return true;
  });
}

/** Entries of the checkpoint, in batches; those that cannot be read are told and left out. */
export function entriesOf(
  store: Store,
  checkpoint: Checkpoint,
  choice: { readonly under: readonly BytePath[] | null; readonly onUnreadable: OnUnreadable },
): AsyncIterable<Version[]> {
  const { under, onUnreadable } = choice;
  const newest = store.newest?.sequence === checkpoint.sequence;
  const options = { onUnreadable, ...(newest ? {} : { at: checkpoint.sequence }) };
  return store.entries(under === null ? options : { ...options, under });
}

/** One entry of the checkpoint; undefined when it does not have it. Damage of newer versions is no matter. */
export async function entryAt(store: Store, checkpoint: Checkpoint, path: BytePath): Promise<Version | undefined> {
  if (store.newest?.sequence === checkpoint.sequence) return (await store.heads([path]))[0];
  const onUnreadable: OnUnreadable = ({ sequence, error }) => {
    if (sequence <= checkpoint.sequence) throw error;
  };
  for await (const { sequence, version } of store.versions(path, { onUnreadable })) {
    if (sequence <= checkpoint.sequence) return version.type === VERSION_TYPE.removed ? undefined : version;
  }
  return undefined;
}

/** Why an entry must not be restored; undefined when it may. Whatever the metadata says, nothing leaves the target. */
export function refusal(version: Version, storeInside: BytePath | null): DiffKeeperError | undefined {
  const path = pathToText(version.path);
  if (!hasSafePath(version)) {
    return new DiffKeeperError('DK_UNSAFE_PATH', `the path ${JSON.stringify(path)} leads out of the directory`, {
      path,
    });
  }
  const odd = oddName(version.path, process.platform);
  if (odd !== null) return new DiffKeeperError('DK_UNSAFE_PATH', `${path} ${odd}`, { path });
  if (storeInside !== null && isWithin(version.path, storeInside)) {
    return new DiffKeeperError('DK_UNSAFE_PATH', `${path} would be written into the store itself`, { path });
  }
  const trouble = versionTrouble(version);
  return trouble === null
    ? undefined
    : new DiffKeeperError('DK_CORRUPT_RECORD', `the entry ${path} ${trouble}`, {
        path,
      });
}
