/** Sends blobs to a receiver, over as many sessions as it takes. */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiffKeeperError, isDiffKeeperError, randomBytes, throwIfAborted } from '../core/core.js';
import { checkDigest } from './blob-digests.js';
import { bytesBlob, openFileBlob } from './blob-sources.js';
import { connect } from './connect.js';
import { checkPeerTrust, parsePeerAddress } from './peer-address.js';
import { SessionSums, type TransportTotals } from './session-sums.js';
import type { BlobSource, DigestKind, SendOptions, Session, SessionOptions } from './types.js';

const RETRIES = 8;
const RETRY_MS = 200;
const RETRY_MS_MAX = 5000;

export interface SenderOptions {
  /** Trust, streams, limits. */
  readonly link: SessionOptions & { readonly serverName?: string };
  /**
   * What blobs are checked by at the other end when their BLAKE3 is not known: `xxh3` (default) or `blake3`, which takes longer.
   * Receivers of early releases, and those that want nothing else, get `blake3`.
   */
  readonly digest?: DigestKind;
  /** How often in a row a lost connection is made anew without anything having arrived; default 8. */
  readonly retries?: number;
  /** Ends the sender, its session and what it sends (DK_ABORTED), at once. */
  readonly signal?: AbortSignal;
}

export interface Sender {
  readonly totals: TransportTotals;
  /** Resolves with the receiver's answer once it has the blob durable. A lost connection is made anew, and it goes on. */
  send(blob: BlobSource, options?: SendOptions): Promise<Buffer>;
  /**
   * A message of the state encoder, for `onState` of the receiver. Throws what that throws, with its code; what the decoder
   * there lacks is in `facts`: `key` always, `baselineId`, `expected` and `name` unless the receiver is of an early release.
   */
  sendState(key: string, message: Uint8Array, options?: SendOptions): Promise<Buffer>;
  /** A file, which arrives under `name`. */
  sendFile(path: string, name: string, options?: SendOptions): Promise<Buffer>;
  /** A stream; it goes through a temporary file, since what is sent may have to be sent again. */
  sendStream(stream: Readable, name: string, options?: SendOptions): Promise<Buffer>;
  /** Ends in order. */
  close(): Promise<void>;
}

/** Ends early when the signal says so. */
async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, signal && { signal }).catch(() => {});
}

class ReconnectingSender implements Sender {
  readonly #place: { readonly host: string; readonly port: number };
  readonly #options: SenderOptions;
  #session: Promise<Session> | undefined;
  #current: Session | undefined;
  readonly #sums = new SessionSums();
  #closed = false;
  readonly #onAbort = (): void => this.#current?.destroy(aborted(this.#options.signal));

