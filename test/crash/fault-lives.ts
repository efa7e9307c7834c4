/**
 * Lives on a disk that fails somewhere. Each opens, does its work, tries again what failed, and ends by itself. What a
 * checkpoint holds depends on its number alone, so that its root is known from a life without faults.
 */
import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { openCaptureSession } from '../../src/capture/capture.js';
import { isDiffKeeperError } from '../../src/core/core.js';
import { finalizeMigration, openStoreOrImport } from '../../src/migrate/migrate.js';
import {
  addStoreKey,
  changeStoreKey,
  listStoreKeys,
  openStore,
  removeStoreKey,
  rotateStoreKey,
  type Store,
} from '../../src/store/store.js';
import { STORE_NAME } from './check-state.js';
import { noise } from './noise.js';
import { beforeRecover, recoverInto } from './recover-life.js';
import { spoilNewest } from './spoil-newest.js';
import { CRASH_KEY, storeOptions } from './store-way.js';
import { putAlike, versionOf } from './workload-content.js';
import { live as liveWorkload, putFile, WORKLOADS } from './workloads.js';

export interface LifeReport {
  readonly acknowledged: readonly (readonly [sequence: number, root: string])[];
  /** Up to this one they may be gone: a prune was asked for. 0 for none. */
  readonly released: number;
  /** Codes of the errors that it met. */
  readonly errors: readonly string[];
  /** What each part of it took, done in the end or not. */
  readonly undone: readonly string[];
}

export interface FaultLife {
  readonly name: string;
  /** What stands before calls fail. */
  readonly before?: (life: Life) => Promise<void>;
  readonly run: (life: Life) => Promise<void>;
  /** A store of schema 1 becomes one of schema 2. */
  readonly migrates?: boolean;
  /** Records in its packs are damaged, of which the metadata has copies. */
  readonly damaged?: boolean;
  /** It recovers into a directory beside the store, by temporary names that have to be the same each time. */
  readonly recovers?: boolean;
  /** In the clear, encrypted, or both (the default). */
  readonly only?: 'plain' | 'encrypted';
}

const ATTEMPTS = 4;

export class Life {
  readonly base: string;
  readonly encrypted: boolean;
  readonly acknowledged: [number, string][] = [];
  readonly errors: string[] = [];
  readonly undone: string[] = [];
  released = 0;

  constructor(base: string, encrypted: boolean) {
    this.base = base;
    this.encrypted = encrypted;
  }

  get root(): string {
    return path.join(this.base, STORE_NAME);
  }

  get report(): LifeReport {
    const { acknowledged, released, errors, undone } = this;
    return { acknowledged, released, errors, undone };
  }

  note(error: unknown): void {
    this.errors.push(
      isDiffKeeperError(error) ? error.code : `not ours: ${error instanceof Error ? error.stack : error}`,
    );
  }

  acknowledge(checkpoint: { readonly sequence: number; readonly root: Buffer } | null): void {
    if (checkpoint) this.acknowledged.push([checkpoint.sequence, checkpoint.root.toString('hex')]);
  }

  /** Undefined when it failed each time. */
  async attempt<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    for (let count = 0; count < ATTEMPTS; count += 1) {
      try {
        return await work();
      } catch (error) {
        this.note(error);
      }
    }
    this.undone.push(name);
    return undefined;
  }

  /** Opens the store, uses it, and closes it; nothing when it cannot be opened. */
  async use(work: (store: Store) => Promise<void>): Promise<void> {
    const options = { create: true, ...storeOptions(this.encrypted) };
    const store = await this.attempt('open', () => openStore(this.root, options));
    if (!store) return;
    await work(store);
    await store.close().catch((error: unknown) => this.note(error));
  }

  /** A piece of work on an open store. */
  async does(name: string, store: Store, work: () => Promise<unknown>): Promise<void> {
    await this.attempt(name, async () => {
      if (store.needsReopen) await store.reopen();
      await work();
      return true;
    });
  }

  /** Commits until the newest checkpoint is this one; one that failed may have been rolled forward. */
  async commitTo(store: Store, target: number, filesOf = smallFiles): Promise<void> {
    while ((store.newest?.sequence ?? 0) < target) {
      const done = await this.attempt('commit', async () => {
        if (store.needsReopen) await store.reopen();
        const sequence = (store.newest?.sequence ?? 0) + 1;
        if (sequence <= target) await this.#commit(store, filesOf(sequence));
        return true;
      });
      if (!done) break;
    }
  }

  async #commit(store: Store, files: Readonly<Record<string, Buffer>>): Promise<void> {
    const transaction = store.begin();
    try {
      for (const [name, bytes] of Object.entries(files)) await putFile(store, transaction, name, bytes);
      this.acknowledge(await transaction.commit());
    } finally {
      await transaction.abort();
    }
  }

  /** From now on older ones may be gone, whatever the prune says. */
  async prune(store: Store, keepLast: number, compactBelow?: number): Promise<void> {
    await this.does('prune', store, async () => {
      this.released = Math.max(this.released, (store.newest?.sequence ?? 0) - keepLast);
      await store.prune({ keepLast }, compactBelow === undefined ? {} : { compactBelow });
    });
  }
}

