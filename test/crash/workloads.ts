/**
 * Lives of a store that are recorded. They run with small bounds (see `scripts/crash-states.mjs`): packs of 48 KiB,
 * metadata batches of 64 changes, LevelDB tables of 64 KiB, so that a short life crosses all of them.
 */
import { appendFileSync, mkdirSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { capture as captureOnce, openCaptureSession } from '../../src/capture/capture.js';
import { removedVersion, VERSION_TYPE } from '../../src/format/format.js';
import { finalizeMigration, openStoreOrImport } from '../../src/migrate/migrate.js';
import {
  addStoreKey,
  changeStoreKey,
  listStoreKeys,
  openStore,
  removeStoreKey,
  rotateStoreKey,
  type Store,
  type Transaction,
} from '../../src/store/store.js';
import { STORE_NAME } from './check-state.js';
import { changingFile, noise } from './noise.js';
import { spoilNewest } from './spoil-newest.js';
import { CRASH_KEY, encryptedName, storeOptions } from './store-way.js';
import type { Mark } from './trace.js';
import { alike, makeMarkerOlder, putAlike, versionOf } from './workload-content.js';

export type Say = (mark: Mark) => void;

export interface Workload {
  readonly name: string;
  /** Share of all states, relative to the others. */
  readonly weight: number;
  /** What stands when the recording begins; the marks are promised from the first moment. */
  readonly before?: (base: string, say: Say) => Promise<void>;
  readonly run: (base: string, say: Say) => Promise<void>;
  /** A directory beside the base that is captured, which every state must be able to capture again. */
  readonly stateDirectory?: boolean;
  /** A store of schema 1 stands before; every state must open with its content in schema 2. */
  readonly migrates?: boolean;
  readonly encrypted?: boolean;
  /** An encrypted store cannot do it. */
  readonly plainOnly?: boolean;
  /** Records in its packs are damaged, of which the metadata has copies. */
  readonly damaged?: boolean;
  /** Begins from crash states of this workload's trace instead of `before`. */
  readonly after?: { readonly workload: string; readonly cases: number };
}

export async function putFile(store: Store, transaction: Transaction, name: string, bytes: Buffer): Promise<void> {
  const extents = [];
  for (let at = 0; at < bytes.length; at += 8192) {
    const piece = bytes.subarray(at, at + 8192);
    const [digest] = await transaction.storeBlobs([{ bytes: piece, kind: 'blob' }]);
    extents.push({ digest: digest as Buffer, offset: 0, length: piece.length });
  }
  const digest = store.engine.digest(store.hashAlgo, bytes);
  const recipe = await transaction.storeRecipe({ extents, size: bytes.length, digest });
  const version = { ...removedVersion(name, 0), type: VERSION_TYPE.file, mode: 0o644 };
  transaction.put({ ...version, size: bytes.length, digest, recipe });
}

async function commit(store: Store, say: Say, files: Record<string, Buffer | null>): Promise<void> {
  const transaction = store.begin();
  for (const [name, bytes] of Object.entries(files)) {
    if (bytes) await putFile(store, transaction, name, bytes);
    else transaction.remove(name);
  }
  acknowledge(await transaction.commit(), say);
}

function acknowledge(checkpoint: { readonly sequence: number; readonly root: Buffer } | null, say: Say): void {
  if (!checkpoint) return;
  say({ type: 'acknowledged', sequence: checkpoint.sequence, root: checkpoint.root.toString('hex') });
}

/** One process lives one workload: what it opens is encrypted, or is not. */
let encrypted = false;

/** Does a part of the workload in this process. */
export async function live(workload: Workload, part: 'before' | 'run', base: string, say: Say): Promise<void> {
  encrypted = workload.encrypted === true;
  await workload[part]?.(base, say);
}

async function open(base: string, say: Say): Promise<Store> {
  const store = await openStore(path.join(base, STORE_NAME), { create: true, ...storeOptions(encrypted) });
  say({ type: 'opened' });
  return store;
}

/** Some commits of small files, one abandoned, with sequence numbers as seeds. */
async function smallCommits(store: Store, say: Say, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const seed = (store.newest?.sequence ?? 0) + 1;
    const gone = seed % 4 === 0 ? { [`f${seed - 2}`]: null } : {};
    await commit(store, say, { [`f${seed}`]: changingFile(seed), same: noise(300, seed), ...gone });
    if (index !== 1) continue;
    const abandoned = store.begin();
    await putFile(store, abandoned, 'never', noise(5000, seed + 1000));
    await abandoned.abort();
  }
}

