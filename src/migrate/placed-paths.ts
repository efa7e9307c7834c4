/** Which directories an import made, and whether a name can stand beside the others: no file lies below a file. */
import { type BytePath, pathParent } from '../core/core.js';
import { VERSION_TYPE } from '../format/format.js';
import type { Store } from '../store/store.js';

export class PlacedPaths {
  readonly #store: Store;
  readonly #directories = new Set<BytePath>();
  /** Files of the group that is not committed yet. */
  #files = new Set<BytePath>();
  #fresh: BytePath[] = [];

  constructor(store: Store) {
    this.#store = store;
  }

  /** Notes a path of a group that was committed earlier. */
  passed(path: BytePath): void {
    for (const directory of parentsOf(path)) this.#directories.add(directory);
  }

  /** Why a file cannot be placed; null when it can, and its name is then taken. */
  async refusal(path: BytePath): Promise<string | null> {
    if (this.#directories.has(path)) return 'it is a directory to other files';
    const unknown = parentsOf(path).filter((directory) => !this.#directories.has(directory));
    const heads = unknown.length > 0 ? await this.#store.heads(unknown) : [];
    const taken = unknown.find(
      (directory, index) => this.#files.has(directory) || heads[index]?.type === VERSION_TYPE.file,
    );
    if (taken !== undefined)
      return `it lies below ${JSON.stringify(Buffer.from(taken, 'latin1').toString('utf8'))}, which is a file`;
    this.#files.add(path);
    for (const directory of unknown) this.#directories.add(directory);
    this.#fresh.push(...unknown);
    return null;
  }

  /** Directories that the group needs and no earlier one made. */
  takeDirectories(): BytePath[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    this.#files = new Set();
    return fresh;
  }
}

/** From the top down, without the state directory itself. */
function parentsOf(path: BytePath): BytePath[] {
  const parents: BytePath[] = [];
  for (let parent = pathParent(path); parent !== ''; parent = pathParent(parent)) parents.unshift(parent);
  return parents;
}
