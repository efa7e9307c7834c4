/**
 * A life on a disk that fails somewhere: opens, commits, prunes, repairs, tries again what failed. Prints what came of it
 * as JSON.
 * Arguments: directory, `encrypted` for an encrypted store, `condense` for a life in which packs are condensed instead.
 */
import * as path from 'node:path';
import { isDiffKeeperError } from '../../src/core/core.js';
import { openStore, type Store } from '../../src/store/store.js';
import { STORE_NAME } from './check-state.js';
import type { LifeReport } from './fault-run.js';
import { noise } from './noise.js';
import { storeOptions } from './store-way.js';
import { versionOf } from './workload-content.js';
import { putFile } from './workloads.js';

const COMMITS = 5;
const ATTEMPTS = 4;
/** Checkpoints that the prune keeps. */
const KEPT = 2;
/** Versions of a text that are worth being condensed. */
const TEXTS = 10;
const condensing = process.argv[4] === 'condense';
const acknowledged: [number, string][] = [];
let released = 0;
const errors: string[] = [];

function note(error: unknown): void {
  errors.push(isDiffKeeperError(error) ? error.code : `not ours: ${error instanceof Error ? error.stack : error}`);
}

async function attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
  for (let count = 0; count < ATTEMPTS; count += 1) {
    try {
      return await work();
    } catch (error) {
      note(error);
    }
  }
  return undefined;
}

/** What a commit holds depends on its number alone, so that its root is known. */
async function commitNext(store: Store, target: number): Promise<void> {
  if (store.needsReopen) await store.reopen();
  const sequence = (store.newest?.sequence ?? 0) + 1;
  // A commit that failed may have been rolled forward.
  if (sequence > target) return;
  const transaction = store.begin();
  try {
    if (condensing) await putFile(store, transaction, 'text', versionOf(sequence));
    else {
      await putFile(store, transaction, `f${sequence}`, noise(sequence * 9000, sequence));
      await putFile(store, transaction, 'same', noise(300, sequence));
    }
    const checkpoint = await transaction.commit();
    if (checkpoint) acknowledged.push([checkpoint.sequence, checkpoint.root.toString('hex')]);
  } finally {
    await transaction.abort();
  }
}

/** Drops what may go, and writes all packs anew. */
async function prune(store: Store): Promise<void> {
  if (store.needsReopen) await store.reopen();
  // From now on these may be gone, whatever the prune says.
  released = Math.max(released, (store.newest?.sequence ?? 0) - KEPT);
  await store.prune({ keepLast: KEPT }, { compactBelow: 1 });
}

async function repair(store: Store): Promise<void> {
  if (store.needsReopen) await store.reopen();
  await store.rebuildIndex();
}

async function commitTo(store: Store, target: number): Promise<void> {
  while ((store.newest?.sequence ?? 0) < target) {
    if ((await attempt(() => commitNext(store, target).then(() => true))) === undefined) break;
  }
}

/** Writes closed packs anew, densely: nothing may go. */
async function condense(store: Store): Promise<void> {
  if (store.needsReopen) await store.reopen();
  const { packs, damaged } = await store.condense();
  // One that could not be read is left as it is.
  if (packs + damaged === 0 && errors.length === 0) throw new Error('nothing was condensed');
}

/** Two lives of commits with a prune between them, and a repair. */
async function live(store: Store, life: number): Promise<void> {
  if (life === 1) await attempt(() => repair(store));
  await commitTo(store, life === 0 ? 3 : COMMITS);
  if (life === 0) await attempt(() => prune(store));
}

/** Two lives of commits, each with packs condensed in the middle. */
async function liveDensely(store: Store, life: number): Promise<void> {
  const first = life * (TEXTS + 1);
  await commitTo(store, first + TEXTS);
  await attempt(() => condense(store));
  await commitTo(store, first + TEXTS + 1);
}

const root = path.join(process.argv[2] as string, STORE_NAME);
const way = storeOptions(process.argv[3] === 'encrypted');
for (let life = 0; life < 2; life += 1) {
  const store = await attempt(() => openStore(root, { create: true, ...way }));
  if (!store) break;
  await (condensing ? liveDensely : live)(store, life);
  await store.close().catch(note);
}
process.stdout.write(JSON.stringify({ acknowledged, released, errors } satisfies LifeReport));
