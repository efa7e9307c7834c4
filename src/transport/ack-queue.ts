/** Acknowledgements of pieces: those of one turn of the event loop go out together. */
import { FRAME } from './frame.js';
import { ACKS_MAX, type Ack, encodeAcks } from './messages.js';
import type { ControlSend } from './request-desk.js';

export class AckQueue {
  readonly #control: ControlSend;
  #acks: Ack[] = [];
  #over = false;

  constructor(control: ControlSend) {
    this.#control = control;
  }

  add(ack: Ack): void {
    this.#acks.push(ack);
    if (this.#acks.length === 1) setImmediate(() => this.flush());
    else if (this.#acks.length >= ACKS_MAX) this.flush();
  }

  /** Sends what waits, so that it is there before what is said next. */
  flush(): void {
    if (this.#acks.length === 0 || this.#over) return;
    this.#control(FRAME.ack, encodeAcks(this.#acks));
    this.#acks = [];
  }

  /** Nothing more is said. */
  end(): void {
    this.#over = true;
  }
}
