/** What stands above an entry: one "below" a link or a file would be written through it by whoever unpacks an export. */
import { type BytePath, pathParent, pathToText } from '../core/core.js';
import { type Checkpoint, VERSION_TYPE, type Version } from '../format/format.js';
import type { OnUnreadable, Store } from '../store/store.js';

/** Asked in the order of the entries, parents first; remembers directories, and looks up only what was never told. */
export class EntryAncestors {
  readonly #store: Store;
  readonly #checkpoint: Checkpoint;
  /** Why nothing may lie in there; null for those where something may. */
  readonly #verdicts = new Map<BytePath, string | null>([['', null]]);

  constructor(store: Store, checkpoint: Checkpoint) {
    this.#store = store;
    this.#checkpoint = checkpoint;
  }

  /** Why this entry can be in no directory of the checkpoint; null when it can. */
  async trouble({ path, type }: Version): Promise<string | null> {
    const trouble = await this.#verdict(pathParent(path));
    if (type === VERSION_TYPE.directory) this.#verdicts.set(path, trouble);
    return trouble;
  }

  async #verdict(directory: BytePath): Promise<string | null> {
    const known = this.#verdicts.get(directory);
    if (known !== undefined) return known;
    const verdict = (await this.#verdict(pathParent(directory))) ?? (await this.#own(directory));
    this.#verdicts.set(directory, verdict);
    return verdict;
  }

  /** Checkpoints of the older system have no directories: what is not there at all may be made. */
  async #own(path: BytePath): Promise<string | null> {
    const type = (await this.#entry(path))?.type ?? VERSION_TYPE.removed;
    if (type === VERSION_TYPE.directory || type === VERSION_TYPE.removed) return null;
    return `${pathToText(path)} above it is a ${type === VERSION_TYPE.symlink ? 'symbolic link' : 'file'}`;
  }

  async #entry(path: BytePath): Promise<Version | undefined> {
    const { sequence: at } = this.#checkpoint;
    if (this.#store.newest?.sequence === at) return (await this.#store.heads([path]))[0];
    // Damage of newer versions is no matter. What cannot be read is in no export, so that nothing can lie below it.
    let unreadable = false;
    const onUnreadable: OnUnreadable = ({ sequence }) => {
      unreadable ||= sequence <= at;
    };
    for await (const { sequence, version } of this.#store.versions(path, { onUnreadable })) {
      if (unreadable) return undefined;
      if (sequence <= at) return version;
    }
    return undefined;
  }
}