function smallFiles(sequence: number): Record<string, Buffer> {
  return { [`f${sequence}`]: noise(sequence * 9000, sequence), same: noise(300, sequence) };
}

function changedFile(sequence: number): Record<string, Buffer> {
  return { file: noise(6000, sequence + 300), [`f${sequence % 3}`]: noise(200, sequence + 400) };
}

function text(sequence: number): Record<string, Buffer> {
  return { text: versionOf(sequence) };
}

/** Versions of a text that are worth being condensed. */
const TEXTS = 10;

async function condense(life: Life, store: Store): Promise<void> {
  await life.does('condense', store, async () => {
    const { packs, damaged } = await store.condense();
    // One that could not be read is left as it is.
    if (packs + damaged === 0 && life.errors.length === 0) throw new Error('nothing was condensed');
  });
}

/** Two lives of commits with a prune between them, and a repair. */
async function pruneAndRepair(life: Life): Promise<void> {
  await life.use(async (store) => {
    await life.commitTo(store, 3);
    await life.prune(store, 2, 1);
  });
  await life.use(async (store) => {
    await life.does('repair', store, () => store.rebuildIndex());
    await life.commitTo(store, 5);
  });
}

/** The log is one pack: it is closed and goes, twice. */
async function pruneLast(life: Life): Promise<void> {
  await life.use(async (store) => {
    await life.prune(store, 2);
    await life.commitTo(store, 6, changedFile);
  });
  await life.use(async (store) => {
    await life.prune(store, 1);
    await life.commitTo(store, 7, changedFile);
  });
}

/** Two lives of commits, each with packs condensed in the middle. */
async function condenseTwice(life: Life): Promise<void> {
  for (const first of [0, TEXTS + 1]) {
    await life.use(async (store) => {
      await life.commitTo(store, first + TEXTS, text);
      await condense(life, store);
      await life.commitTo(store, first + TEXTS + 1, text);
    });
  }
}

/** What is left of a dense pack becomes dense again. */
async function pruneCondensed(life: Life): Promise<void> {
  await life.use(async (store) => {
    await life.prune(store, 8);
    await life.commitTo(store, 42, text);
  });
  await life.use((store) => life.commitTo(store, 43, text));
}

async function retag(life: Life): Promise<void> {
  await life.use(async (store) => {
    await life.does('retag', store, () => store.retag(2, 'second'));
    await life.commitTo(store, 4);
  });
  await life.use(async (store) => {
    await life.does('retag', store, () => store.retag(2, ''));
    await life.commitTo(store, 5);
  });
}

/** Shifted copies, each coded against what it resembles, also of what a prune drops. */
async function similar(life: Life): Promise<void> {
  await life.use(async (store) => {
    for (let target = 1; target <= 3; target += 1) {
      await life.does('commit', store, async () => {
        if ((store.newest?.sequence ?? 0) >= target) return;
        const transaction = store.begin();
        try {
          const pieces = [noise(9000, target + 50), noise(12_000, target + 49), noise(15_000, 7)];
          const files = pieces.map((bytes, index): [string, Buffer] => [
            `${index}`,
            Buffer.concat([noise(target, 9), bytes]),
          ]);
          await putAlike(transaction, files);
          life.acknowledge(await transaction.commit());
        } finally {
          await transaction.abort();
        }
      });
    }
    await life.prune(store, 1, 1);
  });
  await life.use((store) => life.commitTo(store, 4));
}

/** The packs have lost what the metadata still has: it is written into packs again, and the metadata made anew. */
async function repairDamaged(life: Life): Promise<void> {
  await life.use(async (store) => {
    await life.does('repair', store, () => store.rebuildIndex({ check: true }));
    await life.commitTo(store, 4);
  });
  await life.use((store) => life.commitTo(store, 5));
}

async function goOn(life: Life): Promise<void> {
  await life.use((store) => life.commitTo(store, 4));
  await life.use((store) => life.commitTo(store, 5));
}

/** A directory whose times are as its number says. */
function writeDirectory(directory: string, step: number): void {
  mkdirSync(path.join(directory, 'd'), { recursive: true });
  writeFileSync(path.join(directory, 'large'), Buffer.concat([noise(300_000, 1), noise(2000, step)]));
  writeFileSync(path.join(directory, 'd', 'one'), versionOf(step));
  if (step > 1) rmSync(path.join(directory, `f${step - 1}`), { force: true });
  writeFileSync(path.join(directory, `f${step}`), noise(3000, step));
  for (const name of ['large', 'd/one', `f${step}`, 'd', '']) utimesSync(path.join(directory, name), step, step);
}

