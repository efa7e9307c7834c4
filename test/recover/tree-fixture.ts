/** Builds stores straight through the transaction, so that these tests need nothing of the capture side. */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { expect } from 'vitest';
import { type BytePath, pathBytes, pathParent } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import type { Checkpoint, Extent, Version } from '../../src/format/format.js';
import { type OpenOptions, openStoreOrImport } from '../../src/migrate/migrate.js';
import type { Store } from '../../src/store/store.js';
import type { Schema } from '../store/keepings.js';

export { engines, keepings, SCHEMAS } from '../store/keepings.js';

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

/** A directory for one test with a store and room for targets. */
export class Fixture {
  readonly directory = mkdtempSync(join(tmpdir(), 'dk-recover-'));
  readonly target = join(this.directory, 'target');
  store!: Store;

  private constructor(readonly schema: Schema) {}

  static async create(engine: Engine, schema: Schema = 2): Promise<Fixture> {
    const fixture = new Fixture(schema);
    fixture.store = await fixture.#open({ create: true, engine });
    return fixture;
  }

  #open(options: OpenOptions): Promise<Store> {
    return openStoreOrImport(join(this.directory, 'store'), { schema: this.schema, ...options });
  }

  /** Closes the store and opens it again: nothing is cached any more. */
  async reopen(engine: Engine): Promise<void> {
    await this.store.close();
    this.store = await this.#open({ engine });
  }

  async commit(tree: Tree): Promise<Checkpoint> {
    return commitTree(this.store, tree);
  }

  at(path: BytePath): Buffer {
    return Buffer.concat([Buffer.from(`${this.target}/`), pathBytes(path)]);
  }

  /** Node sets no nanoseconds: the twin is off by up to one microsecond. */
  expectMtime(path: BytePath, wanted: bigint): void {
    const found = facts(this.at(path)).mtimeNs;
    if (this.store.engine.info.kind === 'native') expect(found, path).toBe(wanted);
    else expect(Number(found - wanted), path).toBeCloseTo(0, -4);
  }

  /** The target holds what is written down here; other things may be there, too. */
  expectTree(tree: Tree): void {
    for (const [path, entry] of Object.entries(tree)) {
      if (entry === null || path === '') continue;
      const found = facts(this.at(path));
      this.expectMtime(path, entry.mtimeNs ?? MTIME);
      const content = Buffer.from(entry.content ?? '');
      if (entry.type === 'symlink') {
        expect(found.link).toBe(content.toString('latin1'));
        continue;
      }
      expect(found.mode, path).toBe(entry.mode ?? (entry.type === 'directory' ? 0o755 : 0o644));
      if (entry.type !== 'directory') expect(readFileSync(this.at(path)).equals(content), path).toBe(true);
    }
  }

  async remove(): Promise<void> {
    await this.store.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What comes back of a tree: of schema 1 contents of files, and the directories above them; modes and times are its own. */
export function heldIn(schema: Schema, tree: Tree): Tree {
  if (schema === 2) return tree;
  const held: Record<BytePath, Entry> = {};
  for (const [path, entry] of Object.entries(tree)) {
    if (entry === null || (entry.type ?? 'file') !== 'file') continue;
    held[path] = { content: entry.content ?? '', mtimeNs: 0n };
    for (let up = pathParent(path); up !== ''; up = pathParent(up)) held[up] = { type: 'directory', mtimeNs: 0n };
  }
  return held;
}

/** Flips bytes of what a store keeps of a content, in the file that has it. Closes the store and opens it again. */
export async function damageContent(fixture: Fixture, path: BytePath, content: Uint8Array): Promise<void> {
  const { store, schema } = fixture;
  const { engine } = store;
  if (schema === 2) {
    const [info] = await store.blobInfos([engine.digest(store.hashAlgo, content)]);
    if (info === undefined) throw new Error('no such blob');
    await fixture.reopen(engine);
    flipByte(packFile(fixture.store, info.pack), info.offset + info.recordBytes - 8);
    return;
  }
  await store.close();
  const level = new ClassicLevel<Buffer, Buffer>(join(fixture.directory, 'store', 'snapshots'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  });
  const key = Buffer.from(`!deltas!${path}`, 'latin1');
  const value = (await level.get(key)) as Buffer;
  value.writeUInt8(value.readUInt8(value.length >> 1) ^ 0xff, value.length >> 1);
  await level.put(key, value);
  await level.close();
  await fixture.reopen(engine);
}

/** Turns one byte of a file around. */
export function flipByte(file: string, offset: number): void {
  const fd = openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, offset);
  byte[0] = (byte[0] ?? 0) ^ 0xff;
  writeSync(fd, byte, 0, 1, offset);
  closeSync(fd);
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
