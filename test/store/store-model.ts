/** A store as it should be: plain maps, one per checkpoint. */
import { expect } from 'vitest';
import {
  type Digest,
  type Extent,
  type Recipe,
  removedVersion,
  VERSION_TYPE,
  type Version,
} from '../../src/format/format.js';
import { computeTreeRoot, type DamageReport, type Store, type Transaction } from '../../src/store/store.js';
import { noise } from './store-fixture.js';

export interface ModelEntry {
  readonly type: number;
  readonly mode: number;
  readonly uid: number;
  readonly mtimeNs: bigint;
  readonly linkId: bigint;
  readonly sparse: boolean;
  readonly xattrs: Buffer;
  /** File content or link text. */
  readonly content: Buffer;
  /** Checkpoint that wrote it. */
  readonly sequence: number;
}

export interface ModelCheckpoint {
  readonly sequence: number;
  readonly tag: string;
  readonly root: Buffer;
  /** Null is a removal. */
  readonly changes: ReadonlyMap<string, ModelEntry | null>;
  readonly tree: ReadonlyMap<string, ModelEntry>;
  /** Where its record ends: number and length of the last pack. */
  readonly pack: number;
  readonly end: number;
}

/** One thing a commit does. */
export type Edit =
  | {
      readonly kind: 'put';
      readonly name: number;
      readonly shape: Shape;
      readonly seed: number;
      readonly attrs: number;
    }
  | { readonly kind: 'edit'; readonly name: number; readonly seed: number }
  | { readonly kind: 'copy' | 'rename' | 'link'; readonly name: number; readonly to: number }
  | { readonly kind: 'remove'; readonly name: number };

export const SHAPES = ['empty', 'small', 'whole', 'inline', 'regions', 'sparse', 'symlink', 'directory'] as const;
export type Shape = (typeof SHAPES)[number];

/** Directories and files of two levels, names that are not UTF-8, names that sort oddly. */
export const NAMES: readonly string[] = [
  '',
  'a',
  'a b',
  'a/x',
  'a/y',
  'a-',
  'd',
  'd/\xff\xfe',
  'd/e',
  'd/e/f',
  'd/e/\x01',
  '\xe4',
  'z',
  'long'.repeat(60),
];

interface Content {
  readonly extents: readonly Extent[];
  readonly bytes: Buffer;
}

const ZEROS = (length: number): Extent => ({ digest: null, offset: 0, length });

async function storePieces(tx: Transaction, pieces: readonly (Buffer | number)[]): Promise<Content> {
  const buffers = pieces.filter((piece): piece is Buffer => typeof piece !== 'number');
  const digests = await tx.storeBlobs(buffers.map((bytes) => ({ bytes, kind: 'blob' })));
  let next = 0;
  const extents = pieces.map((piece): Extent => {
    if (typeof piece === 'number') return ZEROS(piece);
    next += 1;
    return { digest: digests[next - 1] as Digest, offset: 0, length: piece.length };
  });
  const bytes = Buffer.concat(pieces.map((piece) => (typeof piece === 'number' ? Buffer.alloc(piece) : piece)));
  return { extents, bytes };
}

function piecesOf(shape: Shape, seed: number): (Buffer | number)[] {
  const piece = (bytes: number, index = 0): Buffer => noise(bytes, (seed % 7) * 100 + index + 1);
  const text = Buffer.from(`text ${seed % 5} `.repeat(30 + (seed % 90)));
  switch (shape) {
    case 'small':
      return [text];
    case 'whole':
      return [piece(3000 + (seed % 9) * 4000)];
    case 'inline':
      return [piece(900), text, piece(700, 1)];
    case 'regions':
      return Array.from({ length: 10 + (seed % 8) }, (_, index) => piece(200 + ((seed + index) % 5) * 90, index));
    case 'sparse':
      return [4096 * (1 + (seed % 3)), piece(512), 8192];
    default:
      return [];
  }
}

/** Applies edits to a transaction and tells what they should do. */
export async function applyEdits(
  store: Store,
  tx: Transaction,
  edits: readonly Edit[],
): Promise<{ changes: Map<string, ModelEntry | null> }> {
  const sequence = (store.newest?.sequence ?? 0) + 1;
  const changes = new Map<string, ModelEntry | null>();
  const put = (version: Version, content: Buffer): void => {
    tx.put(version);
    const { type, mode, uid, mtimeNs, linkId, sparse, xattrs } = version;
    changes.set(version.path, { type, mode, uid, mtimeNs, linkId, sparse, xattrs, content, sequence });
  };
  const drop = (path: string): void => {
    tx.remove(path);
    changes.set(path, null);
  };
  for (const edit of edits) {
    const path = NAMES[edit.name % NAMES.length] as string;
    const [head] = await store.heads([path]);
    if (edit.kind === 'remove') drop(path);
    else if (edit.kind === 'put') await putShape(store, tx, { path, edit, put });
    else if (!head || head.type === VERSION_TYPE.directory) continue;
    else if (edit.kind === 'edit') {
      if (head.type === VERSION_TYPE.file && head.size > 0) await putEdited(store, tx, { head, seed: edit.seed, put });
    } else {
      const to = NAMES[edit.to % NAMES.length] as string;
      if (to === '' || to === path) continue;
      const content = head.type === VERSION_TYPE.symlink ? head.linkText : await store.reader(head).read(0, head.size);
      const linkId = edit.kind === 'link' && head.type === VERSION_TYPE.file ? 77n : 0n;
      put({ ...head, path: to, linkId }, content);
      if (edit.kind === 'link') put({ ...head, linkId }, content);
      if (edit.kind === 'rename') drop(path);
    }
  }
  return { changes };
}