  constructor(url: string, options: SenderOptions) {
    const address = parsePeerAddress(url);
    checkPeerTrust(url, address, options.link.trust);
    this.#place = { host: address.host, port: address.port };
    this.#options = options;
    options.signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get totals(): TransportTotals {
    const open = this.#current === undefined ? [] : [this.#current];
    return this.#sums.totals(open, Math.max(0, this.#sums.sessions - 1), new Map());
  }

  /** The session that is open, or a new one. */
  async connected(): Promise<Session> {
    if (this.#closed) throw new DiffKeeperError('DK_CONNECTION', 'the sender was closed');
    throwIfAborted(this.#options.signal);
    this.#session ??= this.#dial().catch((error: unknown) => {
      this.#session = undefined;
      throw error;
    });
    return this.#session;
  }

  async #dial(): Promise<Session> {
    const { link, signal } = this.#options;
    const session = await connect(this.#place, { ...link, ...(signal === undefined ? {} : { signal }) });
    this.#sums.watch(session);
    this.#current = session;
    if (signal?.aborted) this.#onAbort();
    const gone = (): void => {
      if (this.#current !== session) return;
      this.#current = undefined;
      this.#session = undefined;
    };
    session.closed.then(gone, gone);
    return session;
  }

  async send(blob: BlobSource, options: SendOptions = {}): Promise<Buffer> {
    const digest = checkDigest(options.digest ?? this.#options.digest ?? 'xxh3');
    const signal = anySignal(this.#options.signal, options.signal);
    let failures = 0;
    let mismatches = 0;
    let taken = 0;
    const onProgress = (bytes: number): void => {
      if (bytes > taken) failures = 0;
      taken = Math.max(taken, bytes);
      options.onProgress?.(bytes, blob.size);
    };
    for (;;) {
      throwIfAborted(signal);
      try {
        const session = await this.connected();
        return await session.send(blob, { digest, onProgress, ...(signal === undefined ? {} : { signal }) });
      } catch (error) {
        if (signal?.aborted) throw aborted(signal);
        const code = isDiffKeeperError(error) ? error.code : 'DK_IO';
        // A lost session counts itself.
        if (code !== 'DK_CONNECTION') this.#sums.failed(code);
        // What an earlier session had left was not what we have: it is gone now, and sent whole.
        const again = code === 'DK_DIGEST_MISMATCH' && mismatches++ === 0;
        const lost = code === 'DK_CONNECTION' && failures < (this.#options.retries ?? RETRIES) && !this.#closed;
        if (!again && !lost) throw error;
        if (lost) await pause(Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** failures), signal);
        failures += 1;
      }
    }
  }

  sendState(key: string, message: Uint8Array, options: SendOptions = {}): Promise<Buffer> {
    // Each message is sent once: its own key is random, that of the state travels beside it.
    return this.send(bytesBlob('state', randomBytes(16), message, Buffer.from(key)), options).catch(
      (error: unknown) => {
        if (!isDiffKeeperError(error) || !isLack(error.code) || error.facts.key !== undefined) throw error;
        throw new DiffKeeperError(error.code, error.message, { ...error.facts, key }, error);
      },
    );
  }

  async sendFile(path: string, name: string, options: SendOptions = {}): Promise<Buffer> {
    const blob = await openFileBlob(path, name);
    try {
      return await this.send(blob, options);
    } finally {
      await blob.close();
    }
  }

  async sendStream(stream: Readable, name: string, options: SendOptions = {}): Promise<Buffer> {
    const signal = anySignal(this.#options.signal, options.signal);
    throwIfAborted(signal);
    // Nothing may come for long: what waits for it is ended, too.
    const onAbort = (): void => void stream.destroy(aborted(signal));
    signal?.addEventListener('abort', onAbort, { once: true });
    // It may fail before anybody reads it: who does is told then.
    stream.on('error', () => {});
    let directory: string | undefined;
    try {
      directory = await mkdtemp(join(tmpdir(), 'diffkeeper-send-'));
      const path = join(directory, 'stream');
      const file = await open(path, 'wx', 0o600);
      try {
        for await (const chunk of stream) {
          throwIfAborted(signal);
          await file.writeFile(typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer));
        }
      } finally {
        await file.close();
      }
      return await this.sendFile(path, name, options);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (directory !== undefined) await rm(directory, { recursive: true, force: true });
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const { signal } = this.#options;
    signal?.removeEventListener('abort', this.#onAbort);
    // Nothing is waited for when it was told to end.
    if (signal?.aborted) this.#onAbort();
    else await this.#current?.close();
  }
}

function aborted(signal: AbortSignal | undefined): DiffKeeperError {
  return new DiffKeeperError('DK_ABORTED', 'sending was aborted', {}, signal?.reason);
}

function isLack(code: string): boolean {
  return /^DK_(BASELINE_MISSING|BASELINE_MISMATCH|DICTIONARY_MISSING)$/.test(code);
}

function anySignal(...signals: (AbortSignal | undefined)[]): AbortSignal | undefined {
  const given = signals.filter((signal) => signal !== undefined);
  return given.length > 1 ? AbortSignal.any(given) : given[0];
}

/**
 * Connects to a receiver: `tls://HOST:PORT`, or `tcp://HOST:PORT` on this machine. Throws DK_CONNECTION, DK_REFUSED,
 * DK_PROTOCOL, DK_CONFIG, DK_ABORTED.
 */
export async function createSender(url: string, options: SenderOptions): Promise<Sender> {
  checkDigest(options.digest ?? 'xxh3');
  const sender = new ReconnectingSender(url, options);
  try {
    await sender.connected();
  } catch (error) {
    await sender.close();
    throw error;
  }
  return sender;
}
