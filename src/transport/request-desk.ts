/** Questions and answers on the control stream. */
import { DiffKeeperError, LIMITS, Semaphore, throwIfAborted } from '../core/core.js';
import { FRAME, type FrameFields, type FrameType } from './frame.js';
import { checkName, decodeRequest, encodeRequest } from './messages.js';
import type { Session } from './types.js';
import { decodeError, encodeError } from './wire-error.js';

export type RequestHandler = Parameters<Session['onRequest']>[1];

/** Handlers that run at once. */
const HANDLERS_MAX = 16;

interface Waiting {
  resolve(body: Buffer): void;
  reject(reason: unknown): void;
}

export class RequestDesk {
  readonly #control: (type: FrameType, payload?: Uint8Array, fields?: FrameFields) => void;
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

  constructor(control: (type: FrameType, payload?: Uint8Array, fields?: FrameFields) => void) {
    this.#control = control;
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
    return this.#places.run(async () => {
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
          this.#control(FRAME.request, encodeRequest(verb, body), { id });
        });
      } finally {
        stop();
        this.#waiting.delete(id);
      }
    });
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
    this.#turns
      .run(async () => {
        throwIfAborted(controller.signal);
        const handler = this.#handlers.get(verb);
        if (handler === undefined) throw new DiffKeeperError('DK_UNSUPPORTED', `nothing here answers ${verb}`);
        const answer = await handler(body, { signal: controller.signal });
        if (answer.length > LIMITS.controlMessageBytes) {
          throw new DiffKeeperError('DK_LIMIT', `the answer to ${verb} is too long`, { actual: answer.length });
        }
        return answer;
      })
      .then(
        (answer) => this.#answer(id, FRAME.response, answer),
        (error: unknown) => this.#answer(id, FRAME.failure, encodeError(error)),
      )
      .finally(() => {
        this.#unfinished -= 1;
      });
  }

  #answer(id: number, type: FrameType, payload: Uint8Array): void {
    if (this.#answering.delete(id) && this.#failure === undefined) this.#control(type, payload, { id });
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