async function capture(base: string, say: Say): Promise<void> {
  for (let life = 0; life < 3; life += 1) {
    const store = await open(base, say);
    await smallCommits(store, say, 4);
    await store.close();
  }
}

/** A state directory through a capture session: caches, a large file by windows, a freeze point. */
async function session(base: string, say: Say): Promise<void> {
  const state = `${base}.state`;
  mkdirSync(path.join(state, 'd'), { recursive: true });
  writeFileSync(path.join(state, 'large'), noise(320 << 10, 1));
  writeFileSync(path.join(state, 'd', 'one'), noise(3000, 2));
  const store = await open(base, say);
  const session = await openCaptureSession(store, state);
  const take = async (freeze?: () => Promise<{ rescan: readonly string[]; thaw(): Promise<number> }>) =>
    acknowledge((await session.capture(freeze ? { freeze } : {})).checkpoint, say);
  await take();
  writeFileSync(path.join(state, 'large'), Buffer.concat([noise(320 << 10, 1).subarray(0, 250_000), noise(90_000, 3)]));
  appendFileSync(path.join(state, 'd', 'one'), 'more');
  await take();
  renameSync(path.join(state, 'd', 'one'), path.join(state, 'two'));
  await take(async () => ({ rescan: ['large'], thaw: async () => 1 }));
  await session.close();
  await store.close();
  const again = await open(base, say);
  const second = await openCaptureSession(again, state);
  truncateSync(path.join(state, 'large'), 300_000);
  rmSync(path.join(state, 'two'));
  writeFileSync(path.join(state, 'three'), noise(9000, 4));
  acknowledge((await second.capture()).checkpoint, say);
  await second.close();
  await again.close();
}

/** Commits whose metadata takes several batches and several records of versions. */
async function largeCommits(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  for (let round = 1; round <= 3; round += 1) {
    const transaction = store.begin();
    for (let index = 0; index < 90; index += 1) {
      const directory = { ...removedVersion(`d${(index * round) % 120}`, 0), type: VERSION_TYPE.directory };
      transaction.put({ ...directory, mode: 0o700 + (round % 8) });
    }
    await putFile(store, transaction, 'd1/file', noise(4000, round));
    acknowledge(await transaction.commit({ frozen: true, tag: `round ${round}` }), say);
  }
  await store.close();
}

/** Commits that begin new packs, abandoned ones too. */
async function packs(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  for (let round = 1; round <= 4; round += 1) {
    await commit(store, say, { big: noise(60_000, round), [`s${round}`]: noise(100, round) });
    const abandoned = store.begin();
    await putFile(store, abandoned, 'never', noise(70_000, round + 50));
    await abandoned.abort();
    await commit(store, say, { after: noise(500, round) });
  }
  await store.close();
}

/** Enough metadata for LevelDB to switch logs and merge tables while commits go on, and at each opening. */
async function compaction(base: string, say: Say): Promise<void> {
  for (let life = 0; life < 4; life += 1) {
    const store = await open(base, say);
    for (let round = 0; round < 4; round += 1) {
      const transaction = store.begin();
      for (let index = 0; index < 150; index += 1) {
        const name = `${'long'.repeat(20)}${(life * 4 + round) * 60 + index}`;
        transaction.put({ ...removedVersion(name, 0), type: VERSION_TYPE.directory, mode: 0o700 + round });
      }
      acknowledge(await transaction.commit(), say);
    }
    await store.close();
  }
}

