/** Opens a crash state as anybody would, and says what is wrong with it. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { capture } from '../../src/capture/capture.js';
import type { Engine } from '../../src/engine/engine.js';
import { removedVersion, VERSION_TYPE, type Version } from '../../src/format/format.js';
import { openStoreOrImport } from '../../src/migrate/migrate.js';
import { computeTreeRoot, openStore, type Store } from '../../src/store/store.js';
import { changingFile } from './noise.js';
import { storeOptions } from './store-way.js';
import type { Mark, Trace } from './trace.js';

/** Name of the store below the directory that is watched. */
export const STORE_NAME = 'keep';

/** What the store had said up to a moment. */
export interface Promised {
  readonly opened: boolean;
  /** Newest acknowledged checkpoint, 0 for none. */
  readonly newest: number;
  readonly required: ReadonlySet<number>;
}

export function promisedAt(trace: Trace, point: number): Promised {
  let opened = false;
  let newest = 0;
  const required = new Set<number>();
  const take = (mark: Mark) => {
    if (mark.type === 'opened') opened = true;
    else if (mark.type === 'released') for (const sequence of mark.sequences) required.delete(sequence);
    else if (mark.type === 'acknowledged') {
      newest = Math.max(newest, mark.sequence);
      required.add(mark.sequence);
    }
  };
  for (const mark of trace.promised) take(mark);
  for (const op of trace.ops.slice(0, point)) if (op.kind === 'mark') take(op.mark);
  return { opened, newest, required };
}

/** Roots of all checkpoints that the workload ever made: whatever comes back must be one of them. */
export type Roots = ReadonlyMap<number, ReadonlySet<string>>;

export function knownRoots(trace: Trace): Roots {
  const known = new Map<number, Set<string>>();
  const add = (sequence: number, root: string) => known.set(sequence, (known.get(sequence) ?? new Set()).add(root));
  for (const [sequence, root] of trace.known) add(sequence, root);
  const marks = [...trace.promised, ...trace.ops.flatMap((op) => (op.kind === 'mark' ? [op.mark] : []))];
  for (const mark of marks) if (mark.type === 'acknowledged') add(mark.sequence, mark.root);
  return known;
}

export function writeTree(directory: string, tree: ReadonlyMap<string, Buffer | null>): void {
  mkdirSync(directory, { recursive: true });
  for (const [name, bytes] of tree) {
    if (bytes) writeFileSync(path.join(directory, name), bytes);
    else mkdirSync(path.join(directory, name), { mode: 0o700 });
  }
}

export interface CheckOptions {
  readonly engine: Engine;
  readonly promised: Promised;
  readonly roots: Roots;
  /** Read back every checkpoint, verify, and open once more after the new capture. */
  readonly thorough: boolean;
  readonly recapture?: Trace['recapture'];
  readonly migrated?: Trace['migrated'];
  readonly encrypted?: Trace['encrypted'];
  readonly damaged?: Trace['damaged'];
}

/** Newest checkpoint that came back. Throws what is wrong. */
export async function checkState(base: string, options: CheckOptions): Promise<number> {
  const { engine, promised, thorough } = options;
  const root = path.join(base, STORE_NAME);
  const way = { engine, ...storeOptions(options.encrypted === true) };
  const open = (create: boolean) =>
    options.migrated ? openStoreOrImport(root, way) : openStore(root, { ...way, create });
  let store = await open(!promised.opened);
  let newest: number;
  let next: number;
  try {
    newest = await expectHistory(store, options);
    next = await captureAnew(store, newest, options);
  } finally {
    await store.close();
  }
  if (!thorough) return newest;
  store = await open(false);
  try {
    equal(store.newest?.sequence, next, 'newest checkpoint after a new capture and another opening');
    await expectRoot(store, next, store.newest?.root.toString('hex') ?? '');
    await expectNoDamage(store, options);
  } finally {
    await store.close();
  }
  return newest;
}

