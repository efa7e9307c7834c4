/** `docs/format.md` is precise enough: a reader written from it alone finds in the packs what the product stored. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import type { Digest } from '../../src/format/format.js';
import { openStore, type StoreOptions } from '../../src/store/store.js';
import { textOf, writeHistory } from '../store/condensed-store.js';
import { commitFiles, noise, putExtents } from '../store/store-fixture.js';
import {
  applyChanges,
  applyEdits,
  type Edit,
  type ModelCheckpoint,
  type ModelEntry,
  SHAPES,
} from '../store/store-model.js';
import { expectSecond } from './second-compare.js';
import { SecondStore } from './second-decoder.js';
import type { SecondKey } from './second-key.js';

let root = '';
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'dk-second-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Every shape, then changes of all of them again and again, so that chains grow to their cap and beyond. */
function lifeOfEverything(): Edit[][] {
  const all = SHAPES.map(
    (shape, name): Edit => ({ kind: 'put', name: name + 1, shape, seed: name * 31, attrs: name * 5 }),
  );
  const life: Edit[][] = [[{ kind: 'put', name: 0, shape: 'directory', seed: 0, attrs: 3 }, ...all]];
  for (let round = 1; round < 8; round += 1) {
    life.push(SHAPES.map((_, name): Edit => ({ kind: 'edit', name: name + 1, seed: round * 7919 + name * 13 })));
  }
  life.push([
    { kind: 'rename', name: 2, to: 9 },
    { kind: 'link', name: 3, to: 10 },
    { kind: 'copy', name: 4, to: 13 },
    { kind: 'remove', name: 5 },
  ]);
  return life;
}

const PASSPHRASE = { passphrase: 'wörtlich', cost: 12 };
const KEY = { keyBytes: Buffer.alloc(40, 'key') };

const kinds: [string, StoreOptions & { readonly key?: SecondKey }][] = [
  ['native engine', { engine: loadEngine() }],
  ['twin', { engine: loadTwin() }],
  ['SHA-256', { hashAlgo: 'sha256' }],
  ['cipher with a passphrase', { encrypt: true, key: PASSPHRASE }],
  ['cipher with a key file', { encrypt: true, key: KEY }],
];

describe.each(kinds)('a store of the %s', (_name, options) => {
  it('is read by the second reader: checkpoints, versions, contents, roots', async () => {
    const store = await openStore(root, { create: true, snapshotInterval: 3, ...options });
    const model: ModelCheckpoint[] = [];
    let tree: ReadonlyMap<string, ModelEntry> = new Map();
    for (const [index, edits] of lifeOfEverything().entries()) {
      const transaction = store.begin();
      const { changes } = await applyEdits(store, transaction, edits);
      const tag = index === 3 ? 'márk' : '';
      const checkpoint = await transaction.commit({ tag, frozen: index === 4, pauseMs: index === 4 ? 1.5 : 0 });
      tree = applyChanges(tree, changes);
      const { sequence, root: treeRoot } = checkpoint ?? { sequence: 0, root: Buffer.alloc(0) };
      model.push({ sequence, tag, root: treeRoot, changes, tree, pack: 1, end: 0 });
    }
    const depths = (await store.stats()).depths;
    expect(depths.length).toBe(4);
    await store.close();
    const second = await SecondStore.open(root, options.key);
    expectSecond(second, model);
    expect(second.checkpoints.map(({ frozen, pauseMs }) => [frozen, pauseMs])[4]).toEqual([true, 1.5]);
  });
});

describe('packs and regions', () => {
  it('several of them are read by the second reader', async () => {
    const store = await openStore(root, { create: true });
    const transaction = store.begin();
    const pieces: Digest[] = [];
    for (let index = 0; index < 70; index += 1) {
      const bytes = Buffer.from(noise(LIMITS.blobBytes, 5));
      bytes.writeUInt32LE(index * 7919, (index * 4099) % 1_000_000);
      for (let at = 0; at < bytes.length; at += 4096) bytes.writeUInt32LE((index * 40503 + at * 31) >>> 0, at);
      pieces.push(...(await transaction.storeBlobs([{ bytes, kind: 'blob' }])));
    }
    const extents = [
      ...pieces.map((digest) => ({ digest, offset: 0, length: LIMITS.blobBytes })),
      { digest: null, offset: 0, length: LIMITS.regionBytes + 77 },
      { digest: pieces[3] as Digest, offset: 100, length: 1000 },
    ];
    await putExtents(transaction, 'large', { extents, digest: Buffer.alloc(32, 1) });
    await transaction.commit();
    await commitFiles(store, { last: Buffer.from('last') });
    await store.close();
    expect(await readdir(path.join(root, 'packs'))).toEqual(['00000001.dkp', '00000002.dkp']);
    const second = await SecondStore.open(root);
    const large = second.state(2).get('large');
    expect(large?.recipe.regions.length).toBe(3);
    expect(large?.size).toBe(70 * LIMITS.blobBytes + LIMITS.regionBytes + 1077);
    const last = second.state(2).get('last');
    expect(last && second.content(last).toString()).toBe('last');
  });
});

describe('a condensed store', () => {
  it('is read by the second reader: every version of every file', async () => {
    const store = await openStore(root, { create: true });
    await writeHistory(store, 1, 70);
    expect((await store.condense()).packs).toBe(1);
    await writeHistory(store, 71, 75);
    await store.close();
    const second = await SecondStore.open(root);
    expect(second.checkpoints.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 75 }, (_, at) => at + 1));
    for (const { sequence } of second.checkpoints) {
      const state = second.state(sequence);
      const each = state.get('a/each');
      expect(each && second.content(each).equals(textOf(sequence, 'each')), `${sequence}`).toBe(true);
      expect(state.has('gone')).toBe(sequence >= 2 && sequence < 5);
    }
  });
});