async function putShape(
  store: Store,
  tx: Transaction,
  options: { path: string; edit: Extract<Edit, { kind: 'put' }>; put: (version: Version, content: Buffer) => void },
): Promise<void> {
  const { path, edit, put } = options;
  const shape = path === '' ? 'directory' : edit.shape;
  const { attrs } = edit;
  const base: Version = {
    ...removedVersion(path, 0),
    mode: [0o644, 0o600, 0o4755, 0][attrs % 4] as number,
    uid: attrs % 3 === 0 ? 0xffffffff : attrs,
    mtimeNs: BigInt(attrs) * 1_234_567_890_123n - 500_000_000_000_000n,
    xattrs:
      attrs % 5 === 0
        ? Buffer.concat([Buffer.of(6), Buffer.from('user.a'), Buffer.of(1, attrs % 256)])
        : Buffer.alloc(0),
  };
  if (shape === 'directory') {
    put({ ...base, type: VERSION_TYPE.directory }, Buffer.alloc(0));
    return;
  }
  if (shape === 'symlink') {
    const linkText = Buffer.from([0x2f, 0xff, edit.seed % 256 || 1]);
    const digest = store.engine.digest(store.hashAlgo, linkText);
    put({ ...base, type: VERSION_TYPE.symlink, size: linkText.length, linkText, digest }, linkText);
    return;
  }
  const { bytes, extents } = await storePieces(tx, piecesOf(shape, edit.seed));
  const digest = store.engine.digest(store.hashAlgo, bytes);
  const recipe = await tx.storeRecipe({ extents, size: bytes.length, digest });
  put({ ...base, type: VERSION_TYPE.file, sparse: shape === 'sparse', size: bytes.length, digest, recipe }, bytes);
}

/** Some bytes in the middle change; the new ones are coded against the old. */
async function putEdited(
  store: Store,
  tx: Transaction,
  options: { head: Version; seed: number; put: (version: Version, content: Buffer) => void },
): Promise<void> {
  const { head, seed, put } = options;
  const reader = store.reader(head);
  const bytes = await reader.read(0, head.size);
  const from = seed % head.size;
  const length = Math.min(head.size - from, 1 + (seed % 3000));
  const before = Buffer.from(bytes.subarray(from, from + length));
  bytes.fill(seed % 251, from, from + Math.ceil(length / (1 + (seed % 3))));
  const source = await reader.extents(from, length);
  const stored = source.every((extent) => extent.digest !== null);
  const context = stored ? { bytes: before, extents: source, aligned: seed % 2 === 0 } : undefined;
  const piece = bytes.subarray(from, from + length);
  const [blob] = await tx.storeBlobs([{ bytes: piece, kind: 'blob', ...(context && { context }) }]);
  const extents = [
    ...(await reader.extents(0, from)),
    { digest: blob as Digest, offset: 0, length },
    ...(await reader.extents(from + length, head.size - from - length)),
  ];
  const digest = store.engine.digest(store.hashAlgo, bytes);
  const recipe: Recipe = await tx.storeRecipe({ extents, size: head.size, digest, source: head });
  put({ ...head, digest, recipe }, bytes);
}

export function applyChanges(
  tree: ReadonlyMap<string, ModelEntry>,
  changes: ReadonlyMap<string, ModelEntry | null>,
): Map<string, ModelEntry> {
  const next = new Map(tree);
  for (const [path, entry] of changes) {
    if (entry) next.set(path, entry);
    else next.delete(path);
  }
  return next;
}

/**
 * The model after a prune: of the checkpoints up to the last kept one only these are left, and each takes over what the
 * dropped ones before it changed. Newer ones stay as they are.
 */
