/** The metadata of a store that another process owns, asked of it: everything as of the moment of the connection. */
import { connectLocal, DiffKeeperError, isDiffKeeperError, type LocalSocket } from '../core/core.js';
import { ByteReader, type Checksum } from '../format/format.js';
import type { IndexCipher } from './index-cipher.js';
import { MetaCiphers } from './meta-ciphers.js';
import { EVERYTHING, type KeyRange } from './meta-keys.js';
import { type MetaReader, MetaSeal, type RangeOptions } from './meta-reader.js';
import {
  ASK,
  answerBody,
  decodeEntries,
  decodeValues,
  encodeHello,
  encodeKeys,
  encodeRange,
  FRAME_LIMITS,
  frame,
  frames,
} from './owner-protocol.js';

/** An owner that says nothing for so long while it is asked hangs, or was stopped. */
const SILENCE_MS = 60_000;
/** Bytes of keys in one request. */
const KEYS_BYTES = FRAME_LIMITS.request >> 1;
const ZERO = Buffer.alloc(1);

interface Pending {
  readonly resolve: (answer: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** What is known of the store before its owner is asked. */
interface OwnedStore {
  readonly path: string;
  readonly id: string;
  readonly checksum: Checksum;
  /** As `Meta.useCiphers`; none for a store that is not encrypted, or whose metadata is not read. */
  readonly ciphers: readonly IndexCipher[];
  /** Default a minute. */
  readonly silenceMs?: number;
}

export class OwnerConnection implements MetaReader {
  readonly #socket: LocalSocket;
  readonly #store: string;
  readonly #seal: MetaSeal;
  /** Asked and not answered yet, in order. */
  readonly #pending: Pending[] = [];
  #gone: string | null = null;

  private constructor(socket: LocalSocket, { path, checksum, silenceMs = SILENCE_MS }: OwnedStore) {
    this.#socket = socket;
    this.#store = path;
    this.#seal = new MetaSeal(path, checksum);
    socket.setTimeout(silenceMs, () => {
      if (this.#pending.length > 0) this.#end('does not answer');
    });
    void this.#receive();
  }

  /** Null when nobody answers at the socket, or not in words that we know. */
  static async open(socketPath: string, store: OwnedStore): Promise<OwnerConnection | null> {
    const socket = await connectLocal(socketPath);
    if (!socket) return null;
    const connection = new OwnerConnection(socket, store);
    try {
      await connection.#ask(ASK.hello, encodeHello(store.id));
      await connection.#findCipher(store.ciphers);
      return connection;
    } catch {
      connection.close();
      return null;
    }
  }

  /** The owner may have had no room to seal its metadata anew since the last rotation. */
  async #findCipher(all: readonly IndexCipher[]): Promise<void> {
    const ciphers = new MetaCiphers();
    ciphers.use(all);
    const cipher = await ciphers.of({
      get: async (key) => (await this.#sealedValues([key]))[0],
      first: async (count) => {
        const found: [Buffer, Buffer][] = [];
        for await (const entries of this.#entries(EVERYTHING, { limit: count })) found.push(...entries);
        return found;
      },
    });
    if (cipher) this.#seal.useCipher(cipher);
  }

  async #receive(): Promise<void> {
    try {
      for await (const answer of frames(this.#socket, FRAME_LIMITS.answerMax)) {
        const asked = this.#pending.shift();
        if (!asked) break;
        asked.resolve(answer);
      }
      this.#end('has ended or closed it');
    } catch (error) {
      this.#end(isDiffKeeperError(error) ? error.message : 'has ended or closed it');
    }
  }

  #end(reason: string): void {
    this.#gone ??= reason;
    this.#socket.destroy();
    for (const { reject } of this.#pending.splice(0)) reject(this.#closedError());
  }

  #closedError(): DiffKeeperError {
    const what = `the process that owns the store ${this.#store} ${this.#gone}: what was read is not complete`;
    return new DiffKeeperError('DK_STORE_CLOSED', what, { path: this.#store });
  }

  /** Throws DK_STORE_CLOSED when the owner is known to have gone: nothing keeps packs from being removed any more. */
  assertAlive(): void {
    if (this.#gone !== null) throw this.#closedError();
  }

  /** As `assertAlive`, and asks it. */
  async ping(): Promise<void> {
    await this.#ask(ASK.get, encodeKeys([]));
  }

  async #ask(kind: number, body: Uint8Array): Promise<Buffer> {
    this.assertAlive();
    const answer = await new Promise<Buffer>((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      this.#socket.write(frame(kind, body));
    });
    return answerBody(answer);
  }

  get isOrdered(): boolean {
    return this.#seal.isOrdered;
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return (await this.getMany([key]))[0];
  }

  getMany(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#seal.values(keys, (stored) => this.#sealedValues(stored));
  }

  async #sealedValues(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const values: (Buffer | undefined)[] = [];
    while (values.length < keys.length) {
      const asked = firstKeys(keys, values.length);
      for (const value of decodeValues(await this.#ask(ASK.get, encodeKeys(asked)), asked.length)) values.push(value);
    }
    return values;
  }

  range(range: KeyRange, options: RangeOptions = {}): AsyncGenerator<[Buffer, Buffer][]> {
    return this.#seal.range(range, options, (stored, how) => this.#entries(stored, how));
  }

  async *#entries(range: KeyRange, options: RangeOptions): AsyncGenerator<readonly [Buffer, Buffer][]> {
    const { reverse = false, limit: wanted = -1 } = options;
    let rest = range;
    for (let left = wanted < 0 ? Number.POSITIVE_INFINITY : wanted; left > 0; ) {
      const limit = Math.min(left, FRAME_LIMITS.entries);
      const answer = await this.#ask(ASK.range, encodeRange({ range: rest, reverse, limit }));
      const { entries, all } = decodeEntries(answer, limit);
      if (entries.length > 0) yield entries;
      if (all) return;
      left -= entries.length;
      const [last] = entries[entries.length - 1] as [Buffer, Buffer];
      rest = reverse ? { ...rest, lt: last } : { ...rest, gte: Buffer.concat([last, ZERO]) };
    }
  }

  /** Whether `tag` may be asked of it: only who watches over a directory can name the state of one. */
  async takesTags(): Promise<boolean> {
    try {
      await this.#ask(ASK.tag, new Uint8Array(0));
      return true;
    } catch (error) {
      // No text names nothing. Who takes tags at all says that this one is bad.
      return isDiffKeeperError(error, 'DK_ARGUMENT');
    }
  }

  /** Names the newest state; gives the sequence of the checkpoint that carries the text. Throws DK_STORE_LOCKED. */
  async tag(text: string): Promise<number> {
    return new ByteReader(await this.#ask(ASK.tag, Buffer.from(text)), 'DK_IO', 'answer to a tag').varint();
  }

  close(): void {
    this.#end('is not asked any more');
  }
}

/** Keys from the `first` on, as many as one request takes. */
function firstKeys(keys: readonly Buffer[], first: number): Buffer[] {
  let bytes = 0;
  let end = first;
  for (; end < keys.length && end - first < FRAME_LIMITS.keys && bytes < KEYS_BYTES; end += 1) {
    bytes += (keys[end] as Buffer).length;
  }
  return keys.slice(first, end);
}
