/**
 * A second reader of stores, written from `docs/format.md` alone: nothing of src/ is used, and digests, checksums and
 * zstd come from other libraries than the native engine's. Plain and slow on purpose. Sections of the text are cited.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blake3 } from '@noble/hashes/blake3.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { createXXHash3 } from 'hash-wasm';
import { plainPack } from './second-dense.js';
import { opener, type SecondKey } from './second-key.js';
import { initOnce, unpack } from './second-zstd.js';

type Hash = (bytes: Uint8Array) => Buffer;

export interface SecondVersion {
  readonly path: string;
  readonly sequence: number;
  /** 1 file, 2 directory, 3 symlink; 0 removed. */
  readonly type: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly linkId: bigint;
  readonly sparse: boolean;
  readonly xattrs: Buffer;
  readonly size: number;
  readonly digest: string;
  readonly linkText: Buffer;
  readonly recipe: { readonly kind: number; readonly list: Buffer; readonly regions: readonly string[] };
}

export interface SecondCheckpoint {
  readonly sequence: number;
  readonly timeMs: number;
  readonly root: string;
  readonly previous: string;
  readonly entries: number;
  readonly treeBytes: number;
  readonly changed: number;
  readonly removed: number;
  readonly storedBytes: number;
  readonly changedBytes: number;
  readonly pauseMs: number;
  readonly frozen: boolean;
  readonly tag: string;
  /** Digest of its own record. */
  readonly digest: string;
  readonly versions: readonly SecondVersion[];
}

interface Extent {
  readonly digest: string | null;
  readonly offset: number;
  readonly length: number;
}

interface Coded {
  readonly kind: number;
  readonly codec: number;
  readonly depth: number;
  readonly decodedBytes: number;
  readonly contextList: Buffer;
  readonly payload: Buffer;
}

/** Reads one value after the other. */
class Cursor {
  at = 0;
  constructor(readonly bytes: Buffer) {}
  take(count: number): Buffer {
    if (this.at + count > this.bytes.length) throw new Error('bytes end too soon');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }
  u8(): number {
    return this.take(1).readUInt8();
  }
  u64(): number {
    return Number(this.take(8).readBigUInt64LE());
  }
  f64(): number {
    return this.take(8).readDoubleLE();
  }
  varint64(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  varint(): number {
    return Number(this.varint64());
  }
  hex(): string {
    return this.take(32).toString('hex');
  }
  end(): void {
    if (this.at !== this.bytes.length) throw new Error('bytes follow the end');
  }
}

const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
};

/** Section 6. */
function extentList(bytes: Buffer): Extent[] {
  const cursor = new Cursor(bytes);
  const digests = Array.from({ length: cursor.varint() }, () => cursor.hex());
  const count = cursor.varint();
  const blobs = Array.from({ length: count }, () => cursor.varint());
  const offsets = blobs.map((blob) => (blob === 0 ? 0 : cursor.varint()));
  const extents = blobs.map((blob, index) => ({
    digest: blob === 0 ? null : (digests[blob - 1] as string),
    offset: offsets[index] as number,
    length: cursor.varint(),
  }));
  cursor.end();
  return extents;
}

/** Section 7. */
function versionsRecord(bytes: Buffer): { sequence: number; versions: SecondVersion[] } {
  const cursor = new Cursor(bytes);
  const sequence = cursor.u64();
  const versions = Array.from({ length: cursor.varint() }, () => version(cursor, sequence));
  cursor.end();
  return { sequence, versions };
}

function version(cursor: Cursor, sequence: number): SecondVersion {
  const path = cursor.take(cursor.varint()).toString('latin1');
  const type = cursor.u8();
  const none = { kind: 0, list: Buffer.alloc(0), regions: [] };
  const empty = { size: 0, digest: '', linkText: Buffer.alloc(0), recipe: none };
  if (type === 0) {
    const nothing = { mode: 0, uid: 0, gid: 0, mtimeNs: 0n, linkId: 0n, sparse: false, xattrs: Buffer.alloc(0) };
    return { path, sequence, type, ...nothing, ...empty };
  }
  const common = {
    path,
    sequence,
    type,
    mode: cursor.varint(),
    uid: cursor.varint(),
    gid: cursor.varint(),
    mtimeNs: cursor.take(8).readBigInt64LE(),
    linkId: cursor.varint64(),
    sparse: cursor.u8() === 1,
    xattrs: cursor.take(cursor.varint()),
  };
  if (type === 2) return { ...common, ...empty };
  if (type === 3) {
    const linkText = cursor.take(cursor.varint());
    return { ...common, ...empty, size: linkText.length, linkText, digest: cursor.hex() };
  }
  if (type !== 1) throw new Error(`entry type ${type}`);
  const size = cursor.varint();
  const digest = cursor.hex();
  const kind = cursor.u8();
  if (kind === 2) {
    return { ...common, ...empty, size, digest, recipe: { kind, list: cursor.take(cursor.varint()), regions: [] } };
  }
  const regions = kind === 3 ? Array.from({ length: cursor.varint() }, () => cursor.hex()) : [];
  return { ...common, ...empty, size, digest, recipe: { kind, list: Buffer.alloc(0), regions } };
}

