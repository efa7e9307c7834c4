/** One step of a scan of the twin. */
import { LIMITS } from '../core/core.js';
import type { ScanStep } from './engine.js';

const ZERO_PAGE = Buffer.alloc(LIMITS.pageBytes);

/** Ranges of one step as they grow. */
export class StepBuilder {
  readonly #ranges: number[] = [];
  readonly #zero: number[] = [];
  readonly #data: Buffer[] = [];
  bytes = 0;

  add(offset: number, page: Buffer): void {
    const zero = page.equals(ZERO_PAGE.subarray(0, page.length)) ? 1 : 0;
    const last = this.#zero.length - 1;
    const joins = last >= 0 && this.#zero[last] === zero && this.#end() === offset;
    if (joins) this.#ranges[last * 2 + 1] = (this.#ranges[last * 2 + 1] as number) + page.length;
    else {
      this.#ranges.push(offset, page.length);
      this.#zero.push(zero);
    }
    if (zero === 1) return;
    // The block is read into again: what is handed out needs a copy.
    this.#data.push(Buffer.from(page));
    this.bytes += page.length;
  }

  #end(): number {
    return (this.#ranges.at(-2) as number) + (this.#ranges.at(-1) as number);
  }

  build(done: boolean): ScanStep {
    return {
      ranges: Float64Array.from(this.#ranges),
      zero: Uint8Array.from(this.#zero),
      data: Buffer.concat(this.#data),
      done,
    };
  }
}
