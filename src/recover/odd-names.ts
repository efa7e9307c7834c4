/** Names that are fine in a store and not, or not both, in every file system. */
import { type BytePath, pathFromText, pathName, pathParent, pathToText } from '../core/core.js';
import { STAT, STAT_COLUMNS } from '../engine/engine.js';
import type { Version } from '../format/format.js';
import type { RecoverJob } from './recover-job.js';

/** Names that mean devices on Windows, with any ending. */
const DEVICES = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])$/i;
const FORBIDDEN = /[<>:"|?*\\\u0000-\u001f]/;

/** Why a system cannot have this path, or would take it for something else; null when it can. */
export function oddName(path: BytePath, platform: NodeJS.Platform): string | null {
  if (platform !== 'win32') return null;
  for (const name of path === '' ? [] : path.split('/')) {
    const text = pathToText(name);
    if (pathFromText(text) !== name) return 'has a name that is no text';
    if (FORBIDDEN.test(text)) return 'has a character that names cannot have here';
    if (/[. ]$/.test(text)) return 'has a name that ends in a dot or a space';
    if (DEVICES.test((text.split('.')[0] as string).trimEnd())) return 'names a device';
  }
  return null;
}

/** What file systems that do not tell cases, or forms of letters, apart take for the same name. */
function folded(name: BytePath): string {
  const text = /^[\u0000-\u007f]*$/.test(name) ? name : pathToText(name).normalize('NFKC');
  return text.toLowerCase().replace(/[. ]+$/, '');
}

type Named = Pick<Version, 'path' | 'linkId'>;

/** Finds names of one directory that some file systems take for one, among entries that come directory by directory. */
export class NameCollisions {
  /** Each list has names that are one when folded. */
  readonly groups: Named[][] = [];
  #parent: BytePath | null = null;
  #names = new Map<string, Named[]>();

  add({ path, linkId }: Named): void {
    if (path === '') return;
    const parent = pathParent(path);
    if (parent !== this.#parent) {
      this.#parent = parent;
      this.#names = new Map();
    }
    const key = folded(pathName(path));
    const known = this.#names.get(key) ?? [];
    known.push({ path, linkId });
    if (known.length === 1) this.#names.set(key, known);
    if (known.length === 2) this.groups.push(known);
  }

  /** After everything is placed: names that the target took for one are damage, whichever content was written last. */
  async check(job: RecoverJob): Promise<void> {
    const paths = this.groups.flat().map(({ path }) => path);
    if (paths.length === 0) return;
    const found = await job.engine.createStatIndex().scanPaths({ root: job.root, paths });
    const places = new Map<BytePath, string>();
    for (const [index, path] of found.paths.entries()) {
      const at = index * STAT_COLUMNS;
      places.set(path, `${found.rows[at + STAT.dev]}:${found.rows[at + STAT.ino]}`);
    }
    for (const group of this.groups) {
      const together = new Map<string, Named[]>();
      for (const named of group) {
        const place = places.get(named.path);
        if (place !== undefined) together.set(place, [...(together.get(place) ?? []), named]);
      }
      for (const same of together.values()) report(job, same);
    }
  }
}

function report(job: RecoverJob, same: readonly Named[]): void {
  const links = new Set(same.map(({ linkId }) => linkId));
  // Hard links of one file are one file.
  if (same.length < 2 || (links.size === 1 && !links.has(0n))) return;
  const names = same.map(({ path }) => JSON.stringify(pathToText(pathName(path)))).join(' and ');
  for (const { path } of same) job.damage.add(path, 'DK_UNSAFE_PATH', `the file system takes ${names} for one name`);
}