/** Section 7. */
function checkpointRecord(bytes: Buffer): Omit<SecondCheckpoint, 'versions' | 'digest'> & { parts: string[] } {
  const cursor = new Cursor(bytes);
  const checkpoint = {
    sequence: cursor.u64(),
    timeMs: cursor.f64(),
    root: cursor.hex(),
    previous: cursor.hex(),
    entries: cursor.varint(),
    treeBytes: cursor.varint(),
    changed: cursor.varint(),
    removed: cursor.varint(),
    storedBytes: cursor.varint(),
    changedBytes: cursor.varint(),
    pauseMs: cursor.f64(),
    frozen: cursor.u8() === 1,
    tag: cursor.take(cursor.varint()).toString('utf8'),
    parts: Array.from({ length: cursor.varint() }, () => cursor.hex()),
  };
  cursor.end();
  return checkpoint;
}

/** Section 7. */
export interface SecondPrune {
  readonly sequence: number;
  readonly digest: string;
  readonly last: number;
  readonly history: ReadonlySet<number>;
  readonly retired: ReadonlySet<number>;
}

function pruneRecord(bytes: Buffer): SecondPrune {
  const cursor = new Cursor(bytes);
  const sequence = cursor.u64();
  const digest = cursor.hex();
  cursor.varint();
  const last = cursor.varint();
  const list = () => new Set(Array.from({ length: cursor.varint() }, () => cursor.varint()));
  const prune = { sequence, digest, last, history: list(), retired: list() };
  cursor.end();
  return prune;
}

/** Section 10: packs of prunes. */
const PRUNED_FROM = 50_000_000;

/** Section 3: what the header says. */
function checkHeader(header: Buffer, pack: number, store: { id: string; xxh3: (bytes: Buffer) => bigint }): void {
  const good =
    header.toString('latin1', 0, 6) === 'DKPACK' &&
    [1, 3].includes(header.readUInt16LE(6)) &&
    header.readUInt32LE(8) === pack &&
    header.readUInt32LE(12) === 0 &&
    header.subarray(16, 32).toString('hex') === store.id &&
    header.subarray(32, 56).every((byte) => byte === 0) &&
    header.readBigUInt64LE(56) === store.xxh3(header.subarray(0, 56));
  if (!good) throw new Error(`pack ${pack} has a bad header`);
}

const NO_PRUNE = { sequence: 0, history: new Set<number>(), retired: new Set<number>() };

interface Reading {
  readonly parts: Map<string, SecondVersion[]>;
  readonly xxh3: (bytes: Buffer) => bigint;
  readonly wanted: (kind: number, sequence: number) => boolean;
  /** Section 11: opens what is sealed; null for a store that is not encrypted. */
  readonly open: ((sealed: Buffer, bound: Buffer) => Buffer) | null;
}

export class SecondStore {
  readonly checkpoints: SecondCheckpoint[] = [];
  readonly #blobs = new Map<string, Coded>();
  readonly #decoded = new Map<string, Buffer>();
  readonly #hash: Hash;
  /** The newest prune, if there was one. */
  prune: SecondPrune | null = null;

  private constructor(hash: Hash) {
    this.#hash = hash;
  }

