/** Questions and answers on the control stream. */
import { DiffKeeperError, LIMITS, Semaphore, throwIfAborted } from '../core/core.js';
import { FRAME, type FrameFields, type FrameType } from './frame.js';
import { checkName, decodeRequest, encodeRequest } from './messages.js';
import type { Session } from './types.js';
import { decodeError, encodeError } from './wire-error.js';

/** Sends a frame; `done` is called when its memory is free again. */
export type ControlSend = (type: FrameType, payload?: Uint8Array, fields?: FrameFields, done?: () => void) => void;
export type RequestHandler = Parameters<Session['onRequest']>[1];

/** Handlers that run at once. */
const HANDLERS_MAX = 16;

interface Waiting {
  resolve(body: Buffer): void;
  reject(reason: unknown): void;
}

export class RequestDesk {
  readonly #control: ControlSend;
  readonly #version: number;
  readonly #handlers = new Map<string, RequestHandler>();
  readonly #waiting = new Map<number, Waiting>();
  /** Questions of the other side that are being answered. */
  readonly #answering = new Map<number, AbortController>();
  readonly #places = new Semaphore(LIMITS.openRequests);
  readonly #turns = new Semaphore(HANDLERS_MAX);
  #nextId = 1;
  /** Questions that are being answered or wait for that, the cancelled ones included: their memory is in use. */
  #unfinished = 0;
  #failure: DiffKeeperError | undefined;

  /** @param version of the protocol */
  constructor(control: ControlSend, version: number) {
    this.#control = control;
    this.#version = version;
  }

  get open(): number {
    return this.#waiting.size;
  }

  /** Questions that are being answered here. */
  get answering(): number {
    return this.#answering.size;
  }

  onRequest(verb: string, handler: RequestHandler): void {
    checkName(verb, 'verb');
    this.#handlers.set(verb, handler);
  }

  async request(verb: string, body: Uint8Array, signal: AbortSignal | undefined): Promise<Buffer> {
    checkName(verb, 'verb');
    if (body.length > LIMITS.controlMessageBytes) {
      throw new RangeError(`a request must have at most ${LIMITS.controlMessageBytes} bytes, not ${body.length}`);
    }
    let written: Promise<void> = Promise.resolve();
    return new Promise((resolve, reject) => {
      // An answer that comes before the question was written gives no place to another one.
      void this.#places.run(async () => {
        await this.#ask(verb, body, signal, (sent) => {
          written = sent;
        }).then(resolve, reject);
        await written;
      });
    });
  }

  /** Asks, and waits for the answer. @param told is told when the question is in the kernel */
  async #ask(
    verb: string,
    body: Uint8Array,
    signal: AbortSignal | undefined,
    told: (written: Promise<void>) => void,
  ): Promise<Buffer> {
    throwIfAborted(signal);
    if (this.#failure !== undefined) throw this.#failure;
    const id = this.#nextId;
    this.#nextId += 1;
    let stop = (): void => {};
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        const onAbort = (): void => {
          this.#control(FRAME.cancel, undefined, { id });
          reject(new DiffKeeperError('DK_ABORTED', 'the request was aborted', {}, signal?.reason));
        };
        signal?.addEventListener('abort', onAbort, { once: true });
        stop = () => signal?.removeEventListener('abort', onAbort);
        told(this.#written(FRAME.request, encodeRequest(verb, body), id));
      });
    } finally {
      stop();
      this.#waiting.delete(id);
    }
  }

  /** Sends; resolves when the kernel has it, or the link is over. */
  #written(type: FrameType, payload: Uint8Array, id: number): Promise<void> {
    return new Promise((resolve) => this.#control(type, payload, { id }, resolve));
  }

  answered(id: number, body: Buffer): void {
    this.#waiting.get(id)?.resolve(body);
  }

  failed(id: number, payload: Buffer): void {
    const error = decodeError(payload);
    this.#waiting.get(id)?.reject(error);
  }

  /** The other side asks. Throws DK_PROTOCOL when it has asked too much already. */
  asked(id: number, payload: Buffer): void {
    const { verb, body } = decodeRequest(payload);
    // Twice: one that was cancelled may be replaced before the word about it arrives.
    if (this.#answering.has(id) || this.#unfinished >= 2 * LIMITS.openRequests) {
      throw new DiffKeeperError('DK_PROTOCOL', 'too many questions at once');
    }
    const controller = new AbortController();
    this.#answering.set(id, controller);
    this.#unfinished += 1;
    // The turn lasts until the answer is written: whoever asks and does not read gets no further ones made.
    void this.#turns
      .run(async () => {
        const { type, payload } = await this.#answerTo(verb, body, controller.signal);
        if (this.#answering.delete(id) && this.#failure === undefined) await this.#written(type, payload, id);
      })
      .finally(() => {
        this.#unfinished -= 1;
      });
  }

  async #answerTo(
    verb: string,
    body: Buffer,
    signal: AbortSignal,
  ): Promise<{ readonly type: FrameType; readonly payload: Uint8Array }> {
    try {
      throwIfAborted(signal);
      const handler = this.#handlers.get(verb);
      if (handler === undefined) throw new DiffKeeperError('DK_UNSUPPORTED', `nothing here answers ${verb}`);
      const answer = await handler(body, { signal });
      if (answer.length > LIMITS.controlMessageBytes) {
        throw new DiffKeeperError('DK_LIMIT', `the answer to ${verb} is too long`, { actual: answer.length });
      }
      return { type: FRAME.response, payload: answer };
    } catch (error) {
      return { type: FRAME.failure, payload: encodeError(error, this.#version) };
    }
  }

  /** The other side does not want the answer any more. */
  cancelled(id: number): void {
    const controller = this.#answering.get(id);
    this.#answering.delete(id);
    controller?.abort();
  }

  fail(reason: DiffKeeperError): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    for (const { reject } of this.#waiting.values()) reject(reason);
    for (const controller of this.#answering.values()) controller.abort();
    this.#answering.clear();
  }
}
