/** Entries for the page: a directory, what a checkpoint changed, paths that contain a text. All of them bounded. */
import { type BytePath, isSafePath, isWithin, pathName, pathParent, pathToText, throwIfAborted } from '../core/core.js';
import { VERSION_TYPE, type Version } from '../format/format.js';
import type { OnUnreadable, Store } from '../store/store.js';

/** Entries in one answer. */
export const ENTRIES_MAX = 500;
/** Entries that a search looks at. */
const SEARCHED_MAX = 300_000;
const FOUND_MAX = 50;
/** Entries that are looked at to tell new paths from known ones. */
const KNOWN_MAX = 20_000;

const TYPE_NAMES: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(VERSION_TYPE).map(([name, type]) => [type, name]),
);

/** A path as the page sends it back: its bytes in base64url. */
export function pathId(path: BytePath): string {
  return Buffer.from(path, 'latin1').toString('base64url');
}

/** The path of an id; the empty one is the state directory. Throws RangeError for what is no path inside it. */
export function pathOfId(id: string): BytePath {
  const path = Buffer.from(id, 'base64url').toString('latin1');
  if (pathId(path) !== id || (path !== '' && !isSafePath(path))) {
    throw new RangeError('path: expected the base64url of a path below the state directory');
  }
  return path;
}

/** Whether `recover` and `cat`, which take text, can name the path. */
export function isTextPath(path: BytePath): boolean {
  return Buffer.from(pathToText(path), 'utf8').toString('latin1') === path;
}

export interface EntryFacts {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly type: string;
  readonly size: number;
  readonly mode: number;
  readonly mtimeMs: number;
  /** Checkpoint that wrote it. */
  readonly sequence: number;
  readonly link?: string;
  readonly notText?: true;
}

export function entryFacts(version: Version): EntryFacts {
  const { path, type, size, mode, mtimeNs, sequence, linkText } = version;
  return {
    id: pathId(path),
    name: pathToText(pathName(path)),
    path: pathToText(path),
    type: TYPE_NAMES[type] ?? 'unknown',
    size,
    mode,
    mtimeMs: Number(mtimeNs / 1_000_000n),
    sequence,
    ...(linkText.length > 0 ? { link: linkText.toString('utf8') } : {}),
    ...(isTextPath(path) ? {} : { notText: true }),
  };
}

/** One entry as a checkpoint has it; undefined when it does not. */
export async function versionAt(store: Store, path: BytePath, at: number): Promise<Version | undefined> {
  // What lies below the path is read along with it, and its damage is no matter here.
  const onUnreadable: OnUnreadable = (damaged) => {
    if (damaged.path === path) throw damaged.error;
  };
  for await (const batch of store.entries({ at, under: [path], onUnreadable })) {
    const own = batch.find((version) => version.path === path);
    if (own || batch.length > 0) return own;
  }
  return undefined;
}

/** Children of a directory in the order of their names' bytes; `after` is the name to go on behind. */
export async function listDirectory(
  store: Store,
  options: {
    readonly at: number;
    readonly directory: BytePath;
    readonly after: BytePath;
    readonly signal: AbortSignal;
  },
): Promise<{ readonly entries: readonly EntryFacts[]; readonly more: boolean }> {
  const { at, directory, after, signal } = options;
  const entries: EntryFacts[] = [];
  for await (const batch of store.entries({ at, under: [directory] })) {
    throwIfAborted(signal);
    for (const version of batch) {
      if (version.path === directory) continue;
      // Lists are sorted by directory: the first deeper entry ends this one.
      if (pathParent(version.path) !== directory) return { entries, more: false };
      if (after !== '' && pathName(version.path) <= after) continue;
      if (entries.length >= ENTRIES_MAX) return { entries, more: true };
      entries.push(entryFacts(version));
    }
  }
  return { entries, more: false };
}

/** Which of these paths the checkpoint before had; null when that cannot be told. */
async function knownBefore(store: Store, before: number, paths: readonly BytePath[]): Promise<Set<BytePath> | null> {
  const known = new Set<BytePath>();
  if (before < 1 || paths.length === 0) return known;
  let seen = 0;
  try {
    for await (const batch of store.entries({ at: before, under: paths })) {
      for (const { path } of batch) known.add(path);
      seen += batch.length;
      if (seen > KNOWN_MAX) return null;
    }
  } catch {
    // Schema 1 has no past; of a damaged history nothing is claimed.
    return null;
  }
  return known;
}

export interface ChangeFacts extends EntryFacts {
  /** `+` new, `~` changed, `-` removed; empty when nothing is known of what was before. */
  readonly mark: '+' | '~' | '-' | '';
}

/** What a checkpoint wrote, files before directories, from a position on. */
export async function listChanges(
  store: Store,
  options: { readonly at: number; readonly start: number },
): Promise<{ readonly entries: readonly ChangeFacts[]; readonly total: number }> {
  const all = await store.changes(options.at);
  const isDirectory = (version: Version): boolean => version.type === VERSION_TYPE.directory;
  // A directory changes whenever something in it does: names of files say more.
  const sorted = [...all.filter((version) => !isDirectory(version)), ...all.filter(isDirectory)];
  const shown = sorted.slice(options.start, options.start + ENTRIES_MAX);
  const asked = shown.filter((version) => !isDirectory(version) && version.type !== VERSION_TYPE.removed);
  const known = await knownBefore(
    store,
    options.at - 1,
    asked.map(({ path }) => path),
  );
  const entries = shown.map((version): ChangeFacts => {
    const gone = version.type === VERSION_TYPE.removed;
    const told = known !== null && !isDirectory(version);
    return { ...entryFacts(version), mark: gone ? '-' : told ? (known.has(version.path) ? '~' : '+') : '' };
  });
  return { entries, total: all.length };
}

/** Entries whose path contains the text, whatever its case. */
export async function searchEntries(
  store: Store,
  options: { readonly at: number; readonly text: string; readonly under: BytePath; readonly signal: AbortSignal },
): Promise<{ readonly entries: readonly EntryFacts[]; readonly more: boolean }> {
  const { at, under, signal } = options;
  const wanted = options.text.toLowerCase();
  const entries: EntryFacts[] = [];
  let seen = 0;
  for await (const batch of store.entries({ at, under: [under] })) {
    throwIfAborted(signal);
    for (const version of batch) {
      if (!isWithin(version.path, under) || !pathToText(version.path).toLowerCase().includes(wanted)) continue;
      if (entries.length >= FOUND_MAX) return { entries, more: true };
      if (version.path !== '') entries.push(entryFacts(version));
    }
    seen += batch.length;
    if (seen > SEARCHED_MAX) return { entries, more: true };
  }
  return { entries, more: false };
}
