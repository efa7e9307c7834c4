/** Names that are fine in a store and not, or not both, in every file system. */
import { type BytePath, pathFromText, pathName, pathParent, pathToText } from '../core/core.js';
import { STAT, STAT_COLUMNS } from '../engine/engine.js';
import { hardLinkKey, type Version } from '../format/format.js';
import type { RecoverJob } from './recover-job.js';

/** Names that mean devices on Windows, with any ending. */
const DEVICES = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])$/i;
/**
 * Joiners, soft hyphens and others that no one sees, and some file systems do not either. Made when it is first needed: what
 * the system knows of letters takes longer to look up than a small tree to recover, and most names have none but plain ones.
 */
let ignorable: RegExp | undefined;
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

/**
 * What file systems that do not tell cases, or forms of letters, apart take for the same name. Each has rules of its
 * own: this takes more names for one than any of them does, and who asks looks at the files themselves afterwards.
 */
function folded(name: BytePath): string {
  const plain = /^[\u0000-\u007f]*$/.test(name);
  return (plain ? name.toLowerCase() : foldedText(pathToText(name))).replace(/[. ]+$/, '');
}

function foldedText(text: string): string {
  ignorable ??= /\p{Default_Ignorable_Code_Point}/gu;
  const letters = text.normalize('NFKC').replace(ignorable, '');
  // The first step is for capitals without one of their own above them (U+1E9E), the others for \u00df and \u03c2.
  return letters.toLowerCase().toUpperCase().toLowerCase().normalize('NFKC');
}

type Entry = Pick<Version, 'path' | 'type' | 'linkId' | 'size' | 'digest'>;

interface Named {
  readonly path: BytePath;
  /** Names with the same key are one file anyway. */
  readonly linkKey: string | null;
}

/** Finds names of one directory that some file systems take for one, among entries that come directory by directory. */
export class NameCollisions {
  /** Each list has names that are one when folded. */
  readonly groups: Named[][] = [];
  /** Selected paths, which come in any order, and what is above them, which does not come at all. */
  readonly #selected = new Map<BytePath, Named>();
  #parent: BytePath | null = null;
  #names = new Map<string, Named[]>();

  constructor(selected: readonly BytePath[] | null) {
    for (const one of selected ?? []) {
      for (let path = one; path !== '' && !this.#selected.has(path); path = pathParent(path)) {
        this.#selected.set(path, { path, linkKey: null });
      }
    }
  }

  add(entry: Entry): void {
    const { path } = entry;
    if (path === '') return;
    const named = { path, linkKey: hardLinkKey(entry) };
    if (this.#selected.has(path)) {
      this.#selected.set(path, named);
      return;
    }
    const parent = pathParent(path);
    if (parent !== this.#parent) {
      this.#parent = parent;
      this.#names = new Map();
    }
    this.#group(this.#names, folded(pathName(path)), named);
  }

  /** To be called once, when all were added. */
  end(): void {
    const names = new Map<string, Named[]>();
    for (const named of this.#selected.values()) {
      this.#group(names, named.path.split('/').map(folded).join('/'), named);
    }
  }

  #group(names: Map<string, Named[]>, key: string, named: Named): void {
    const known = names.get(key) ?? [];
    known.push(named);
    if (known.length === 1) names.set(key, known);
    if (known.length === 2) this.groups.push(known);
  }

  /** After everything is placed: names that the target took for one are damage, whichever content was written last. */
  async check(job: RecoverJob): Promise<void> {
    this.end();
    const paths = this.groups.flat().map(({ path }) => path);
    if (paths.length === 0) return;
    const found = await job.engine.createStatIndex().scanPaths({ root: job.root, paths });
    const places = new Map<BytePath, string>();
    for (const [index, path] of found.paths.entries()) {
      const at = index * STAT_COLUMNS;
      // What could not be looked at has no place.
      if ((found.rows[at + STAT.type] ?? -1n) < 0n) continue;
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
  const keys = new Set(same.map(({ linkKey }) => linkKey));
  // Hard links of one file are one file.
  if (same.length < 2 || (keys.size === 1 && !keys.has(null))) return;
  const oneParent = new Set(same.map(({ path }) => pathParent(path))).size === 1;
  const shown = (path: BytePath): string => JSON.stringify(pathToText(oneParent ? pathName(path) : path));
  const names = same.map(({ path }) => shown(path)).join(' and ');
  for (const { path } of same) job.damage.add(path, 'DK_UNSAFE_PATH', `the file system takes ${names} for one name`);
}