  /** Reads a store that is whole: damage is an Error. */
  static async open(root: string, key?: SecondKey): Promise<SecondStore> {
    await initOnce();
    const hasher = await createXXHash3();
    const xxh3 = (bytes: Buffer): bigint => BigInt(`0x${hasher.init().update(bytes).digest()}`);
    const marker = JSON.parse(readFileSync(join(root, 'DIFFKEEPER'), 'utf8')) as Record<string, unknown>;
    const encrypted = marker.encryption === 'xaes-256-gcm';
    if (marker.diffkeeper !== 'store' || marker.format !== (encrypted ? 3 : 2)) throw new Error('no store we know');
    const open = encrypted ? opener(root, String(marker.id), key) : null;
    const hash: Hash = (bytes) => Buffer.from(marker.hashAlgo === 'sha256' ? sha256(bytes) : blake3(bytes));
    const store = new SecondStore(hash);
    const packs = new Map<number, Buffer>();
    for (const name of readdirSync(join(root, 'packs')).sort()) {
      const file = readFileSync(join(root, 'packs', name));
      const dense = file.readUInt16LE(6) === 3;
      const pack = dense ? plainPack(file, { hash, xxh3, unpack: (frame) => unpack(frame, Buffer.alloc(0)) }) : file;
      packs.set(Number.parseInt(name, 10), pack);
      checkHeader(pack.subarray(0, 64), Number.parseInt(name, 10), { id: String(marker.id), xxh3 });
    }
    const numbers = [...packs.keys()];
    const read = (pack: number, wanted: (kind: number, sequence: number) => boolean): void => {
      const bytes = packs.get(pack) as Buffer;
      for (let at = 64; at < bytes.length; ) at += store.#record(bytes.subarray(at), { parts, xxh3, wanted, open });
    };
    const parts = new Map<string, SecondVersion[]>();
    for (const pack of numbers) if (pack >= PRUNED_FROM) read(pack, (kind) => kind === 5);
    const { history, retired, sequence: upTo } = store.prune ?? { ...NO_PRUNE };
    const kept = numbers.filter((pack) => !retired.has(pack));
    for (const pack of kept) if (history.has(pack)) read(pack, () => true);
    for (const pack of kept) if (pack >= PRUNED_FROM && !history.has(pack)) read(pack, (kind) => kind < 3);
    for (const pack of kept) if (pack < PRUNED_FROM) read(pack, (kind, sequence) => kind < 3 || sequence > upTo);
    return store;
  }

  /** Sections 4 and 11: one record; gives its length. */
  #record(bytes: Buffer, how: Reading): number {
    if (!how.open) return this.#plain(bytes, how);
    const cursor = new Cursor(bytes);
    const bound = cursor.take(8);
    if (bound.readUInt32LE() !== 0x31534b44) throw new Error('no sealed record');
    const plain = how.open(cursor.take(bound.readUIntLE(4, 3)), bound);
    const checked = how.xxh3(bytes.subarray(0, cursor.at));
    if (cursor.take(8).readBigUInt64LE() !== checked) throw new Error('record checksum');
    const check = Buffer.alloc(8);
    check.writeBigUInt64LE(how.xxh3(plain));
    if (this.#plain(Buffer.concat([plain, check]), how) !== plain.length + 8)
      throw new Error('bytes follow the record');
    return cursor.at;
  }

