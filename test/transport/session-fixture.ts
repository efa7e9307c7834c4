/** Two ends of a session in one process, and blobs in memory. */
import { createHash } from 'node:crypto';
import { vi } from 'vitest';
import { SOCKET_FIGURES } from '../../src/engine/engine.js';
import { Link } from '../../src/transport/link.js';
import type {
  BlobOffer,
  BlobSink,
  BlobSource,
  ConnectOptions,
  Listener,
  ListenOptions,
  Session,
  Trust,
} from '../../src/transport/transport.js';
import { connect, listen } from '../../src/transport/transport.js';

export const PLAIN: Trust = { plaintext: true };

/** Bytes that no two seeds share, and that do not repeat within a blob. */
export function seededBytes(size: number, seed: number): Buffer {
  const bytes = Buffer.alloc(size);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let at = 0; at + 4 <= size; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE((state ^ (state >>> 15)) >>> 0, at);
  }
  return bytes;
}

export interface MemorySource extends BlobSource {
  readonly bytes: Buffer;
  /** Bytes that were read from it. */
  readBytes: number;
}

export function memorySource(bytes: Buffer, options: Partial<BlobSource> = {}): MemorySource {
  const source: MemorySource = {
    service: 'test',
    key: createHash('sha256').update(bytes).digest(),
    size: bytes.length,
    bytes,
    readBytes: 0,
    async read(offset, into) {
      const count = bytes.copy(into, 0, offset);
      source.readBytes += count;
      return count;
    },
    ...options,
  };
  return source;
}

/** What a receiver was given, and what became of it. */
export class MemoryReceiver {
  readonly finished: { readonly offer: BlobOffer; readonly bytes: Buffer }[] = [];
  readonly aborted: Error[] = [];
  readonly offers: BlobOffer[] = [];
  /** Kept of blobs that were not finished, by key: bytes and what of them came. */
  readonly kept = new Map<string, { bytes: Buffer; have: [number, number][] }>();
  answer: Buffer | undefined;
  beforeWrite: ((offset: number) => Promise<void>) | undefined;
  writtenBytes = 0;
  /** Sinks that are open, by key: one that is taken up again waits until the last has ended. */
  readonly #busy = new Map<string, Promise<void>>();

  readonly open = async (offer: BlobOffer): Promise<BlobSink | null> => {
    this.offers.push(offer);
    const name = offer.key.toString('hex');
    await this.#busy.get(name);
    if (this.finished.some((done) => done.offer.key.equals(offer.key))) return null;
    let ended = (): void => {};
    this.#busy.set(
      name,
      new Promise((resolve) => {
        ended = resolve;
      }),
    );
    const state = this.kept.get(name) ?? { bytes: Buffer.alloc(offer.size), have: [] };
    this.kept.set(name, state);
    return {
      have: joined(state.have),
      read: async (offset, into) => {
        state.bytes.copy(into, 0, offset);
      },
      write: async (offset, bytes) => {
        await this.beforeWrite?.(offset);
        bytes.copy(state.bytes, offset);
        state.have.push([offset, bytes.length]);
        this.writtenBytes += bytes.length;
      },
      finish: async () => {
        this.kept.delete(name);
        this.finished.push({ offer, bytes: state.bytes });
        ended();
        return this.answer;
      },
      abort: async (reason) => {
        this.aborted.push(reason);
        ended();
      },
    };
  };
}

/** Pieces in order, those that touch as one. */
function joined(pieces: readonly [number, number][]): [number, number][] {
  const result: [number, number][] = [];
  for (const [offset, length] of [...pieces].sort((left, right) => left[0] - right[0])) {
    const last = result.at(-1);
    if (last !== undefined && last[0] + last[1] === offset) last[1] += length;
    else result.push([offset, length]);
  }
  return result;
}

/** Has the kernel say that each way is 80 ms long, until all mocks are restored. */
export function farAway(): void {
  const figures = new Float64Array(32);
  figures[SOCKET_FIGURES.minRttMs] = 80;
  figures[SOCKET_FIGURES.rttMs] = 80;
  vi.spyOn(Link.prototype, 'figures').mockReturnValue(figures);
}

export interface Pair {
  readonly client: Session;
  readonly server: Session;
  readonly listener: Listener;
  end(): Promise<void>;
}

/** Runs with a session between two ends of this process, and ends it. */
export async function withPair(
  options: { readonly listen?: Partial<ListenOptions>; readonly connect?: Partial<ConnectOptions> },
  body: (pair: Pair) => Promise<void>,
): Promise<void> {
  let taken: (session: Session) => void = () => {};
  const arrived = new Promise<Session>((resolve) => {
    taken = resolve;
  });
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    trust: PLAIN,
    ...options.listen,
    onSession: (session) => {
      options.listen?.onSession?.(session);
      taken(session);
    },
  });
  try {
    const place = { host: '127.0.0.1', port: listener.port };
    const client = await connect(place, { trust: PLAIN, ...options.connect });
    const server = await arrived;
    await body({ client, server, listener, end: () => client.close() });
    client.destroy(new Error('the test is over'));
  } finally {
    await listener.close(100);
  }
}
