/** Two stores in a temporary directory, and what must be equal between them. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import { pushOver, StoreHost, type SyncOptions, type SyncReport } from '../../src/replicate/replicate.js';
import { openStore, type Store, type StoreOptions } from '../../src/store/store.js';
import { contentOf } from '../store/store-fixture.js';
import { type LinkCount, type LinkRules, memoryPair } from './memory-session.js';

export class ReplicaFixture {
  base = '';
  readonly #opened = new Set<Store>();

  constructor() {
    beforeEach(async () => {
      this.base = await mkdtemp(path.join(tmpdir(), 'dk-replica-'));
    });
    afterEach(async () => {
      for (const store of this.#opened) await store.close();
      this.#opened.clear();
      await rm(this.base, { recursive: true, force: true });
    });
  }

  async open(name: string, options: StoreOptions = {}): Promise<Store> {
    const store = await openStore(path.join(this.base, name), { create: true, ...options });
    this.#opened.add(store);
    return store;
  }

  async close(store: Store): Promise<void> {
    await store.close();
    this.#opened.delete(store);
  }

  async reopen(store: Store): Promise<Store> {
    await this.close(store);
    return this.open(path.basename(store.path));
  }
}

/** One push over a pair of its own. */
export async function push(
  source: Store,
  replica: Store,
  rules: LinkRules & { readonly options?: SyncOptions } = {},
): Promise<{ report: SyncReport; count: LinkCount }> {
  const { client, server, count } = memoryPair(rules);
  const host = new StoreHost(replica);
  host.attach(server);
  try {
    return { report: await pushOver(source, client, rules.options), count };
  } finally {
    await client.close();
    await host.idle();
  }
}

/** Every checkpoint of the replica is one of the source, with the same tree and the same bytes. */
export async function expectFollows(source: Store, replica: Store, exactly = true): Promise<void> {
  const known = new Map<number, { timeMs: number; root: string; tag: string; entries: number; treeBytes: number }>();
  for await (const { sequence, timeMs, root, tag, entries, treeBytes } of source.checkpoints()) {
    known.set(sequence, { timeMs, root: root.toString('hex'), tag, entries, treeBytes });
  }
  const sequences: number[] = [];
  for await (const { sequence, timeMs, root, tag, entries, treeBytes } of replica.checkpoints()) {
    sequences.push(sequence);
    const expected = known.get(sequence);
    if (expected) expect({ timeMs, root: root.toString('hex'), tag, entries, treeBytes }).toEqual(expected);
  }
  if (exactly) expect(sequences).toEqual([...known.keys()]);
  expect(replica.newest?.sequence).toBe(source.newest?.sequence);
  const report = await replica.verify();
  expect(report.damage).toEqual([]);
  await expectSameTree(source, replica);
}

/** Entry by entry, byte by byte, at the newest checkpoint. */
export async function expectSameTree(source: Store, replica: Store): Promise<void> {
  const there = await namesOf(source);
  expect(await namesOf(replica)).toEqual(there);
  for (const name of there) {
    const [one, other] = [await contentOf(source, name), await contentOf(replica, name)];
    expect(one !== null && other?.equals(one), name).toBe(true);
  }
}

async function namesOf(store: Store): Promise<string[]> {
  const names: string[] = [];
  for await (const batch of store.entries()) for (const { path: name } of batch) names.push(name);
  return names.sort();
}
