/**
 * One pass over the checkpoint's entries:
 *
 *   entries -> refuse what is unsafe -> leave alone what is right -> small and large lane
 *           -> (tree root) -> remove what is extra -> place what was blocked -> hard links -> directories
 *
 * Nothing is removed on the word of metadata that does not match its own root:
 * an entry whose key was lost would look like an extra file.
 */
import { type BytePath, isWithin, pathParent } from '../core/core.js';
import { type Checkpoint, VERSION_TYPE, type Version, withoutLentIdentity } from '../format/format.js';
import { computeTreeRoot, type OnUnreadable } from '../store/store.js';
import { isDirectoryRow } from './attribute-rows.js';
import { BatchRelay } from './batch-relay.js';
import { findRight } from './compare-target.js';
import { NameCollisions } from './odd-names.js';
import { ClosedDirectories, closeDirectories } from './place-directories.js';
import { LargeLane } from './place-large.js';
import { LinkGroups } from './place-links.js';
import { isSmall, SmallLane } from './place-small.js';
import type { RecoverJob } from './recover-job.js';
import { type Ignores, removeExtra } from './remove-extra.js';
import { entriesOf, entryAt, refusal } from './select-entries.js';

export interface PassOptions {
  readonly checkpoint: Checkpoint;
  /** Selected paths; null for the whole tree. */
  readonly under: readonly BytePath[] | null;
  readonly removeExtra: boolean;
  readonly ignores: Ignores;
}

export interface PassResult {
  readonly entries: number;
  /** Entries of which only the path is known, because the records of their versions are damaged. */
  readonly unreadable: number;
  /** Whether the entries hash to the checkpoint's root; null when only some were asked for. */
  readonly rootMatches: boolean | null;
}

