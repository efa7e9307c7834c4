/**
 * Door of the room `baseline-store`: baselines of a state encoder or decoder inside a DiffKeeper store, so that they
 * survive a restart. One file per key, `state-baselines/<SHA-256 of the key>/<id>-<segment log>-<digest>`, whose mtime is
 * when it was made; putting a new one and removing the old one is one checkpoint.
 */
import type { BaselineStore, BaselineWriter, StoredBaseline } from '../baseline/baseline.js';
import { createHash, DiffKeeperError, isDiffKeeperError, LIMITS, randomBytes, Semaphore } from '../core/core.js';
import { startDigest } from '../engine/load.js';
import { type Digest, type Extent, VERSION_TYPE, type Version } from '../format/format.js';
import type { BlobInput, Store, Transaction, VersionReader } from '../store/store.js';

const ROOT = 'state-baselines';
/** Digests of 32 bytes, or quick ones of 16. */
const NAME = /^(\d{1,16})-(\d{1,2})-([0-9a-f]{64}|[0-9a-f]{32})$/;
const MODE = 0o600;
const NS_PER_MS = 1_000_000n;

function folderOf(key: string): string {
  return `${ROOT}/${createHash('sha256').update(key).digest('hex')}`;
}

/** Whether stored bytes are at fault, not the machine. */
function isDamage(error: unknown): boolean {
  return isDiffKeeperError(error) && /^DK_(CORRUPT_|DIGEST_MISMATCH|NOT_FOUND)/.test(error.code);
}

interface Found {
  readonly version: Version;
  readonly stored: StoredBaseline;
}

/** What stands under a name; undefined for a file that is not ours. */
function parsed(store: Store, version: Version): Found | undefined {
  const match = NAME.exec(version.path.slice(version.path.lastIndexOf('/') + 1));
  if (match === null || version.type !== VERSION_TYPE.file) return undefined;
  const reader = store.reader(version);
  return {
    version,
    stored: {
      id: Number(match[1]),
      segmentBytes: 2 ** Number(match[2]),
      digest: Buffer.from(match[3] as string, 'hex'),
      stateBytes: version.size,
      // Earlier releases wrote no time.
      ...(version.mtimeNs > 0n ? { madeMs: Number(version.mtimeNs / NS_PER_MS) } : {}),
      read: (offset, length) => reader.read(offset, length),
    },
  };
}

async function allOf(store: Store, key: string): Promise<Found[]> {
  const found: Found[] = [];
  for await (const versions of store.entries({ under: [folderOf(key)] })) {
    for (const version of versions) {
      const one = parsed(store, version);
      if (one !== undefined) found.push(one);
    }
  }
  return found.sort((a, b) => b.stored.id - a.stored.id);
}

/** Writes one baseline; the store takes one at a time. */
class StoreWriter implements BaselineWriter {
  readonly #key: string;
  readonly #before: readonly Found[];
  readonly #transaction: Transaction;
  readonly #digest: Awaited<ReturnType<typeof startDigest>>;
  readonly #release: () => void;
  readonly #extents: Extent[] = [];
  readonly #source: VersionReader | undefined;
  /** Of the baseline before. */
  #damaged = false;
  #bytes = 0;

