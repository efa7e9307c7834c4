/** What a recover would do: told by the metadata, and by a look at the directory where one is named. Touches nothing. */
import { resolve } from 'node:path';
import {
  type BytePath,
  fromSystemError,
  isSystemError,
  isWithin,
  pathBytes,
  pathFromText,
  pathParent,
  pathToText,
  throwIfAborted,
} from '../core/core.js';
import { type Checkpoint, VERSION_TYPE, type Version } from '../format/format.js';
import type { OnUnreadable, Store } from '../store/store.js';
import { isDirectoryRow } from './attribute-rows.js';
import { DamageLog } from './damage-log.js';
import { LinkGroups } from './place-links.js';
import { compileIgnores, type Ignores, removableOf } from './remove-extra.js';
import { entriesOf, findCheckpoint, refusal, selectPaths } from './select-entries.js';
import { lookAtTarget, type Target } from './target-tree.js';
import type { PlanOptions, RecoverPlan, RecoverRemoval } from './types.js';

/** Removals listed one by one; beyond this only counted. */
const LISTED_MAX = 10_000;

type Counts = Omit<RecoverPlan, 'removed' | 'removals'>;

/**
 * What a recover of this checkpoint would bring back, and with `stateDir` what it would remove there; reads metadata,
 * and names and types of what is in the directory, and changes nothing. Throws as `recover` does for a missing
 * checkpoint, wrong paths, or a directory that cannot be used; one that is missing is empty.
 */
export async function planRecover(store: Store, options: PlanOptions = {}): Promise<RecoverPlan> {
  const { paths, at, signal, stateDir, ignore = [] } = options;
  const under = selectPaths(paths);
  const checkpoint = await findCheckpoint(store, at);
  if (stateDir === undefined) {
    return { ...(await countEntries(store, { checkpoint, under, signal })), removed: null, removals: [] };
  }
  const target = await lookAtTarget(store, stateDir, store.engine).catch((error: unknown) => {
    throw isSystemError(error) ? fromSystemError(error, 'look at', resolve(stateDir)) : error;
  });
  const removals = new PlannedRemovals(target, under, options.removeExtra ?? under === null);
  const onEntry = removals.see;
  const counts = await countEntries(store, { checkpoint, under, signal, storeInside: target.storeInside, onEntry });
  const gone = removals.paths(compileIgnores(ignore));
  return { ...counts, removed: gone.length, removals: gone.slice(0, LISTED_MAX).map(removalOf) };
}

function removalOf(path: BytePath): RecoverRemoval {
  const text = pathToText(path);
  return pathFromText(text) === path ? { path: text } : { path: text, pathBase64: pathBytes(path).toString('base64') };
}

/** Works out what a pass would remove, by the rules of the pass. */
class PlannedRemovals {
  readonly #target: Target;
  readonly #under: readonly BytePath[] | null;
  readonly #extra: Set<BytePath>;
  readonly #links = new LinkGroups();
  readonly #removing: boolean;

  constructor(target: Target, under: readonly BytePath[] | null, removing: boolean) {
    this.#target = target;
    this.#under = under;
    this.#removing = removing;
    this.#extra = new Set(removing ? target.listing?.paths() : []);
  }

  /** The checkpoint has this path; the version is null where it cannot be read, or is refused. */
  readonly see = (path: BytePath, version: Version | null): void => {
    this.#extra.delete(path);
    if (!this.#removing || version === null || version.type === VERSION_TYPE.directory) return;
    if (this.#links.take(version)) return;
    const row = this.#target.listing?.get(path);
    // A directory in the way of a file goes, with all that it holds.
    if (row !== undefined && isDirectoryRow(row)) this.#extra.add(path);
  };

  /** In the order of their names; directories that something stays in are not among them. */
  paths(ignores: Ignores): BytePath[] {
    const { listing, storeInside } = this.#target;
    const under = this.#under;
    const selected = [...this.#extra].filter((path) => under === null || under.some((one) => isWithin(path, one)));
    const { files, directories } = removableOf(this.#target, selected, ignores);
    const going = new Set([...files, ...directories]);
    const held = new Set<BytePath>();
    const hold = (path: BytePath): void => {
      for (let up = pathParent(path); up !== '' && !held.has(up); up = pathParent(up)) held.add(up);
    };
    for (const path of listing?.paths() ?? []) if (!going.has(path)) hold(path);
    if (storeInside !== null) hold(storeInside);
    return [...going].filter((path) => !held.has(path)).sort();
  }
}

export interface CountOptions {
  readonly checkpoint: Checkpoint;
  readonly under: readonly BytePath[] | null;
  readonly signal: AbortSignal | undefined;
  /** The store's directory, when it lies inside the target: nothing is written there. */
  readonly storeInside?: BytePath | null;
  /** Told of each entry; of one that cannot be read, or is refused, without its version. */
  readonly onEntry?: (path: BytePath, version: Version | null) => void;
}

/** Counts what the checkpoint has of the selected paths. */
export async function countEntries(store: Store, options: CountOptions): Promise<Counts> {
  const { checkpoint, under, signal, storeInside = null, onEntry } = options;
  const damage = new DamageLog();
  const counts = { entries: 0, directories: 0, files: 0, symlinks: 0, bytes: 0 };
  const onUnreadable: OnUnreadable = ({ path, error }) => {
    damage.addError(path, error);
    onEntry?.(path, null);
  };
  for await (const batch of entriesOf(store, checkpoint, { under, onUnreadable })) {
    throwIfAborted(signal);
    for (const version of batch) {
      if (version.type === VERSION_TYPE.removed) continue;
      counts.entries += 1;
      counts.bytes += version.size;
      if (version.type === VERSION_TYPE.directory) counts.directories += 1;
      else if (version.type === VERSION_TYPE.symlink) counts.symlinks += 1;
      else counts.files += 1;
      const refused = refusal(version, storeInside);
      if (refused) damage.addError(version.path, refused);
      onEntry?.(version.path, refused ? null : version);
    }
  }
  return { checkpoint, ...counts, damaged: damage.entries };
}
