/** Lets other processes of the same user read a store that this one owns. */
import {
  DiffKeeperError,
  LIMITS,
  type LocalListener,
  type LocalSocket,
  type Logger,
  listenLocal,
  localDescriptor,
} from '../core/core.js';
import { ByteWriter, type Checkpoint } from '../format/format.js';
import { OpenedStore } from './opened-store.js';
import {
  ASK,
  decodeKeys,
  decodeRange,
  encodeEntries,
  encodeValues,
  FRAME_LIMITS,
  fine,
  frames,
  isHello,
  refused,
} from './owner-protocol.js';
import type { OwnerView } from './owner-views.js';
import { storePaths } from './store-files.js';
import type { Store } from './types.js';

const CONNECTIONS_MAX = 32;
/** Who asks for nothing and takes nothing for so long holds packs that a prune would give back. */
const IDLE_MS = 10 * 60_000;
/** Values looked up at once: each may have 64 KiB of attributes. */
const LOOKUP_KEYS = 64;
const NOTHING = Buffer.alloc(0);

export interface ShareOptions {
  readonly logger?: Logger;
  /**
   * Names the newest state on behalf of another process; absent: such requests are refused. `descriptor`: of the connection by
   * which it asks, -1 where that is not known.
   */
  readonly tag?: (text: string, descriptor: number) => Promise<Checkpoint | null>;
}

export interface Sharing {
  /** Ends it; so does closing the store. Whoever reads is told DK_STORE_CLOSED. */
  close(): Promise<void>;
}

/**
 * Other processes of the same user can read the store from now on, through `read.sock` in it: `openStoreToRead` finds
 * it. They see the moment at which they come, and hold no memory of this process. Another call takes the place of the
 * one before. Null when the store is of schema 1, or lies where no socket can be.
 *
 * @throws DK_STORE_CLOSED
 */
export async function shareStore(store: Store, options: ShareOptions = {}): Promise<Sharing | null> {
  if (!(store instanceof OpenedStore)) return null;
  const serve = (socket: LocalSocket): void => void new OwnerSession(store, socket, options).run();
  let listening: Promise<LocalListener> | undefined;
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (listening ?? Promise.resolve(null)).then((listener) => listener?.close()).catch(() => {});
    return closing;
  };
  // Closing the store waits for a socket in the making: once the store is another process's, so is its name.
  await store.attach(close);
  try {
    if (closing) return null;
    listening = listenLocal(storePaths(store.path).socket, serve, CONNECTIONS_MAX);
    await listening;
    return { close };
  } catch (error) {
    options.logger?.debug({ error: String(error) }, 'other processes cannot read the store: no socket');
    return null;
  }
}

/** One reader. Its requests are answered one after the other; the next is read when the answer has gone out. */
class OwnerSession {
  readonly #store: OpenedStore;
  readonly #socket: LocalSocket;
  readonly #options: ShareOptions;
  #view: OwnerView | undefined;

  constructor(store: OpenedStore, socket: LocalSocket, options: ShareOptions) {
    this.#store = store;
    this.#socket = socket;
    this.#options = options;
  }

  async run(): Promise<void> {
    const socket = this.#socket;
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    try {
      for await (const request of frames(socket, FRAME_LIMITS.request)) {
        const answer = await this.#answer(request).then(fine, refused);
        await new Promise<void>((resolve, reject) => {
          socket.write(answer, (error) => (error ? reject(error) : resolve()));
        });
        if (!this.#view) return;
      }
    } catch {
      // It has gone, or talks nonsense: nothing to tell it.
    } finally {
      socket.end();
      await this.#view?.end();
    }
  }

  async #answer(request: Buffer): Promise<Uint8Array> {
    const [kind, body] = [request[0], request.subarray(1)];
    if (this.#view) return this.#look(this.#view, kind, body);
    if (kind !== ASK.hello || !isHello(body, this.#store.id)) {
      throw new DiffKeeperError('DK_UNSUPPORTED', 'another release, or another store');
    }
    this.#view = await this.#store.view(() => this.#socket.destroy());
    return NOTHING;
  }

  async #look({ meta }: OwnerView, kind: number | undefined, body: Buffer): Promise<Uint8Array> {
    if (kind === ASK.get) return encodeValues(await this.#values(decodeKeys(body)));
    if (kind === ASK.range) {
      const { range, ...how } = decodeRange(body);
      return encodeEntries(await meta.entries(range, { ...how, bytesMax: FRAME_LIMITS.answer }));
    }
    if (kind === ASK.tag) return this.#tag(body);
    throw new DiffKeeperError('DK_UNSUPPORTED', `unknown request ${kind}`);
  }

  /** Of the first keys, as many as one answer takes. */
  async #values(keys: readonly Buffer[]): Promise<(Buffer | undefined)[]> {
    const { meta } = this.#view as OwnerView;
    const values: (Buffer | undefined)[] = [];
    for (let bytes = 0; values.length < keys.length && bytes < FRAME_LIMITS.answer; ) {
      for (const value of await meta.getMany(keys.slice(values.length, values.length + LOOKUP_KEYS))) {
        values.push(value);
        bytes += value?.length ?? 0;
      }
    }
    return values;
  }

  async #tag(body: Buffer): Promise<Uint8Array> {
    const { tag } = this.#options;
    if (!tag) throw new DiffKeeperError('DK_STORE_LOCKED', 'the process that owns the store takes no tags');
    if (body.length === 0 || body.length > LIMITS.tagBytes) {
      throw new DiffKeeperError('DK_ARGUMENT', `a tag has 1 to ${LIMITS.tagBytes} bytes`);
    }
    const checkpoint = await tag(body.toString(), localDescriptor(this.#socket));
    if (!checkpoint) throw new DiffKeeperError('DK_IO', 'there is no checkpoint that could carry the tag');
    return new ByteWriter(16).varint(checkpoint.sequence).finish();
  }
}