async function filled(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await smallCommits(store, say, 4);
  await commit(store, say, { big: noise(60_000, 77) });
  await smallCommits(store, say, 2);
  await store.close();
}

/** The packs have lost what the newest commit said; the metadata still has it. */
async function damaged(base: string, say: Say): Promise<void> {
  await filled(base, say);
  spoilNewest(path.join(base, STORE_NAME), encrypted);
}

/** The index is made anew from the packs, twice, with commits in between. */
async function repair(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await store.rebuildIndex();
  await smallCommits(store, say, 1);
  await store.rebuildIndex();
  await smallCommits(store, say, 1);
  await store.close();
}

/** All but the newest checkpoints go and packs are rewritten, with and without commits meanwhile, again and again. */
async function prune(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  for (let round = 0; round < 3; round += 1) {
    await smallCommits(store, say, 3);
    await commit(store, say, { big: noise(50_000, round + 200) });
    const newest = store.newest?.sequence ?? 0;
    const sequences = Array.from({ length: newest - 2 }, (_, index) => index + 1);
    say({ type: 'released', sequences });
    const pruned = store.prune({ keepLast: 3 }, { compactBelow: round === 1 ? 0.5 : 1 });
    if (round === 1) await smallCommits(store, say, 2);
    await pruned;
  }
  await smallCommits(store, say, 1);
  await store.close();
}

/** Shifted copies in commits that take several packs, of one call, of another, of an abandoned one, and of what a prune drops. */
async function similar(base: string, say: Say): Promise<void> {
  for (let life = 1; life <= 3; life += 1) {
    const store = await open(base, say);
    const transaction = store.begin();
    await putAlike(transaction, [...alike(life, 0, 'a'), ...alike(life, 5, `b${life}`)]);
    await putAlike(transaction, [...alike(life, 9, 'c'), ...alike(life - 1, 20, 'd')]);
    acknowledge(await transaction.commit(), say);
    const abandoned = store.begin();
    await putAlike(abandoned, [...alike(life + 50, 0, 'never'), ...alike(life, 30, 'no')]);
    await abandoned.abort();
    const last = store.begin();
    for (const [name] of alike(life, 0, 'a')) last.remove(name);
    await putAlike(last, alike(life + 50, 7, 'e'));
    acknowledge(await last.commit(), say);
    if ((await store.stats()).depths.length !== 2) throw new Error('nothing was coded against what it resembles');
    if (life === 2) {
      say({ type: 'released', sequences: [1, 2] });
      const pruned = store.prune({ keepLast: 2 }, { compactBelow: 1 });
      await commit(store, say, { meanwhile: noise(300, 1) });
      await pruned;
    }
    await store.close();
  }
}

function releaseAllBut(store: Store, say: Say, kept: number): void {
  const newest = store.newest?.sequence ?? 0;
  say({ type: 'released', sequences: Array.from({ length: newest - kept }, (_, index) => index + 1) });
}

/** The log is one pack, mostly dead: it is closed and goes, with and without commits before, meanwhile and after. */
async function pruneLast(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  for (let round = 0; round < 3; round += 1) {
    for (let index = 0; index < 3; index += 1) {
      await commit(store, say, { file: noise(6000, round * 10 + index + 300), [`f${round}`]: noise(200, index + 400) });
    }
    releaseAllBut(store, say, 1);
    const pruned = store.prune({ keepLast: 1 });
    if (round === 1) await smallCommits(store, say, 2);
    const { removedPacks, packsLeft } = await pruned;
    if (removedPacks === 0 || packsLeft > 0) throw new Error('no pack went');
    if (round === 0) continue;
    await smallCommits(store, say, 1);
  }
  await store.close();
  const again = await open(base, say);
  await smallCommits(again, say, 1);
  await again.close();
}

/** What is left of a dense pack becomes dense again, with commits meanwhile. */
async function pruneCondensed(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await store.condense();
  await textCommits(store, say, 3);
  for (const kept of [30, 8]) {
    releaseAllBut(store, say, kept);
    const pruned = store.prune({ keepLast: kept });
    if (kept === 8) await textCommits(store, say, 2);
    await pruned;
  }
  await textCommits(store, say, 1);
  await store.close();
}