  constructor(options: {
    readonly store: Store;
    readonly key: string;
    readonly before: readonly Found[];
    readonly digest: Awaited<ReturnType<typeof startDigest>>;
    readonly release: () => void;
  }) {
    this.#key = options.key;
    this.#before = options.before;
    this.#digest = options.digest;
    this.#release = options.release;
    this.#transaction = options.store.begin();
    const newest = options.before[0];
    this.#source = newest && options.store.reader(newest.version);
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#digest.update(bytes);
    const inputs: BlobInput[] = [];
    for (let at = 0; at < bytes.length; at += LIMITS.blobBytes) {
      const piece = bytes.subarray(at, at + LIMITS.blobBytes);
      inputs.push(...(await this.#inputs(piece, this.#bytes + at)));
    }
    const digests = await this.#transaction.storeBlobs(inputs);
    for (const [i, digest] of digests.entries()) {
      this.#extents.push({ digest, offset: 0, length: inputs[i]?.bytes.length ?? 0 });
    }
    this.#bytes += bytes.length;
  }

  /** A piece of the state, coded against the same place of the baseline before where there is one. */
  async #inputs(bytes: Uint8Array, offset: number): Promise<BlobInput[]> {
    const source = this.#source;
    if (source === undefined || offset + bytes.length > source.version.size) return [{ bytes, kind: 'blob' }];
    try {
      const extents = await source.extents(offset, bytes.length);
      if (extents.some(({ digest }) => digest === null)) return [{ bytes, kind: 'blob' }];
      const context = { bytes: await source.read(offset, bytes.length), extents, aligned: true };
      return [{ bytes, kind: 'blob', context }];
    } catch (error) {
      // A damaged baseline must not keep the one away that replaces it; nor may its damaged blob stand for the same bytes
      // that come again, which is why they are cut at another place.
      if (!isDamage(error)) throw error;
      this.#damaged = true;
      const cut = 1 + (randomBytes(4).readUInt32LE(0) % bytes.length);
      return [bytes.subarray(0, cut), bytes.subarray(cut)]
        .filter(({ length }) => length > 0)
        .map((piece) => ({ bytes: piece, kind: 'blob' }));
    }
  }

  async #recipe(size: number, digest: Digest): Promise<Version['recipe']> {
    const facts = { extents: this.#extents, size, digest };
    const source = this.#source?.version;
    if (source === undefined || this.#damaged) return this.#transaction.storeRecipe(facts);
    try {
      return await this.#transaction.storeRecipe({ ...facts, source });
    } catch (error) {
      if (!isDamage(error)) throw error;
      return this.#transaction.storeRecipe(facts);
    }
  }

  async commit(facts: Parameters<BaselineWriter['commit']>[0]): Promise<void> {
    try {
      const digest: Digest = this.#digest.digest();
      const size = this.#bytes;
      const path = `${folderOf(this.#key)}/${facts.id}-${Math.log2(facts.segmentBytes)}-${facts.digest.toString('hex')}`;
      const recipe = await this.#recipe(size, digest);
      for (const { version } of this.#before) if (version.path !== path) this.#transaction.remove(version.path);
      this.#transaction.put({
        path,
        sequence: 0,
        type: VERSION_TYPE.file,
        mode: MODE,
        uid: 0,
        gid: 0,
        mtimeNs: BigInt(facts.madeMs) * NS_PER_MS,
        size,
        linkId: 0n,
        sparse: false,
        digest,
        linkText: Buffer.alloc(0),
        xattrs: Buffer.alloc(0),
        recipe,
      });
      await this.#transaction.commit({ force: true });
    } catch (error) {
      await this.#transaction.abort().catch(() => undefined);
      throw error;
    } finally {
      this.#release();
    }
  }

  async abort(): Promise<void> {
    try {
      await this.#transaction.abort();
    } finally {
      this.#release();
    }
  }
}

/**
 * Baselines in a store that the caller opened and will close. Every encoder and every decoder needs a store of its own:
 * each new baseline is a checkpoint, and a baseline that is being written holds the store's one transaction.
 */
export function openBaselineStore(store: Store): BaselineStore {
  const turns = new Semaphore(1);
  /** Resolves when the store is free; the result frees it again. */
  const enter = (): Promise<() => void> =>
    new Promise((resolve, reject) => {
      turns.run(() => new Promise<void>((release) => resolve(release))).catch((error: unknown) => reject(error));
    });
  return {
    load: async (key) => (await allOf(store, key))[0]?.stored,
    async begin(key) {
      const release = await enter();
      try {
        const [before, digest] = await Promise.all([allOf(store, key), startDigest(store.hashAlgo)]);
        return new StoreWriter({ store, key, before, digest, release });
      } catch (error) {
        release();
        throw error;
      }
    },
    async removeStale({ beforeMs, except }) {
      const release = await enter();
      try {
        const kept = new Set(except.map(folderOf));
        const stale: Version[] = [];
        for await (const versions of store.entries({ under: [ROOT] })) {
          for (const version of versions) {
            const { madeMs } = parsed(store, version)?.stored ?? {};
            if (madeMs === undefined || madeMs >= beforeMs) continue;
            if (!kept.has(version.path.slice(0, version.path.lastIndexOf('/')))) stale.push(version);
          }
        }
        if (stale.length === 0) return 0;
        const transaction = store.begin();
        try {
          for (const { path } of stale) transaction.remove(path);
          await transaction.commit();
        } catch (error) {
          await transaction.abort().catch(() => undefined);
          throw error;
        }
        return stale.length;
      } finally {
        release();
      }
    },
    async remove(key) {
      const release = await enter();
      try {
        const found = await allOf(store, key);
        if (found.length === 0) return;
        const transaction = store.begin();
        for (const { version } of found) transaction.remove(version.path);
        await transaction.commit();
      } catch (error) {
        throw error instanceof DiffKeeperError
          ? error
          : new DiffKeeperError('DK_IO', 'cannot remove a baseline', {}, error);
      } finally {
        release();
      }
    },
  };
}
