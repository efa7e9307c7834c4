/**
 * What two stores say to each other (`docs/replication.md`). Whoever takes asks, whoever has answers; the records
 * themselves travel as blobs of the session. Everything that is read here comes from a stranger and is bounded.
 */
import { DiffKeeperError } from '../core/core.js';
import { ByteReader, type Checkpoint } from '../format/format.js';

export const PROTOCOL_VERSION = 1;

export const VERB = {
  /** Taker asks: who are you, and what is your newest checkpoint? */
  hello: 'replica.hello',
  /** Giver says: this is my newest checkpoint, come and take what you lack. Answered when it is done. */
  advance: 'replica.advance',
  locate: 'replica.locate',
  history: 'replica.history',
  versions: 'replica.versions',
  describe: 'replica.describe',
  want: 'replica.want',
  alive: 'replica.alive',
} as const;

/** Service under which batches of records are sent. */
export const RECORDS_SERVICE = 'records';

/** Bytes of an answer, with room for what stands around it within the transport's bound of 1 MiB. */
export const ANSWER_BYTES = 900 << 10;
/** Digests in one question. */
export const DIGESTS_MAX = 2000;
/** Checkpoints in one question or answer. */
export const ITEMS_MAX = 1000;
export const TEXT_BYTES_MAX = 4096;
const HEX = /^[0-9a-f]*$/;

/** A checkpoint wherever it is kept: a prune changes its record, but not these. */
export type Identity = Pick<Checkpoint, 'sequence' | 'timeMs' | 'root'>;

export function sameIdentity(one: Identity, other: Identity): boolean {
  return one.sequence === other.sequence && one.timeMs === other.timeMs && one.root.equals(other.root);
}

/** Who gives, and how far it is. */
export interface Hello {
  /** Id of the store. */
  readonly store: string;
  readonly hashAlgo: string;
  readonly newest: Identity | null;
  /** Its records are sealed on its disk: they must not lie open on another one. */
  readonly encrypted: boolean;
  /** The giver says that it goes on instead of the writer before it. */
  readonly takeOver: boolean;
}

/** What to say to a message that breaks the rules. */
export function bad(what: string): DiffKeeperError {
  return new DiffKeeperError('DK_PROTOCOL', `the other side sent ${what}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** A JSON object of a few facts. @throws DK_PROTOCOL */
export function readObject(bytes: Buffer): Record<string, unknown> {
  if (bytes.length > TEXT_BYTES_MAX) throw bad('a message that is too long');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw bad('a message that is no JSON');
  }
  if (!isObject(value)) throw bad('a message that is no object');
  return value;
}

export function readCount(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw bad('a number that is none');
  return value;
}

export function encodeHello({ newest, ...facts }: Hello): Buffer {
  const known = newest && { sequence: newest.sequence, timeMs: newest.timeMs, root: newest.root.toString('hex') };
  return Buffer.from(JSON.stringify({ version: PROTOCOL_VERSION, ...facts, newest: known }));
}

/** @throws DK_PROTOCOL */
export function decodeHello(bytes: Buffer): Hello {
  const { version, store, hashAlgo, newest, encrypted, takeOver } = readObject(bytes);
  if (version !== PROTOCOL_VERSION) throw bad(`version ${String(version)} of replication, this side knows 1`);
  if (typeof store !== 'string' || store.length !== 32 || !HEX.test(store)) throw bad('no id of its store');
  if (typeof hashAlgo !== 'string' || hashAlgo.length > 32) throw bad('no digest algorithm');
  if (typeof encrypted !== 'boolean') throw bad('no word on encryption');
  return { store, hashAlgo, newest: readNewest(newest), encrypted, takeOver: takeOver === true };
}

function readNewest(value: unknown): Identity | null {
  if (value === null) return null;
  if (!isObject(value)) throw bad('no newest checkpoint');
  const { sequence, timeMs, root } = value;
  if (typeof timeMs !== 'number' || typeof root !== 'string' || root.length !== 64 || !HEX.test(root)) {
    throw bad('a newest checkpoint that is none');
  }
  return { sequence: readCount(sequence), timeMs, root: Buffer.from(root, 'hex') };
}

/** Reads a message; what goes beyond its end is DK_PROTOCOL. */
export function reader(bytes: Buffer, what: string): ByteReader {
  return new ByteReader(bytes, 'DK_PROTOCOL', what);
}
