/** Stores in a temporary directory, and versions written the short way. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { isDiffKeeperError, LIMITS } from '../../src/core/core.js';
import { type Extent, removedVersion, VERSION_TYPE, type Version } from '../../src/format/format.js';
import { openStore, type Store, type StoreOptions, type Transaction } from '../../src/store/store.js';

export class StoreFixture {
  base = '';
  root = '';
  readonly #opened: Store[] = [];

  constructor() {
    beforeEach(async () => {
      this.base = await mkdtemp(path.join(tmpdir(), 'dk-store-'));
      this.root = path.join(this.base, 'keep');
    });
    afterEach(async () => {
      for (const store of this.#opened.splice(0)) await store.close();
      await rm(this.base, { recursive: true, force: true });
    });
  }

  async open(options: StoreOptions = {}): Promise<Store> {
    const store = await openStore(this.root, { create: true, ...options });
    this.#opened.push(store);
    return store;
  }

  pack(number: number): string {
    return path.join(this.root, 'packs', `${String(number).padStart(8, '0')}.dkp`);
  }
}

/** Deterministic bytes; different seeds share nothing. */
export function noise(bytes: number, seed: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  let state = seed * 2654435761 + 1;
  for (let index = 0; index < bytes; index += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    buffer[index] = state >>> 24;
  }
  return buffer;
}

export function directory(name: string, mode = 0o755): Version {
  return { ...removedVersion(name, 0), type: VERSION_TYPE.directory, mode };
}

/** A version of a file whose recipe is made of exactly these extents. */
export async function putExtents(
  transaction: Transaction,
  name: string,
  options: { readonly extents: readonly Extent[]; readonly digest: Buffer; readonly source?: Version },
): Promise<void> {
  let size = 0;
  for (const extent of options.extents) size += extent.length;
  const recipe = await transaction.storeRecipe({ ...options, size });
  const { digest } = options;
  transaction.put({ ...removedVersion(name, 0), type: VERSION_TYPE.file, mode: 0o644, size, digest, recipe });
}

export async function putFile(store: Store, transaction: Transaction, name: string, bytes: Buffer): Promise<void> {
  const extents: Extent[] = [];
  for (let at = 0; at < bytes.length; at += LIMITS.blobBytes) {
    const piece = bytes.subarray(at, at + LIMITS.blobBytes);
    const [digest] = await transaction.storeBlobs([{ bytes: piece, kind: 'blob' }]);
    extents.push({ digest: digest as Buffer, offset: 0, length: piece.length });
  }
  await putExtents(transaction, name, { extents, digest: store.engine.digest(store.hashAlgo, bytes) });
}

/** One checkpoint: null removes. */
export async function commitFiles(store: Store, files: Record<string, Buffer | null>): Promise<void> {
  const transaction = store.begin();
  for (const [name, bytes] of Object.entries(files)) {
    if (bytes === null) transaction.remove(name);
    else await putFile(store, transaction, name, bytes);
  }
  await transaction.commit();
}

export async function contentOf(store: Store, name: string): Promise<Buffer | null> {
  const [head] = await store.heads([name]);
  return head ? store.reader(head).read(0, head.size) : null;
}

/** Of all checkpoints, the oldest first. */
export async function sequencesOf(store: Store): Promise<number[]> {
  const found: number[] = [];
  for await (const { sequence } of store.checkpoints()) found.unshift(sequence);
  return found;
}

/** Code of the error that the action ends with. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    return isDiffKeeperError(error) ? error.code : String(error);
  }
  return 'no error';
}