async function textCommits(store: Store, say: Say, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const seed = (store.newest?.sequence ?? 0) + 1;
    await commit(store, say, { text: versionOf(seed), ...(seed % 5 === 0 && { [`f${seed % 3}`]: noise(400, seed) }) });
  }
}

/** A history that is worth being condensed. */
async function texts(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await textCommits(store, say, 70);
  await store.close();
}

/** A pack is written anew; what comes after it, meanwhile and later becomes so as well. */
async function condense(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await textCommits(store, say, 1);
  say({ type: 'watch' });
  const report = await store.condense();
  if (report.packs === 0) throw new Error('nothing was condensed');
  await textCommits(store, say, 1);
  await store.close();
}

/** The same with commits meanwhile and after, and once more. */
async function condenseAgain(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await store.condense();
  await textCommits(store, say, 12);
  const condensing = store.condense();
  await textCommits(store, say, 2);
  await condensing;
  await store.close();
  const again = await open(base, say);
  await textCommits(again, say, 1);
  await again.close();
}

/** Checkpoints get other tags: the history is written anew each time. */
async function retag(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await store.retag(2, 'second');
  await smallCommits(store, say, 2);
  const renamed = store.retag(1, 'first');
  await smallCommits(store, say, 1);
  await renamed;
  await store.retag(2, '');
  await smallCommits(store, say, 1);
  await store.close();
}

/** Opening after a crash during a prune has work to do; then one more commit, and a prune. */
async function pruneAgain(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await smallCommits(store, say, 2);
  const newest = store.newest?.sequence ?? 0;
  say({ type: 'released', sequences: Array.from({ length: newest - 2 }, (_, index) => index + 1) });
  await store.prune({ keepLast: 2 }, { compactBelow: 1 });
  await smallCommits(store, say, 1);
  await store.close();
}

/** Opening has work to do; then life goes on. */
async function goOn(base: string, say: Say): Promise<void> {
  const store = await open(base, say);
  await smallCommits(store, say, 2);
  await store.close();
  const again = await open(base, say);
  await smallCommits(again, say, 1);
  await again.close();
}

/** Keys come, are replaced and go; one stays, and opens the store at every moment. */
async function keys(base: string, say: Say): Promise<void> {
  const root = path.join(base, STORE_NAME);
  const [second, third] = [{ keyBytes: noise(32, 1) }, { keyBytes: noise(32, 2) }];
  const store = await open(base, say);
  await smallCommits(store, say, 1);
  await store.close();
  await addStoreKey(root, CRASH_KEY, second);
  await changeStoreKey(root, second, third);
  for (const { id } of (await listStoreKeys(root)).slice(1)) await removeStoreKey(root, CRASH_KEY, id);
  const again = await open(base, say);
  await smallCommits(again, say, 1);
  await again.close();
}

/** The master key is rotated, beside a second key that goes and comes, with commits and a prune in between. */
async function rotate(base: string, say: Say): Promise<void> {
  const root = path.join(base, STORE_NAME);
  for (let round = 0; round < 2; round += 1) {
    // A crash may have left the second key there.
    await rotateStoreKey(root, CRASH_KEY, { dropOthers: true });
    const store = await open(base, say);
    await smallCommits(store, say, 2);
    releaseAllBut(store, say, 3);
    await store.prune({ keepLast: 3 }, { compactBelow: 1 });
    await smallCommits(store, say, 1);
    await store.close();
    await addStoreKey(root, CRASH_KEY, { keyBytes: noise(32, 1) });
    await rotateStoreKey(root, CRASH_KEY, { dropOthers: true });
  }
}