export function prunedModel(model: readonly ModelCheckpoint[], kept: readonly number[]): ModelCheckpoint[] {
  const upTo = kept[kept.length - 1] ?? 0;
  const owner = (sequence: number): number => kept.find((one) => one >= sequence) ?? sequence;
  const renamed = (entry: ModelEntry): ModelEntry => ({ ...entry, sequence: owner(entry.sequence) });
  const seen = new Set<string>();
  const pruned: ModelCheckpoint[] = [];
  for (const checkpoint of model) {
    const tree = new Map([...checkpoint.tree].map(([path, entry]) => [path, renamed(entry)]));
    if (checkpoint.sequence > upTo) pruned.push({ ...checkpoint, tree });
    if (!kept.includes(checkpoint.sequence)) continue;
    const changes = new Map<string, ModelEntry | null>();
    for (const one of model) {
      if (owner(one.sequence) !== checkpoint.sequence) continue;
      for (const [path, entry] of one.changes) changes.set(path, entry && renamed(entry));
    }
    for (const [path, entry] of changes) {
      // Nothing older is left that the removal could hide.
      if (entry === null && !seen.has(path)) changes.delete(path);
      seen.add(path);
    }
    pruned.push({ ...checkpoint, changes, tree });
  }
  return pruned;
}

/** Whether a version says and holds what the entry does; throws what reading throws. */
export async function matches(store: Store, version: Version, entry: ModelEntry): Promise<boolean> {
  const facts =
    version.type === entry.type &&
    version.mode === entry.mode &&
    version.uid === entry.uid &&
    version.mtimeNs === entry.mtimeNs &&
    version.linkId === entry.linkId &&
    version.sparse === entry.sparse &&
    version.sequence === entry.sequence &&
    version.xattrs.equals(entry.xattrs);
  if (!facts) return false;
  if (version.type === VERSION_TYPE.symlink) return version.linkText.equals(entry.content);
  if (version.type !== VERSION_TYPE.file) return true;
  return (
    version.size === entry.content.length && (await store.reader(version).read(0, version.size)).equals(entry.content)
  );
}

async function listed(store: Store, at?: number): Promise<Version[]> {
  const all: Version[] = [];
  for await (const batch of store.entries(at === undefined ? {} : { at })) all.push(...batch);
  return all;
}

async function expectTree(
  store: Store,
  versions: readonly Version[],
  tree: ReadonlyMap<string, ModelEntry>,
): Promise<void> {
  expect(versions.map((version) => version.path).sort()).toEqual([...tree.keys()].sort());
  for (const version of versions) {
    const good = await matches(store, version, tree.get(version.path) as ModelEntry);
    if (!good) throw new Error(`${JSON.stringify(version.path)} of checkpoint ${version.sequence} differs`);
  }
}

/** Everything about the newest checkpoint, and the list of all. */
export async function expectNewest(store: Store, model: readonly ModelCheckpoint[]): Promise<void> {
  const last = model[model.length - 1];
  expect(store.newest?.sequence).toBe(last?.sequence);
  const found: string[] = [];
  for await (const { sequence, tag, root, entries, changed, removed } of store.checkpoints()) {
    found.push(`${sequence} ${tag} ${root.toString('hex')} ${entries} ${changed} ${removed}`);
  }
  const expected = model.map(({ sequence, tag, root, tree, changes }) => {
    const removed = [...changes.values()].filter((entry) => entry === null).length;
    return `${sequence} ${tag} ${root.toString('hex')} ${tree.size} ${changes.size - removed} ${removed}`;
  });
  expect(found).toEqual(expected.reverse());
  if (!last) return;
  await expectTree(store, await listed(store), last.tree);
  expect((await computeTreeRoot(store.engine, store.hashAlgo, store.entries())).equals(last.root)).toBe(true);
}

/** Every checkpoint, every version, what each checkpoint changed, and a clean verification. */
export async function expectAll(store: Store, model: readonly ModelCheckpoint[]): Promise<void> {
  await expectNewest(store, model);
  for (const { sequence, tree, changes } of model) {
    await expectTree(store, await listed(store, sequence), tree);
    const written = await store.changes(sequence);
    expect(written.map((version) => version.path).sort()).toEqual([...changes.keys()].sort());
  }
  for (const path of NAMES) {
    const expected = model.filter(({ changes }) => changes.has(path)).reverse();
    let index = 0;
    for await (const { sequence, version } of store.versions(path)) {
      expect(sequence).toBe(expected[index]?.sequence);
      const entry = expected[index]?.changes.get(path);
      if (entry) expect(await matches(store, version, entry)).toBe(true);
      else expect(version.type).toBe(VERSION_TYPE.removed);
      index += 1;
    }
    expect(index).toBe(expected.length);
  }
  expect(await damageIn(store)).toEqual([]);
}

/** Names here stand below anything, as no tree of a file system has them: that verifying tells of it is not what is asked. */
export async function damageIn(store: Store): Promise<readonly DamageReport[]> {
  const { damage } = await store.verify();
  return damage.filter(({ message }) => !message.includes('below something that is no directory'));
}