/** A state directory through capture sessions: caches, a large file, a removal. */
async function captureSession(life: Life): Promise<void> {
  const directory = `${life.base}.state`;
  mkdirSync(directory);
  let step = 0;
  for (const last of [2, 3]) {
    await life.use(async (store) => {
      const session = await life.attempt('session', () => openCaptureSession(store, directory));
      if (!session) return;
      while (step < last) {
        step += 1;
        writeDirectory(directory, step);
        await life.does('capture', store, async () => life.acknowledge((await session.capture()).checkpoint));
      }
      await session.close().catch((error: unknown) => life.note(error));
    });
  }
  rmSync(directory, { recursive: true, force: true });
}

async function migrate(life: Life): Promise<void> {
  const store = await life.attempt('open', () => openStoreOrImport(life.root, {}));
  if (!store) return;
  life.acknowledge(store.newest);
  await store.close().catch((error: unknown) => life.note(error));
  await life.attempt('finalize', async () => {
    await finalizeMigration(life.root);
    return true;
  });
}

/** Keys come, are replaced and go; one stays. */
async function keys(life: Life): Promise<void> {
  const [second, third] = [{ keyBytes: noise(32, 1) }, { keyBytes: noise(32, 2) }];
  await life.attempt('add', () => addStoreKey(life.root, CRASH_KEY, second).then(() => true));
  await life.attempt('change', () =>
    changeStoreKey(life.root, second, third).catch(async (error: unknown) => {
      // A change that was told to have failed may stand: then the new key opens the store.
      if (life.errors.length === 0 || !isDiffKeeperError(error, 'DK_KEY_WRONG')) throw error;
      await (await openStore(life.root, { key: third })).close();
      return [];
    }),
  );
  await life.attempt('remove', async () => {
    for (const { id } of (await listStoreKeys(life.root)).slice(1)) await removeStoreKey(life.root, CRASH_KEY, id);
    return true;
  });
  await life.use((store) => life.commitTo(store, 4));
  await life.attempt('rotate', () => rotateStoreKey(life.root, CRASH_KEY, { dropOthers: true }).then(() => true));
  await life.use((store) => life.commitTo(store, 6));
}

/** The master key changes twice, the second time without the key beside it, with a prune between and a repair after. */
async function rotate(life: Life): Promise<void> {
  const beside = { keyBytes: noise(32, 1) };
  await life.attempt('add', () => addStoreKey(life.root, CRASH_KEY, beside).then(() => true));
  await life.attempt('rotate', () => rotateStoreKey(life.root, CRASH_KEY, { others: [beside] }).then(() => true));
  await life.use(async (store) => {
    await life.commitTo(store, 4);
    await life.prune(store, 2, 1);
  });
  await life.attempt('rotate', () => rotateStoreKey(life.root, CRASH_KEY, { dropOthers: true }).then(() => true));
  await life.use(async (store) => {
    await life.does('repair', store, () => store.rebuildIndex());
    await life.commitTo(store, 5);
  });
}

const committed =
  (target: number, filesOf = smallFiles) =>
  (life: Life) =>
    life.use((store) => life.commitTo(store, target, filesOf));

export const LIVES: readonly FaultLife[] = [
  { name: 'prune', run: pruneAndRepair },
  { name: 'prune-last', before: committed(5, changedFile), run: pruneLast },
  {
    name: 'prune-condensed',
    only: 'plain',
    before: (life) =>
      life.use(async (store) => {
        await life.commitTo(store, 40, text);
        await condense(life, store);
        await life.commitTo(store, 41, text);
      }),
    run: pruneCondensed,
  },
  { name: 'condense', only: 'plain', run: condenseTwice },
  { name: 'retag', before: committed(3), run: retag },
  { name: 'similar', run: similar },
  {
    name: 'repair-damaged',
    damaged: true,
    before: async (life) => {
      await committed(3)(life);
      spoilNewest(life.root, life.encrypted);
    },
    run: repairDamaged,
  },
  {
    name: 'lost-metadata',
    before: async (life) => {
      await committed(3)(life);
      rmSync(path.join(life.root, 'meta'), { recursive: true });
    },
    run: goOn,
  },
  { name: 'capture-session', run: captureSession },
  {
    name: 'migration',
    only: 'plain',
    migrates: true,
    before: async ({ base }) => {
      const workload = WORKLOADS.find(({ name }) => name === 'migration');
      if (workload) await liveWorkload(workload, 'before', base, () => {});
    },
    run: migrate,
  },
  { name: 'recover', recovers: true, before: beforeRecover, run: recoverInto },
  { name: 'rotate', only: 'encrypted', before: committed(3), run: rotate },
  { name: 'keys', only: 'encrypted', before: committed(3), run: keys },
];
