/** One store on disk beside its model, and everything that may happen to it. */
import { cp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { expect } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { PACK_HEADER_BYTES, VERSION_TYPE } from '../../src/format/format.js';
import {
  openStore,
  type PrunePolicy,
  rotateStoreKey,
  type Store,
  type StoreOptions,
  type UnreadableVersion,
} from '../../src/store/store.js';
import { noise } from './store-fixture.js';
import {
  applyChanges,
  applyEdits,
  damageIn,
  type Edit,
  expectAll,
  expectNewest,
  type ModelCheckpoint,
  type ModelEntry,
  matches,
  prunedModel,
} from './store-model.js';

const EMPTY_TREE: ReadonlyMap<string, ModelEntry> = new Map();

export class Harness {
  readonly #base: string;
  readonly #engines: readonly Engine[];
  readonly #options: StoreOptions;
  #copies = 0;
  #rotations = 0;
  #root: string;
  #store!: Store;
  #model: ModelCheckpoint[] = [];
  #prunedEnd = { pack: 0, end: 0 };

  private constructor(base: string, engines: readonly Engine[], options: StoreOptions) {
    this.#options = options;
    this.#base = base;
    this.#engines = engines;
    this.#root = path.join(base, 'keep');
  }

  static async create(base: string, engines: readonly Engine[], options: StoreOptions = {}): Promise<Harness> {
    const harness = new Harness(base, engines, options);
    await harness.#open(0);
    return harness;
  }

  get root(): string {
    return this.#root;
  }
  get model(): readonly ModelCheckpoint[] {
    return this.#model;
  }

  async #open(engine: number): Promise<void> {
    const chosen = this.#engines[engine % this.#engines.length] as Engine;
    const how = { create: this.#copies === 0, engine: chosen, snapshotInterval: 3 };
    this.#store = await openStore(this.#root, { ...this.#options, ...how });
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #packs(): Promise<string[]> {
    const names = await readdir(path.join(this.#root, 'packs'));
    return names.sort().map((name) => path.join(this.#root, 'packs', name));
  }

  /** Packs that commits wrote: only they have an end that a crash can tear. */
  async #log(): Promise<string[]> {
    return (await this.#packs()).filter((file) => numberOf(file) < 50_000_000);
  }

  /** What a prune does to the model; the store must do the same, and give back what nothing needs. */
  async prune(policy: PrunePolicy, edits: readonly Edit[], compactBelow: number): Promise<void> {
    const pruning = this.#store.prune(policy, { compactBelow });
    // A commit beside it: the checkpoint is newer than what the prune looks at, or one of those that it keeps.
    await this.commit(edits, '', false);
    const { kept, dropped, writtenPacks } = await pruning;
    expect(dropped.length === 0 || writtenPacks > 0).toBe(true);
    if (writtenPacks > 0) this.#model = await this.#prunedModel(kept);
    this.#prunedEnd = await this.#logEnd();
    expect(kept).toEqual(this.#model.map(({ sequence }) => sequence).slice(0, kept.length));
    expect(this.#model.length - kept.length).toBeLessThanOrEqual(1);
    await expectAll(this.#store, this.#model);
  }

  /** A commit that came before the prune closed the pack is written anew with the others: a removal that hides nothing goes. */
  async #prunedModel(kept: readonly number[]): Promise<ModelCheckpoint[]> {
    const since = this.#model.map(({ sequence }) => sequence).filter((sequence) => sequence > (kept.at(-1) ?? 0));
    const anew = prunedModel(this.#model, [...kept, ...since]);
    for await (const { removed } of this.#store.checkpoints()) {
      const left = [...(anew.at(-1)?.changes.values() ?? [])].filter((entry) => entry === null).length;
      return removed === left ? anew : prunedModel(this.#model, kept);
    }
    return anew;
  }

  async #logEnd(): Promise<{ readonly pack: number; readonly end: number }> {
    const packs = await this.#log();
    const last = packs[packs.length - 1];
    return last ? { pack: numberOf(last), end: (await stat(last)).size } : { pack: 0, end: 0 };
  }

  async commit(edits: readonly Edit[], tag: string, check = true): Promise<void> {
    const before = this.#model[this.#model.length - 1];
    const transaction = this.#store.begin();
    const { changes } = await applyEdits(this.#store, transaction, edits);
    const checkpoint = await transaction.commit({ tag });
    if (changes.size === 0 && tag === '') {
      expect(checkpoint).toBeNull();
      return;
    }
    expect(checkpoint?.sequence).toBe((before?.sequence ?? 0) + 1);
    this.#model.push({
      sequence: (before?.sequence ?? 0) + 1,
      tag,
      root: checkpoint?.root as Buffer,
      changes,
      tree: applyChanges(before?.tree ?? EMPTY_TREE, changes),
      ...(await this.#logEnd()),
    });
    if (check) await expectNewest(this.#store, this.#model);
  }

  async abort(edits: readonly Edit[]): Promise<void> {
    const transaction = this.#store.begin();
    await applyEdits(this.#store, transaction, edits);
    await transaction.abort();
    await expectNewest(this.#store, this.#model);
  }

  async reopen(engine: number): Promise<void> {
    await this.#store.close();
    await this.#open(engine);
    await expectNewest(this.#store, this.#model);
  }

  /** What is on disk now is all that is left, whatever was under way. */
  async kill(edits: readonly Edit[]): Promise<void> {
    const transaction = this.#store.begin();
    await applyEdits(this.#store, transaction, edits);
    const copy = await this.#copy();
    await this.#store.close();
    this.#root = copy;
    await this.#open(this.#copies);
    await expectNewest(this.#store, this.#model);
  }

  async #copy(): Promise<string> {
    this.#copies += 1;
    const copy = path.join(this.#base, `copy-${this.#copies}`);
    await cp(this.#root, copy, { recursive: true });
    return copy;
  }

  /**
   * A new master key, of an encrypted store.
   *
   * @param half as if the process had ended as soon as the key was there: the metadata is that of before
   */
  async rotate(half: boolean): Promise<void> {
    const { key } = this.#options;
    if (!key) return;
    await this.#store.close();
    const meta = path.join(this.#root, 'meta');
    const before = path.join(this.#base, 'meta-of-before');
    await cp(meta, before, { recursive: true });
    this.#rotations += 1;
    expect((await rotateStoreKey(this.#root, key)).masterKey).toBe(this.#rotations);
    if (half) {
      await rm(meta, { recursive: true });
      await cp(before, meta, { recursive: true });
    }
    await rm(before, { recursive: true });
    await this.#open(0);
    await expectAll(this.#store, this.#model);
  }

  async repair(): Promise<void> {
    expect((await this.#store.rebuildIndex()).damage).toEqual([]);
    await expectNewest(this.#store, this.#model);
  }

  async loseMetadata(how: 'all' | 'CURRENT' | 'logs'): Promise<void> {
    await this.#store.close();
    const meta = path.join(this.#root, 'meta');
    if (how === 'all') await rm(meta, { recursive: true });
    if (how === 'CURRENT') await rm(path.join(meta, 'CURRENT'));
    if (how === 'logs')
      for (const name of await readdir(meta)) if (name.endsWith('.log')) await truncate(path.join(meta, name), 0);
    await this.#open(0);
    await expectAll(this.#store, this.#model);
  }

  /** A crash in the middle of an append. */
  async tearTail(bytes: number): Promise<void> {
    await this.#store.close();
    const last = (await this.#log()).pop();
    if (last) await writeFile(last, Buffer.concat([await readFile(last), noise(bytes, bytes)]));
    await this.#open(1);
    await expectNewest(this.#store, this.#model);
    expect(await damageIn(this.#store)).toEqual([]);
  }

  /** The metadata is gone and the last pack ends earlier: whole checkpoints before the cut are what is left. */
  async cutTail(share: number): Promise<void> {
    await this.#store.close();
    const last = (await this.#log()).pop();
    if (last) {
      // What a prune has kept may stand in front of where the log was then: that is never a torn end.
      const pack = numberOf(last);
      const least = pack === this.#prunedEnd.pack ? this.#prunedEnd.end : 0;
      const end = Math.max(least, Math.floor((await stat(last)).size * share));
      await truncate(last, end);
      this.#model = this.#model.filter((one) => one.pack < pack || one.end <= end);
    }
    await rm(path.join(this.#root, 'meta'), { recursive: true });
    await this.#open(0);
    await expectAll(this.#store, this.#model);
  }

  /** Never silent: either everything is right, or it is told, and `repair` brings everything back. */
  async flipMetadata(file: number, at: number): Promise<void> {
    await this.#store.close();
    const meta = path.join(this.#root, 'meta');
    const names = (await readdir(meta))
      .filter((name) => name !== 'LOCK' && name !== 'LOG' && name !== 'LOG.old')
      .sort();
    await flip(path.join(meta, names[file % names.length] as string), at);
    await this.#open(0);
    const damage = await damageIn(this.#store).then((found) => found.length, typed);
    if (damage !== 0) expect((await this.#store.rebuildIndex()).damage).toEqual([]);
    await expectAll(this.#store, this.#model);
  }

  /** In a copy: what a flipped byte of a pack reaches is named, all else reads right; also without the metadata. */
  async flipPack(pack: number, at: number): Promise<void> {
    const packs = await this.#packs();
    if (packs.length === 0) return;
    await this.#store.close();
    const own = this.#root;
    this.#root = await this.#copy();
    const name = path.basename(packs[pack % packs.length] as string);
    const file = path.join(this.#root, 'packs', name);
    const { size } = await stat(file);
    await flip(file, at);
    await this.#open(0);
    if ((await this.#packs()).includes(file)) await this.#expectNamedDamage();
    else await this.#expectNothingLost(size);
    await this.#store.close();
    await rm(path.join(this.#root, 'meta'), { recursive: true });
    await this.#open(1);
    await this.#expectNothingWrong();
    await this.#store.close();
    await rm(this.#root, { recursive: true });
    this.#root = own;
    await this.#open(0);
  }

  /** A pack that was begun, and that nothing was written to, goes when the store is opened: nobody misses it. */
  async #expectNothingLost(size: number): Promise<void> {
    expect(size).toBe(PACK_HEADER_BYTES);
    expect((await this.#store.verify()).damage).toEqual([]);
    await expectAll(this.#store, this.#model);
  }

  async #expectNamedDamage(): Promise<void> {
    const store = this.#store;
    const last = this.#model[this.#model.length - 1];
    expect(store.newest?.sequence).toBe(last?.sequence);
    const damage = await damageIn(store);
    expect(damage.length).toBeGreaterThan(0);
    const affected = new Set(damage.flatMap((one) => one.affected.map((two) => `${two.sequence} ${two.path}`)));
    for (const checkpoint of this.#model) await this.#expectRightOrNamed(checkpoint, affected);
  }

  /** Each entry of a checkpoint is right, or told and named; none is missing. */
  async #expectRightOrNamed({ sequence, tree }: ModelCheckpoint, affected: ReadonlySet<string>): Promise<void> {
    const store = this.#store;
    const missing = new Set(tree.keys());
    const onUnreadable = (one: UnreadableVersion): void => {
      expect(typed(one.error)).toBe(-1);
      expect(this.#written(one.sequence, one.path)).not.toBeUndefined();
      expect(affected.has(`${one.sequence} ${one.path}`)).toBe(true);
      missing.delete(one.path);
    };
    for await (const batch of store.entries({ at: sequence, onUnreadable })) {
      for (const version of batch) {
        const entry = tree.get(version.path);
        expect(entry).toBeTruthy();
        const good = await matches(store, version, entry as ModelEntry).catch(typed);
        expect(good).not.toBe(false);
        expect(affected.has(`${version.sequence} ${version.path}`)).toBe(good !== true);
        missing.delete(version.path);
      }
    }
    expect([...missing]).toEqual([]);
  }

  /** Of what is still listed nothing may be wrong; what is missing must have been told. */
  async #expectNothingWrong(): Promise<void> {
    const store = this.#store;
    const damage = await damageIn(store);
    const last = this.#model[this.#model.length - 1]?.sequence ?? 0;
    let missing = (store.newest?.sequence ?? 0) < last && damage.length === 0 ? 0 : 1;
    for await (const { sequence, root } of store.checkpoints()) {
      const known = this.#model.find((one) => one.sequence === sequence);
      expect(known?.root.equals(root)).toBe(true);
      for await (const batch of store.entries({ at: sequence })) {
        for (const version of batch) {
          const entry = this.#written(version.sequence, version.path);
          expect(entry).toBeTruthy();
          expect(await matches(store, version, entry as ModelEntry).catch(typed)).not.toBe(false);
          if (version.type === VERSION_TYPE.removed) missing += 1;
        }
      }
    }
    const newest = this.#model.find((one) => one.sequence === store.newest?.sequence);
    let listed = 0;
    for await (const batch of store.entries()) listed += batch.length;
    if (listed !== (newest?.tree.size ?? 0)) expect(damage.length).toBeGreaterThan(0);
    expect(missing).toBeLessThanOrEqual(1);
  }

  #written(sequence: number, name: string): ModelEntry | null | undefined {
    return this.#model.find((one) => one.sequence === sequence)?.changes.get(name);
  }

  async expectAll(): Promise<void> {
    await expectAll(this.#store, this.#model);
  }
}

function numberOf(file: string): number {
  return Number.parseInt(path.basename(file), 10);
}

/** Damage must come as an error of ours; gives something that is neither true nor false. */
function typed(error: unknown): -1 {
  if (!isDiffKeeperError(error) || !error.code.startsWith('DK_CORRUPT')) throw error;
  return -1;
}

async function flip(file: string, at: number): Promise<void> {
  const bytes = await readFile(file);
  if (bytes.length === 0) return;
  const index = at % bytes.length;
  bytes[index] = (bytes[index] as number) ^ (1 << (at % 8));
  await writeFile(file, bytes);
}