export class RecoverPass {
  readonly #job: RecoverJob;
  readonly #options: PassOptions;
  readonly #small: SmallLane;
  readonly #large: LargeLane;
  readonly #links = new LinkGroups();
  readonly #closed: ClosedDirectories;
  readonly #directories: Version[] = [];
  /** Those whose attributes were right before anything was placed. */
  readonly #rightDirectories = new Set<Version>();
  /** Files where the target has a directory that must be emptied first. */
  readonly #blocked: Version[] = [];
  /** Entries of the target that the checkpoint was not seen to have (yet). */
  readonly #extra: Set<BytePath>;
  readonly #unmatched: Set<BytePath>;
  readonly #collisions: NameCollisions;
  #entries = 0;
  #unreadable = 0;
  readonly #onUnreadable: OnUnreadable = ({ path, error }) => {
    this.#job.fail(path, error);
    this.#unreadable += 1;
    // Nobody knows what it is: nothing is written there, and nothing removed.
    this.#see(path);
  };

  constructor(job: RecoverJob, options: PassOptions) {
    this.#job = job;
    this.#options = options;
    this.#small = new SmallLane(job);
    this.#large = new LargeLane(job);
    this.#closed = new ClosedDirectories(job);
    this.#collisions = new NameCollisions(options.under);
    this.#extra = new Set(options.removeExtra ? job.target.listing?.paths() : []);
    this.#unmatched = new Set(options.under);
  }

  async run(): Promise<PassResult> {
    try {
      const rootMatches = await this.#restoreEntries();
      await this.#drain();
      if (rootMatches !== false) await removeExtra(this.#job, this.#withinSelection(), this.#options.ignores);
      await this.#closed.openAbove(this.#blocked);
      for (const version of this.#blocked) await this.#send(version);
      await this.#drain();
      await this.#links.place(this.#job, this.#closed);
      await this.#addParents();
      await closeDirectories(this.#job, this.#directories, this.#rightDirectories);
      await this.#collisions.check(this.#job);
      this.#tellUnlisted();
      for (const path of this.#unmatched)
        this.#job.damage.add(path, 'DK_NOT_FOUND', 'the checkpoint does not have this path');
      return { entries: this.#entries, unreadable: this.#unreadable, rootMatches };
    } finally {
      // On an error nothing may still be writing when the caller sees it.
      await this.#small.settle();
      await this.#large.settle();
    }
  }

  async #drain(): Promise<void> {
    await this.#small.drain();
    await this.#large.drain();
  }

  async #send(version: Version): Promise<void> {
    await (isSmall(version) ? this.#small : this.#large).add(version);
  }

  /** Restores entry by entry; the root is computed along the way. */
  async #restoreEntries(): Promise<boolean | null> {
    const { checkpoint, under } = this.#options;
    const { store, engine } = this.#job;
    const onUnreadable = this.#onUnreadable;
    if (under !== null) {
      for await (const batch of entriesOf(store, checkpoint, { under, onUnreadable })) await this.#restoreBatch(batch);
      return null;
    }
    const relay = new BatchRelay<Version[]>();
    const root = computeTreeRoot(engine, store.hashAlgo, relay);
    root.catch(() => relay.abandon());
    try {
      for await (const batch of entriesOf(store, checkpoint, { under, onUnreadable })) {
        await relay.push(batch);
        await this.#restoreBatch(batch);
      }
    } finally {
      relay.end();
    }
    return (await root).equals(checkpoint.root);
  }

  async #restoreBatch(batch: readonly Version[]): Promise<void> {
    const { target, damage } = this.#job;
    this.#job.check();
    const directories: Version[] = [];
    const files: Version[] = [];
    for (const stored of batch) {
      if (stored.type === VERSION_TYPE.removed) continue;
      const version = this.#granted(stored);
      this.#entries += 1;
      this.#see(version.path);
      this.#collisions.add(version);
      const refused = refusal(version, target.storeInside);
      if (refused) {
        damage.addError(version.path, refused);
        this.#job.progress(version.size);
      } else if (version.type === VERSION_TYPE.directory) directories.push(version);
      else if (!this.#links.take(version)) files.push(version);
    }
    const right = target.listing === null ? null : await findRight(this.#job, [...directories, ...files]);
    await this.#closed.make(directories);
    for (const version of directories) {
      this.#directories.push(version);
      if (right?.has(version)) this.#rightDirectories.add(version);
    }
    const wrong: Version[] = [];
    for (const version of files) {
      if (right?.has(version)) this.#job.countKept(version);
      else if (this.#isBlocked(version)) this.#blocked.push(version);
      else wrong.push(version);
    }
    await this.#closed.openAbove(wrong);
    for (const version of wrong) await this.#send(version);
  }

  /** The version as it may come back. */
  #granted(stored: Version): Version {
    if (this.#job.lendIdentity) return stored;
    const version = withoutLentIdentity(stored);
    if (version !== stored) this.#job.identityDropped += 1;
    return version;
  }

  /** Notes that the checkpoint has this path. */
  #see(path: BytePath): void {
    this.#extra.delete(path);
    if (this.#unmatched.size === 0) return;
    for (let up = path; up !== ''; up = pathParent(up)) this.#unmatched.delete(up);
  }

  /** A directory in the way can only go when removing is allowed; it then counts as extra with all it holds. */
  #isBlocked(version: Version): boolean {
    const row = this.#job.target.listing?.get(version.path);
    if (row === undefined || !isDirectoryRow(row) || !this.#options.removeExtra) return false;
    this.#extra.add(version.path);
    return true;
  }

  /** Nobody knows what is in a directory that the system did not list: all of it would count as right otherwise. */
  #tellUnlisted(): void {
    const { removeExtra, under } = this.#options;
    if (!removeExtra) return;
    const kept = new Set(['', ...this.#directories.map(({ path }) => path)]);
    for (const path of this.#job.target.listing?.unlisted ?? []) {
      const asked = under === null || under.some((one) => isWithin(one, path) || isWithin(path, one));
      if (!asked || !kept.has(path)) continue;
      this.#job.damage.add(
        path,
        'DK_IO',
        'it could not be listed: what the checkpoint does not have may still be in it',
      );
    }
  }

  /** With selected paths only what lies below them may be removed. */
  #withinSelection(): ReadonlySet<BytePath> {
    const { under } = this.#options;
    if (under === null) return this.#extra;
    const selected = new Set(under);
    const inside = new Set<BytePath>();
    for (const path of this.#extra) {
      for (let up = path; up !== ''; up = pathParent(up)) {
        if (!selected.has(up)) continue;
        inside.add(path);
        break;
      }
    }
    return inside;
  }

  /** Directories above selected paths that were made on the way get the checkpoint's attributes too. */
  async #addParents(): Promise<void> {
    const { target, store } = this.#job;
    const parents = new Set<BytePath>();
    for (const path of this.#options.under ?? []) {
      if (this.#unmatched.has(path)) continue;
      for (let up = pathParent(path); up !== ''; up = pathParent(up)) parents.add(up);
    }
    for (const path of parents) {
      if (target.listing?.get(path) !== undefined) continue;
      const version = await entryAt(store, this.#options.checkpoint, path).catch((error: unknown) => {
        this.#job.fail(path, error);
      });
      if (version?.type === VERSION_TYPE.directory) this.#directories.push(version);
    }
  }
}