  /** Section 4: one record; gives its length. */
  #plain(bytes: Buffer, how: Reading): number {
    const { parts, xxh3, wanted } = how;
    const cursor = new Cursor(bytes);
    if (cursor.take(4).readUInt32LE() !== 0x31524b44) throw new Error('no record');
    const kind = cursor.u8();
    const codec = cursor.u8();
    const depth = cursor.u8();
    if (cursor.u8() !== 0) throw new Error('flags');
    const contextBytes = cursor.take(4).readUInt32LE();
    const decodedBytes = cursor.take(4).readUInt32LE();
    const payloadBytes = cursor.take(4).readUInt32LE();
    const digest = cursor.hex();
    const contextList = cursor.take(contextBytes);
    const payload = cursor.take(payloadBytes);
    const checked = xxh3(bytes.subarray(0, cursor.at));
    if (cursor.take(8).readBigUInt64LE() !== checked) throw new Error('record checksum');
    const coded = { kind, codec, depth, decodedBytes, contextList, payload };
    if (kind < 1 || kind > 5) throw new Error(`record kind ${kind}`);
    const decoded = kind > 2 ? this.#decode(digest, coded) : Buffer.alloc(0);
    // Versions and checkpoints both begin with their sequence.
    if (!wanted(kind, kind > 2 ? Number(decoded.readBigUInt64LE()) : 0)) return cursor.at;
    if (kind === 1 || kind === 2) this.#blobs.set(digest, coded);
    else if (kind === 3) parts.set(digest, versionsRecord(decoded).versions);
    else if (kind === 5) {
      const prune = pruneRecord(decoded);
      if (prune.last >= (this.prune?.last ?? 0)) this.prune = prune;
    } else {
      const { parts: named, ...checkpoint } = checkpointRecord(decoded);
      const versions = named.flatMap((part) => {
        const found = parts.get(part);
        if (!found) throw new Error(`part ${part} is missing`);
        return found;
      });
      this.checkpoints.push({ ...checkpoint, digest, versions });
      parts.clear();
    }
    return cursor.at;
  }

  /** Section 5. */
  #decode(digest: string, coded: Coded): Buffer {
    const context = coded.contextList.length > 0 ? this.#gather(extentList(coded.contextList), coded.depth) : null;
    const bytes = this.#payload(coded, context ?? Buffer.alloc(0));
    if (bytes.length !== coded.decodedBytes || this.#hash(bytes).toString('hex') !== digest) {
      throw new Error(`blob ${digest} decodes to other bytes`);
    }
    return bytes;
  }

  #payload(coded: Coded, context: Buffer): Buffer {
    const { codec, payload, decodedBytes } = coded;
    if (codec === 0) return payload;
    if (codec === 1) return unpack(payload, Buffer.alloc(0));
    if (codec === 2) return unpack(payload, context);
    if (codec !== 3) throw new Error(`codec ${codec}`);
    const cursor = new Cursor(unpack(payload, Buffer.alloc(0)));
    const runs = Array.from({ length: cursor.varint() }, () => [cursor.varint(), cursor.varint()] as const);
    const target = Buffer.alloc(decodedBytes);
    context.copy(target);
    let at = 0;
    for (const [skip, length] of runs) {
      at += skip;
      for (const byte of cursor.take(length)) {
        target[at] = (target[at] as number) ^ byte;
        at += 1;
      }
    }
    cursor.end();
    return target;
  }

  #gather(extents: readonly Extent[], below = 65): Buffer {
    return Buffer.concat(
      extents.map(({ digest, offset, length }) => {
        if (digest === null) return Buffer.alloc(length);
        if ((this.#blobs.get(digest)?.depth ?? 0) >= below) throw new Error('a context is not less deep');
        const bytes = this.blob(digest);
        if (offset + length > bytes.length) throw new Error('an extent leaves its blob');
        return bytes.subarray(offset, offset + length);
      }),
    );
  }

  blob(digest: string): Buffer {
    const known = this.#decoded.get(digest);
    if (known) return known;
    const coded = this.#blobs.get(digest);
    if (!coded) throw new Error(`blob ${digest} is missing`);
    const bytes = this.#decode(digest, coded);
    this.#decoded.set(digest, bytes);
    return bytes;
  }

  /** The tree as of a checkpoint, by path. */
  state(sequence: number): Map<string, SecondVersion> {
    const state = new Map<string, SecondVersion>();
    for (const checkpoint of this.checkpoints) {
      if (checkpoint.sequence > sequence) break;
      for (const one of checkpoint.versions) {
        if (one.type === 0) state.delete(one.path);
        else state.set(one.path, one);
      }
    }
    return state;
  }

  /** Content of a file, checked against its digest. */
  content(one: SecondVersion): Buffer {
    const { kind, list, regions } = one.recipe;
    const bytes =
      kind === 0
        ? Buffer.alloc(0)
        : kind === 1
          ? this.blob(one.digest)
          : this.#gather(kind === 2 ? extentList(list) : regions.flatMap((region) => extentList(this.blob(region))));
    if (bytes.length !== one.size) throw new Error(`${one.path} has ${bytes.length} of ${one.size} bytes`);
    if (this.#hash(bytes).toString('hex') !== one.digest) throw new Error(`${one.path} has another digest`);
    return bytes;
  }

  /** Section 7: the tree root of a state. */
  root(state: ReadonlyMap<string, SecondVersion>): string {
    const mode = state.get('')?.mode ?? 0;
    const own = Buffer.concat([Buffer.of(0), varint(0), Buffer.of(2), varint(mode), this.#directory(state, '')]);
    return this.#hash(own).toString('hex');
  }

  #directory(state: ReadonlyMap<string, SecondVersion>, directory: string): Buffer {
    const inside: [string, SecondVersion][] = [];
    for (const [path, one] of state) {
      const slash = path.lastIndexOf('/');
      if (path !== '' && path.slice(0, Math.max(0, slash)) === directory) inside.push([path.slice(slash + 1), one]);
    }
    inside.sort(([one], [other]) => Buffer.compare(Buffer.from(one, 'latin1'), Buffer.from(other, 'latin1')));
    return this.#merkle(inside.map(([name, one]) => this.#leaf(state, name, one)));
  }

  #leaf(state: ReadonlyMap<string, SecondVersion>, name: string, one: SecondVersion): Buffer {
    const bytes = Buffer.from(name, 'latin1');
    const head = [Buffer.of(0), varint(bytes.length), bytes, Buffer.of(one.type), varint(one.mode)];
    const digest = Buffer.from(one.digest, 'hex');
    if (one.type === 1) head.push(varint(one.size), digest);
    else head.push(one.type === 2 ? this.#directory(state, one.path) : digest);
    return this.#hash(Buffer.concat(head));
  }

  #merkle(leaves: readonly Buffer[]): Buffer {
    if (leaves.length === 0) return this.#hash(Buffer.alloc(0));
    if (leaves.length === 1) return leaves[0] as Buffer;
    let split = 1;
    while (split * 2 < leaves.length) split *= 2;
    const halves = [this.#merkle(leaves.slice(0, split)), this.#merkle(leaves.slice(split))];
    return this.#hash(Buffer.concat([Buffer.of(1), ...halves]));
  }
}
