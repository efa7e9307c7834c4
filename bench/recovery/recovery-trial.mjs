/** Trials of the recovery figures, each in a process of its own. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../lib/tools.mjs';
import { answerTrial } from '../lib/trial-process.mjs';
import { RECOVERY_CASES } from './recovery-cases.mjs';

const library = (/** @type {string} */ name) => import(pathToFileURL(join(ROOT, 'dist', 'esm', name)).href);
const LOOKUPS = 2000;

/** Makes the state and its store. @param {{ name: string, state: string, store: string }} job */
async function make({ name, state, store: place }) {
  const { openStore, capture } = await library('index.js');
  const {
    versions,
    make: fill,
    change,
  } = /** @type {import('./recovery-cases.mjs').RecoveryCase} */ (RECOVERY_CASES[name]);
  mkdirSync(state);
  fill(state);
  const store = await openStore(place, { create: true });
  for (let version = 1; version <= versions; version += 1) {
    if (version > 1) change?.(state, version);
    const { skipped } = await capture(store, state);
    if (skipped.length > 0) throw new Error(`left out: ${skipped[0].path}`);
  }
  const { depths, treeBytes, entries } = await store.stats();
  await store.close();
  return { depths, treeBytes, entries };
}

/** A recover by the library in a fresh process. @param {{ store: string, target: string }} job */
async function recover({ store: place, target }) {
  const loading = performance.now();
  const { openStore, recover: bringBack } = await library('index.js');
  const opening = performance.now();
  const store = await openStore(place);
  const started = performance.now();
  const { rootVerified, damaged } = await bringBack(store, target);
  const ended = performance.now();
  await store.close();
  if (rootVerified !== true || damaged.length > 0) throw new Error('the root was not verified');
  return { loadMs: opening - loading, openMs: started - opening, recoverMs: ended - started };
}

/** What the tree root and the lookup of a blob take, in a fresh process. @param {{ store: string }} job */
async function parts({ store: place }) {
  const { openStore } = await library('index.js');
  const { computeTreeRoot } = await library('store/store.js');
  const store = await openStore(place);
  const batches = [];
  for await (const batch of store.entries()) batches.push(batch);
  const start = performance.now();
  const root = await computeTreeRoot(store.engine, store.hashAlgo, batches);
  const rootMs = performance.now() - start;
  if (!root.equals(store.newest.root)) throw new Error('another root');
  const digests = [];
  for (const version of batches.flat()) {
    if (version.size === 0 || version.recipe.kind === 'empty') continue;
    for (const { digest } of await store.reader(version).extents(0, version.size)) if (digest) digests.push(digest);
  }
  const looking = performance.now();
  for (let count = 0; count < LOOKUPS; count += 1) await store.blobInfos([digests[(count * 7919) % digests.length]]);
  const lookupMs = (performance.now() - looking) / LOOKUPS;
  const together = performance.now();
  await store.blobInfos(digests);
  const batchMs = (performance.now() - together) / digests.length;
  await store.close();
  return { rootMs, lookupMs, batchMs, blobs: digests.length };
}

await answerTrial({ make, recover, parts });
