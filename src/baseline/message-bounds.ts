/** What a message may make its reader hold: checked from heads and headers, before the bytes behind them are taken. */
import { DiffKeeperError } from '../core/core.js';
import { corruptState, type StateHead } from './state-message.js';

/** Dictionaries of different numbers in one message. Encoders send two at most. */
const DICTIONARIES_MAX = 16;

export class MessageBounds {
  readonly #stateBytesMax: number;
  #head: StateHead | undefined;
  #segments = 0;
  #stateBytes = 0;

  constructor(stateBytesMax: number) {
    this.#stateBytesMax = stateBytesMax;
  }

  head(head: StateHead): void {
    this.#head = head;
    this.#checkLength(head.stateBytes ?? 0);
  }

  /** The next segment. All but the last are full, together they make what the head promises. Throws DK_CORRUPT_DELTA, DK_LIMIT. */
  segment({ targetBytes }: { readonly targetBytes: number }): void {
    const { segmentBytes = 0, digests = false, stateBytes } = this.#head ?? {};
    if (this.#stateBytes !== this.#segments * segmentBytes) throw corruptState('a segment follows a short one');
    if (this.#segments > 0 && !digests) throw corruptState('it has more than one segment');
    if (this.#segments > 0 && targetBytes === 0) throw corruptState('an empty segment follows others');
    if (stateBytes !== undefined) {
      const due = Math.min(segmentBytes, stateBytes - this.#stateBytes);
      if (targetBytes !== due) throw corruptState(`a segment of ${targetBytes} bytes where its head promises ${due}`);
    }
    this.#segments += 1;
    this.#stateBytes += targetBytes;
    this.#checkLength(this.#stateBytes);
  }

  /** What the end says of the segments before it. Throws DK_CORRUPT_DELTA. */
  end({ stateBytes }: { readonly stateBytes: number }): void {
    if (this.#segments === 0) throw corruptState('it has no segment');
    const made = this.#stateBytes;
    if (stateBytes !== made) throw corruptState(`its segments make ${made} bytes, its end says ${stateBytes}`);
    const promised = this.#head?.stateBytes ?? made;
    if (promised !== made) throw corruptState(`its segments make ${made} bytes, its head promises ${promised}`);
  }

  #checkLength(stateBytes: number): void {
    const limit = this.#stateBytesMax;
    if (stateBytes <= limit) return;
    throw new DiffKeeperError('DK_LIMIT', `the message makes ${stateBytes} bytes; at most ${limit} are allowed`, {
      expected: limit,
      actual: stateBytes,
    });
  }
}

/** The dictionaries that a message carries: for itself at once, for others when all of it turned out to be right. */
export class MessageDictionaries {
  readonly #known = new Map<number, Buffer>();

  /** One that is here already takes no room. Throws DK_CORRUPT_DELTA, DK_LIMIT. */
  add(id: number, bytes: Uint8Array): void {
    const known = this.#known.get(id);
    if (known?.equals(bytes)) return;
    if (known !== undefined) throw corruptState(`it has two dictionaries ${id}`);
    if (this.#known.size >= DICTIONARIES_MAX) {
      throw new DiffKeeperError('DK_LIMIT', `the message carries more than ${DICTIONARIES_MAX} dictionaries`, {
        expected: DICTIONARIES_MAX,
      });
    }
    // The bytes are a view of the message.
    this.#known.set(id, Buffer.from(bytes));
  }

  get(id: number): Buffer | undefined {
    return this.#known.get(id);
  }

  entries(): Iterable<[number, Buffer]> {
    return this.#known;
  }
}
