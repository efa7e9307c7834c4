/**
 * Where baselines live over a restart. The interface is small so that anything that keeps bytes can stand behind it;
 * `openBaselineStore` puts one into a DiffKeeper store.
 */
import type { Reference } from './reference.js';

/** A baseline that is being written. Nothing of it is visible before `commit` resolves. */
export interface BaselineWriter {
  /** The next bytes of the state, in order. They may be changed once it resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** @param facts `madeMs`: milliseconds since 1970, for `StoredBaseline` */
  commit(facts: {
    readonly id: number;
    readonly digest: Buffer;
    readonly segmentBytes: number;
    readonly madeMs: number;
  }): Promise<void>;
  abort(): Promise<void>;
}

/** A baseline as it was kept. */
export interface StoredBaseline {
  readonly id: number;
  readonly digest: Buffer;
  readonly stateBytes: number;
  readonly segmentBytes: number;
  /** When it was made, milliseconds since 1970; undefined: its age counts from when it is loaded. */
  readonly madeMs?: number | undefined;
  read(offset: number, length: number): Promise<Buffer>;
}

/** As it is used here: bytes that cannot be read are undefined. */
export interface KeptBaseline extends Omit<StoredBaseline, 'read'> {
  read(offset: number, length: number): Promise<Buffer | undefined>;
}

export interface BaselineStore {
  /** The newest baseline of a key. */
  load(key: string): Promise<StoredBaseline | undefined>;
  /** Replaces the baseline of a key. */
  begin(key: string): Promise<BaselineWriter>;
  remove(key: string): Promise<void>;
  /**
   * Removes baselines that nobody will use any more; returns how many. A store without it only grows.
   * @param stale made before `beforeMs` (milliseconds since 1970), and not of these keys
   */
  removeStale?(stale: { readonly beforeMs: number; readonly except: readonly string[] }): Promise<number>;
}

/** Bytes of book-keeping that a reference without bytes or hashes in memory counts for. */
const STORED_BYTES = 256;

/** A reference that reads from the store what it is asked for. @param pages hashes of its pages, when they are kept */
export function storedReference(stored: KeptBaseline, pages?: Buffer): Reference {
  return {
    id: stored.id,
    digest: stored.digest,
    stateBytes: stored.stateBytes,
    segmentBytes: stored.segmentBytes,
    memoryBytes: STORED_BYTES + (pages?.length ?? 0),
    ...(pages === undefined ? {} : { pages }),
    read: (offset, length) => stored.read(offset, length),
    groups: () => new Uint8Array(0),
  };
}