/** A store of whole-file snapshots; nothing of it is promised by this process. */
async function snapshots(base: string): Promise<void> {
  const state = `${base}.before`;
  mkdirSync(path.join(state, 'd'), { recursive: true });
  for (let seed = 1; seed <= 6; seed += 1) writeFileSync(path.join(state, 'd', `f${seed}`), noise(seed * 3000, seed));
  writeFileSync(path.join(state, 'empty'), '');
  const store = await openStoreOrImport(path.join(base, STORE_NAME), { create: true, schema: 1 });
  await captureOnce(store, state);
  await store.close();
  rmSync(state, { recursive: true });
}

/** The first opening with schema 2, and the end of schema 1. */
async function migrate(base: string, say: Say): Promise<void> {
  const root = path.join(base, STORE_NAME);
  const store = await openStoreOrImport(root, {});
  say({ type: 'opened' });
  acknowledge(store.newest, say);
  await store.close();
  await finalizeMigration(root);
}

const IN_THE_CLEAR: readonly Workload[] = [
  { name: 'capture', weight: 5, run: capture },
  { name: 'capture-session', weight: 3, run: session, stateDirectory: true },
  { name: 'large-commits', weight: 3, run: largeCommits },
  { name: 'packs', weight: 4, run: packs },
  { name: 'leveldb-compaction', weight: 3, run: compaction },
  { name: 'recovery', weight: 4, run: goOn, after: { workload: 'capture', cases: 6 } },
  { name: 'recovery-packs', weight: 3, run: goOn, after: { workload: 'packs', cases: 6 } },
  { name: 'prune', weight: 6, run: prune },
  { name: 'similar', weight: 4, run: similar },
  { name: 'prune-last', weight: 4, run: pruneLast },
  { name: 'prune-condensed', weight: 4, before: texts, run: pruneCondensed, plainOnly: true },
  { name: 'retag', weight: 3, before: filled, run: retag },
  { name: 'condense', weight: 6, before: texts, run: condense, plainOnly: true },
  { name: 'condense-again', weight: 4, before: texts, run: condenseAgain, plainOnly: true },
  {
    name: 'recovery-condense',
    weight: 3,
    run: condenseAgain,
    plainOnly: true,
    after: { workload: 'condense', cases: 6 },
  },
  { name: 'recovery-similar', weight: 3, run: goOn, after: { workload: 'similar', cases: 6 } },
  { name: 'recovery-prune-last', weight: 3, run: pruneAgain, after: { workload: 'prune-last', cases: 6 } },
  { name: 'recovery-prune', weight: 4, run: pruneAgain, after: { workload: 'prune', cases: 6 } },
  { name: 'migration', weight: 4, before: snapshots, run: migrate, migrates: true },
  { name: 'repair', weight: 3, before: filled, run: repair },
  { name: 'repair-damaged', weight: 3, before: damaged, run: repair, damaged: true },
  {
    name: 'lost-metadata',
    weight: 3,
    before: async (base, say) => {
      await filled(base, say);
      rmSync(path.join(base, STORE_NAME, 'meta'), { recursive: true });
    },
    run: goOn,
  },
  {
    name: 'older-marker',
    weight: 2,
    before: async (base, say) => {
      await filled(base, say);
      makeMarkerOlder(base);
    },
    run: goOn,
  },
];

/** The same with an encrypted store; one of schema 1 is not encrypted, and stays so when it is migrated. */
const ENCRYPTED = IN_THE_CLEAR.filter(({ migrates, plainOnly }) => !migrates && !plainOnly).map(
  (workload): Workload => {
    const { name, after } = workload;
    const source = after && { ...after, workload: encryptedName(after.workload) };
    return { ...workload, name: encryptedName(name), encrypted: true, ...(source && { after: source }) };
  },
);

const ROTATE = encryptedName('rotate');

export const WORKLOADS: readonly Workload[] = [
  ...IN_THE_CLEAR,
  ...ENCRYPTED,
  { name: encryptedName('keys'), weight: 2, run: keys, encrypted: true },
  { name: ROTATE, weight: 5, before: filled, run: rotate, encrypted: true },
  { name: `${ROTATE}-recovery`, weight: 3, run: rotate, encrypted: true, after: { workload: ROTATE, cases: 6 } },
];