function equal(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`);
}

async function expectHistory(store: Store, options: CheckOptions): Promise<number> {
  const { promised, roots, thorough, migrated } = options;
  const newest = store.newest?.sequence ?? 0;
  // A migration that goes on has its content in other checkpoints: the last one counts.
  if (migrated) equal(store.newest?.root.toString('hex'), migrated, 'root after the migration');
  if (newest < promised.newest) throw new Error(`checkpoint ${promised.newest} was acknowledged, ${newest} came back`);
  const listed = new Set<number>();
  for await (const checkpoint of store.checkpoints()) {
    listed.add(checkpoint.sequence);
    const root = checkpoint.root.toString('hex');
    if (!migrated && !roots.get(checkpoint.sequence)?.has(root)) {
      throw new Error(`checkpoint ${checkpoint.sequence} has root ${root}, which nobody made`);
    }
    if (thorough) await expectRoot(store, checkpoint.sequence, root);
  }
  const lost = [...promised.required].filter((sequence) => !listed.has(sequence));
  if (lost.length > 0) throw new Error(`checkpoints ${lost.join(', ')} were acknowledged and are not listed`);
  if (newest > 0 && !thorough) await expectRoot(store, newest, store.newest?.root.toString('hex') ?? '');
  if (!thorough) return newest;
  await expectNoDamage(store, options);
  return newest;
}

/** Records that were damaged before stay so; versions that nobody could read would be named with them. */
async function expectNoDamage(store: Store, options: CheckOptions): Promise<void> {
  const { damage } = await store.verify();
  const isKnown = (kind: string): boolean => options.damaged === true && (kind === 'record' || kind === 'checkpoint');
  const [first] = damage.filter(({ kind, affected }) => !isKnown(kind) || affected.length > 0);
  if (first) throw new Error(`damage: ${first.kind} ${first.where}: ${first.message}`);
}

/** The tree of a checkpoint from its entries, and the bytes of each file. */
async function expectRoot(store: Store, at: number, root: string): Promise<void> {
  const { engine, hashAlgo } = store;
  const computed = await computeTreeRoot(engine, hashAlgo, store.entries({ at }));
  equal(computed.toString('hex'), root, `tree of checkpoint ${at}`);
  for await (const batch of store.entries({ at })) {
    for (const version of batch) {
      if (version.type !== VERSION_TYPE.file) continue;
      const bytes = await store.reader(version).read(0, version.size);
      if (!engine.digest(hashAlgo, bytes).equals(version.digest as Buffer)) {
        throw new Error(`bytes of ${version.path} at checkpoint ${at} are wrong`);
      }
    }
  }
}

async function captureAnew(store: Store, newest: number, { recapture }: CheckOptions): Promise<number> {
  if (recapture) {
    await capture(store, recapture.directory);
    equal(store.newest?.root.toString('hex'), recapture.root, 'root of a new capture of the state directory');
    return store.newest?.sequence ?? 0;
  }
  const transaction = store.begin();
  // The crash may have left the beginning of this very content behind: it must not be taken for stored.
  const files = { after: Buffer.from(`after the crash at ${newest}\n`), again: changingFile(newest + 1) };
  for (const [name, bytes] of Object.entries(files)) {
    const [digest] = await transaction.storeBlobs([{ bytes, kind: 'blob' }]);
    const content = store.engine.digest(store.hashAlgo, bytes);
    const extents = [{ digest: digest as Buffer, offset: 0, length: bytes.length }];
    const recipe = await transaction.storeRecipe({ extents, size: bytes.length, digest: content });
    const version: Version = { ...removedVersion(name, 0), type: VERSION_TYPE.file, mode: 0o600 };
    transaction.put({ ...version, size: bytes.length, digest: content, recipe });
  }
  const checkpoint = await transaction.commit();
  equal(checkpoint?.sequence, newest + 1, 'sequence of a new capture');
  for (const [name, bytes] of Object.entries(files)) {
    const [head] = await store.heads([name]);
    const read = head ? await store.reader(head).read(0, head.size) : Buffer.alloc(0);
    if (!read.equals(bytes)) throw new Error(`${name} of the new capture does not read back`);
  }
  return newest + 1;
}

/** Checks one state in a directory of its own, which is gone afterwards. */
export async function checkTree(
  place: string,
  tree: ReadonlyMap<string, Buffer | null>,
  options: CheckOptions,
): Promise<number> {
  writeTree(place, tree);
  try {
    return await checkState(place, options);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
