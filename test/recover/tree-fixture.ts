/** Builds stores straight through the transaction, so that these tests need nothing of the capture side. */
import { createHash, randomBytes } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BytePath, pathBytes } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import type { Checkpoint, Extent, Version } from '../../src/format/format.js';
import { openStore, type Store, type StoreOptions } from '../../src/store/store.js';

export const PIECE = 1 << 20;
const EMPTY = Buffer.alloc(0);

/** One entry of a tree, as tests write it down. */
export interface Entry {
  readonly type?: 'file' | 'directory' | 'symlink';
  readonly content?: Uint8Array | string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtimeNs?: bigint;
  readonly linkId?: bigint;
  readonly sparse?: boolean;
  readonly xattrs?: Buffer;
  /** Anything of the version that must not be what it should be. */
  readonly forge?: Partial<Version>;
}
export type Tree = Readonly<Record<BytePath, Entry | null>>;

export const MTIME = 1_600_000_000_123_456_789n;

/** Both implementations where the native one loads. */
export function engines(): [string, Engine][] {
  const loaded = loadEngine();
  const twin: [string, Engine] = ['typescript', loadTwin()];
  return loaded.info.kind === 'native' ? [['native', loaded], twin] : [twin];
}

/** A directory for one test with a store and room for targets. */
export class Fixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'dk-recover-'));
  readonly target = join(this.directory, 'target');
  store!: Store;

  static async create(engine: Engine, options: StoreOptions = {}): Promise<Fixture> {
    const fixture = new Fixture();
    fixture.store = await openStore(join(fixture.directory, 'store'), { create: true, engine, ...options });
    return fixture;
  }

  /** Closes the store and opens it again: nothing is cached any more. */
  async reopen(engine: Engine): Promise<void> {
    await this.store.close();
    this.store = await openStore(join(this.directory, 'store'), { engine });
  }

  async commit(tree: Tree): Promise<Checkpoint> {
    return commitTree(this.store, tree);
  }

  at(path: BytePath): Buffer {
    return Buffer.concat([Buffer.from(`${this.target}/`), pathBytes(path)]);
  }

  async remove(): Promise<void> {
    await this.store.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** One checkpoint with these entries added, changed or (null) removed. */
export async function commitTree(store: Store, tree: Tree): Promise<Checkpoint> {
  const transaction = store.begin();
  for (const [path, entry] of Object.entries(tree)) {
    if (entry === null) transaction.remove(path);
    else transaction.put(await versionOf(store, transaction, path, entry));
  }
  const checkpoint = await transaction.commit();
  if (checkpoint === null) throw new Error('nothing was committed');
  return checkpoint;
}

async function versionOf(
  store: Store,
  transaction: ReturnType<Store['begin']>,
  path: BytePath,
  entry: Entry,
): Promise<Version> {
  const type = entry.type ?? 'file';
  const content = typeof entry.content === 'string' ? Buffer.from(entry.content) : Buffer.from(entry.content ?? EMPTY);
  const digest = store.engine.digest(store.hashAlgo, content);
  const base: Version = {
    path,
    sequence: 0,
    type: type === 'directory' ? 2 : type === 'symlink' ? 3 : 1,
    mode: entry.mode ?? (type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644),
    uid: entry.uid ?? process.getuid?.() ?? 0,
    gid: entry.gid ?? process.getgid?.() ?? 0,
    mtimeNs: entry.mtimeNs ?? MTIME,
    size: type === 'directory' ? 0 : content.length,
    linkId: entry.linkId ?? 0n,
    sparse: entry.sparse ?? false,
    digest: type === 'directory' ? null : digest,
    linkText: type === 'symlink' ? content : EMPTY,
    xattrs: entry.xattrs ?? EMPTY,
    recipe: { kind: 'empty' },
  };
  if (type !== 'file') return { ...base, ...entry.forge };
  const extents = await storeContent(transaction, content, entry.sparse ?? false);
  const recipe = await transaction.storeRecipe({ extents, size: content.length, digest });
  return { ...base, recipe, ...entry.forge };
}

async function storeContent(
  transaction: ReturnType<Store['begin']>,
  content: Buffer,
  sparse: boolean,
): Promise<Extent[]> {
  const step = sparse ? 4096 : PIECE;
  const extents: Extent[] = [];
  for (let offset = 0; offset < content.length; offset += step) {
    const bytes = content.subarray(offset, offset + step);
    if (sparse && bytes.every((byte) => byte === 0)) {
      extents.push({ digest: null, offset: 0, length: bytes.length });
      continue;
    }
    const [digest] = await transaction.storeBlobs([{ bytes, kind: 'blob' }]);
    extents.push({ digest: digest as Buffer, offset: 0, length: bytes.length });
  }
  return extents;
}

/** Paths below a directory, sorted, as raw bytes; nothing is followed. */
export function listTree(root: string, below: BytePath = ''): BytePath[] {
  const directory = below === '' ? Buffer.from(root) : Buffer.concat([Buffer.from(`${root}/`), pathBytes(below)]);
  const found: BytePath[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })) {
    const path = (below === '' ? '' : `${below}/`) + Buffer.from(entry.name).toString('latin1');
    found.push(path);
    if (entry.isDirectory()) found.push(...listTree(root, path));
  }
  return found.sort();
}

/** What a test compares of an entry. */
export function facts(path: Buffer | string) {
  const stat = lstatSync(path, { bigint: true });
  return {
    isDirectory: stat.isDirectory(),
    mode: Number(stat.mode & 0o7777n),
    size: Number(stat.size),
    mtimeNs: stat.mtimeNs,
    ctimeNs: stat.ctimeNs,
    ino: stat.ino,
    blocks: Number(stat.blocks),
    link: stat.isSymbolicLink() ? readlinkSync(path, 'latin1') : null,
  };
}

/** Seeded bytes that do not compress. */
export function noise(bytes: number, seed = 'seed'): Buffer {
  const out = Buffer.alloc(bytes);
  for (let at = 0, turn = 0; at < bytes; at += 32, turn += 1) {
    createHash('sha256').update(`${seed} ${turn}`).digest().copy(out, at);
  }
  return out;
}

/** Bytes that differ at every call. */
export function freshNoise(bytes: number): Buffer {
  return randomBytes(bytes);
}

/** File of a pack. */
export function packFile(store: Store, pack: number): string {
  const directory = join(store.path, 'packs');
  const name = readdirSync(directory).find(
    (file) => Number.parseInt(file, 10) === pack || Number.parseInt(file, 16) === pack,
  );
  if (name === undefined) throw new Error(`no pack ${pack}`);
  return join(directory, name);
}
