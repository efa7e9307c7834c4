/** What a store goes through on a failing disk, and what must be true of it afterwards. */
import { expect } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { openStore, type Store, type StoreOptions } from '../../src/store/store.js';
import { contentOf, noise, putFile } from './store-fixture.js';

type Files = Record<string, Buffer | null>;
/** What each commit of the life does, in order. */
export const COMMITS: readonly Files[] = [
  { a: noise(3000, 1), b: Buffer.from('b1') },
  { a: noise(3000, 2), b: null, c: noise(70_000, 3) },
  { d: noise(500, 4), a: Buffer.from('short') },
];

function stateAfter(commits: number): Map<string, Buffer> {
  const state = new Map<string, Buffer>();
  for (const files of COMMITS.slice(0, commits)) {
    for (const [name, bytes] of Object.entries(files)) {
      if (bytes) state.set(name, bytes);
      else state.delete(name);
    }
  }
  return state;
}

/** How many commits the store holds; everything about them must be right. */
export async function expectSound(root: string, options: StoreOptions = {}): Promise<number> {
  const store = await openStore(root, { create: true, ...options });
  try {
    const sequence = store.newest?.sequence ?? 0;
    const state = stateAfter(sequence);
    const names: string[] = [];
    for await (const batch of store.entries()) names.push(...batch.map((version) => version.path));
    expect(names.sort()).toEqual([...state.keys()].sort());
    for (const [name, bytes] of state) expect((await contentOf(store, name))?.equals(bytes)).toBe(true);
    expect((await store.verify()).damage).toEqual([]);
    return sequence;
  } finally {
    await store.close();
  }
}

export interface Outcome {
  /** Commits that were acknowledged. */
  readonly acknowledged: number;
  readonly errors: unknown[];
}

async function commitOrAbort(store: Store, files: Files): Promise<void> {
  const transaction = store.begin();
  try {
    for (const [name, bytes] of Object.entries(files)) {
      if (bytes) await putFile(store, transaction, name, bytes);
      else transaction.remove(name);
    }
    await transaction.commit();
  } finally {
    // After a commit, good or bad, this does nothing.
    await transaction.abort();
  }
}

/** A life on the failing disk: opens, commits, tries again what failed, rebuilds the metadata, closes. Not a step may hang or throw untyped. */
export async function live(root: string, options: StoreOptions = {}): Promise<Outcome> {
  const errors: unknown[] = [];
  let acknowledged = 0;
  let store: Store | undefined;
  for (let attempt = 0; attempt < 3 && !store; attempt += 1) {
    store = await openStore(root, { create: true, ...options }).catch((error: unknown) => {
      errors.push(error);
      return undefined;
    });
  }
  if (!store) return { acknowledged, errors };
  for (let attempt = 0; attempt < COMMITS.length * 2; attempt += 1) {
    const next = store.newest?.sequence ?? 0;
    const files = COMMITS[next];
    if (!files) break;
    try {
      await commitOrAbort(store, files);
      acknowledged = store.newest?.sequence ?? 0;
      expect(acknowledged).toBe(next + 1);
    } catch (error) {
      errors.push(error);
      // A commit that failed must leave a store that can go on by itself, and one that `reopen` brings back.
      if (attempt % 2 === 1) await store.reopen().catch((again: unknown) => errors.push(again));
    }
  }
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      if (store.needsReopen) await store.reopen();
      expect((await store.rebuildIndex()).damage).toEqual([]);
      break;
    } catch (error) {
      errors.push(error);
    }
  }
  await store.close().catch((error: unknown) => errors.push(error));
  return { acknowledged, errors };
}

export function expectTyped(errors: readonly unknown[], code: string): void {
  const allowed = code === 'ENOSPC' ? ['DK_DISK_FULL', 'DK_IO'] : ['DK_IO'];
  for (const error of errors) {
    if (!isDiffKeeperError(error)) throw error;
    expect(allowed).toContain(error.code);
  }
  const first = errors[0];
  if (code === 'ENOSPC' && first !== undefined) expect(isDiffKeeperError(first, 'DK_DISK_FULL')).toBe(true);
}
