/** The tree that schema 1's files make up: directories are those that files need, modes those the older program gave. */
import { type BytePath, isWithin, pathParent } from '../core/core.js';
import { removedVersion, VERSION_TYPE, type Version } from '../format/format.js';
import type { SnapshotFiles } from './snapshot-files.js';
import type { SnapshotFacts } from './snapshot-tables.js';

const BATCH = 1000;

function owner(): { readonly uid: number; readonly gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

/** A file as a version. Its recipe says how the store finds the bytes: one blob, or (regions without digests) by path. */
export function fileVersion(path: BytePath, facts: SnapshotFacts, wholeMax: number): Version {
  const { digest, size, sequence } = facts;
  const kind = size === 0 ? 'empty' : size <= wholeMax ? 'whole' : 'regions';
  const recipe = kind === 'regions' ? ({ kind, regions: [] } as const) : ({ kind } as const);
  return { ...removedVersion(path, sequence), ...owner(), type: VERSION_TYPE.file, mode: 0o644, size, digest, recipe };
}

/** A directory that lies above a file. */
export function directoryVersion(path: BytePath): Version {
  return { ...removedVersion(path, 0), ...owner(), type: VERSION_TYPE.directory, mode: 0o755 };
}

/** Sorts by parent directory, then name, as the other schema lists. */
function order(path: BytePath): string {
  const parent = pathParent(path);
  return `${parent}\0${path.slice(parent === '' ? 0 : parent.length + 1)}`;
}

/** Files and the directories above them, in batches; only what lies under the given paths. */
export async function* snapshotEntries(
  files: SnapshotFiles,
  options: { readonly under: readonly BytePath[]; readonly wholeMax: number },
): AsyncGenerator<Version[]> {
  const chosen = [...files.directories, ...files.facts.keys()].filter((path) =>
    options.under.some((under) => isWithin(path, under)),
  );
  const keyed = chosen.map((path): [string, BytePath] => [order(path), path]);
  keyed.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  for (let first = 0; first < keyed.length; first += BATCH) {
    yield keyed.slice(first, first + BATCH).map(([, path]) => {
      const known = files.facts.get(path);
      return known ? fileVersion(path, known, options.wholeMax) : directoryVersion(path);
    });
  }
}
