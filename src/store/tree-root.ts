/**
 * Merkle root of a tree.
 *
 *   leaf  := H(0x00, varint name bytes, name, u8 type, varint mode, content)
 *   content of a file := varint size, digest[32]; symlink := digest[32]; directory := digest of the directory
 *   directory digest := Merkle root (RFC 6962 shape) of its entries' leaves, sorted by name bytes
 *   root of the tree := leaf of the state directory itself, with an empty name (mode 0 when it has no version)
 */
import { type BytePath, pathBytes, pathName, pathParent } from '../core/core.js';
import type { Engine, HashAlgo } from '../engine/engine.js';
import { ByteWriter, type Digest, VERSION_TYPE, type Version } from '../format/format.js';

/** Bytes whose digest is the leaf of an entry. `content` is the directory's digest for a directory. */
export function leafBytes(version: Version, content: Uint8Array): Buffer {
  const name = pathBytes(pathName(version.path));
  const writer = new ByteWriter(name.length + 48);
  writer.u8(0).varint(name.length).bytes(name).u8(version.type).varint(version.mode);
  if (version.type === VERSION_TYPE.file) writer.varint(version.size);
  return writer.bytes(content).finish();
}

/** Leaves of a directory by name. Kept as one-byte strings: half the memory of small buffers. */
export type Leaves = Map<BytePath, string>;

export function leafText(leaf: Buffer): string {
  return leaf.toString('latin1');
}

/** Leaf number `index` of what `leafDigests` gave. */
export function leafAt(leaves: Buffer, index: number): string {
  return leaves.toString('latin1', index * 32, index * 32 + 32);
}

/** Leaves that are hashed without leaving the thread. */
const HASHED_HERE_MAX = 64;

/** Leaves of entries that are not directories, 32 bytes each, in one crossing. */
export async function leafDigests(engine: Engine, algo: HashAlgo, versions: readonly Version[]): Promise<Buffer> {
  const pieces = versions.map((version) => leafBytes(version, version.digest ?? Buffer.alloc(32)));
  // Of a small directory they are done before another thread would have begun.
  if (pieces.length <= HASHED_HERE_MAX) return Buffer.concat(pieces.map((piece) => engine.digest(algo, piece)));
  const lengths = Uint32Array.from(pieces, (piece) => piece.length);
  return engine.digestMany(algo, Buffer.concat(pieces), lengths);
}

/** Digest of a directory from its entries' leaves. One-byte strings sort as their bytes do. */
export function directoryDigest(engine: Engine, algo: HashAlgo, leaves: ReadonlyMap<BytePath, string>): Digest {
  const names = [...leaves.keys()].sort();
  return engine.merkleRoot(algo, Buffer.from(names.map((name) => leaves.get(name)).join(''), 'latin1'));
}

/** Directories, deepest first, so that each is complete when its parent needs it. */
export function deepestFirst(directories: Iterable<BytePath>): BytePath[] {
  const depth = (path: BytePath) => (path === '' ? 0 : path.split('/').length);
  return [...directories].sort((one, other) => depth(other) - depth(one));
}

/** Leaf of the state directory itself. */
export function rootDigest(engine: Engine, algo: HashAlgo, root: Version | undefined, content: Uint8Array): Digest {
  const writer = new ByteWriter(64);
  writer
    .u8(0)
    .varint(0)
    .u8(VERSION_TYPE.directory)
    .varint(root?.mode ?? 0)
    .bytes(content);
  return engine.digest(algo, writer.finish());
}

/** Recomputes the root of a whole tree from its entries, in any order. */
export async function computeTreeRoot(
  engine: Engine,
  algo: HashAlgo,
  entries: AsyncIterable<Version[]>,
): Promise<Digest> {
  const children = new Map<BytePath, Leaves>([['', new Map()]]);
  const directories = new Map<BytePath, Version>();
  const below = (parent: BytePath) => {
    const known = children.get(parent);
    if (known) return known;
    const fresh: Leaves = new Map();
    children.set(parent, fresh);
    return fresh;
  };
  for await (const batch of entries) {
    const plain: Version[] = [];
    for (const version of batch) {
      if (version.type !== VERSION_TYPE.directory) plain.push(version);
      else directories.set(version.path, version);
    }
    const leaves = await leafDigests(engine, algo, plain);
    for (const [index, version] of plain.entries()) {
      below(pathParent(version.path)).set(pathName(version.path), leafAt(leaves, index));
    }
  }
  for (const path of deepestFirst(directories.keys())) {
    if (path === '') continue;
    const content = directoryDigest(engine, algo, below(path));
    const version = directories.get(path) as Version;
    below(pathParent(path)).set(pathName(path), leafText(engine.digest(algo, leafBytes(version, content))));
  }
  return rootDigest(engine, algo, directories.get(''), directoryDigest(engine, algo, below('')));
}
