/**
 * Memory for files that are taken while the application stands still. It is kept from one freeze point to the next and
 * touched before it is needed: memory that the system has yet to find costs as much time as the bytes that go into it. What is
 * not touched costs nothing, so there are addresses for all that may be held: nothing has to be tried a second time elsewhere.
 */

/** Bytes of changed content held at most. */
export const HOLD_BYTES = 64 << 20;
const HOLD_BYTES_MIN = 4 << 20;
/** Fresh memory touched at once: the event loop stands still meanwhile, for a millisecond per MB on some machines. */
const TOUCH_BYTES = 8 << 20;
/** How much of what was needed once is still expected one freeze point later. */
const FADING = 0.9;
const NOTHING = Buffer.alloc(0);

export class HoldMemory {
  #bytes = NOTHING;
  #touched = 0;
  #used = 0;
  #wanted = 0;
  #expected = 0;

  /** Before a freeze point, when nothing taken earlier is needed any more: makes room for what the last ones took. */
  prepare(): void {
    const before = this.#bytes;
    this.#expected = Math.max(this.#wanted, FADING * this.#expected - 1);
    // Powers of two: what grows slowly is not found anew each time.
    let bytes = this.#expected > 0 ? HOLD_BYTES_MIN : 0;
    while (bytes > 0 && bytes < Math.min(this.#expected, HOLD_BYTES)) bytes *= 2;
    // More may have been used than was expected.
    this.#touched = Math.max(this.#touched, this.#used);
    if (bytes === 0) this.#bytes = NOTHING;
    else if (this.#bytes.length === 0 || 4 * bytes < this.#touched) this.#bytes = Buffer.allocUnsafeSlow(HOLD_BYTES);
    if (this.#bytes !== before) this.#touched = 0;
    const end = Math.min(bytes, this.#touched + TOUCH_BYTES);
    if (end > this.#touched) {
      this.#bytes.fill(0, this.#touched, end);
      this.#touched = end;
    }
    this.#used = 0;
    this.#wanted = 0;
  }

  /** Room for this many bytes, valid until the next `prepare`. The caller keeps within `HOLD_BYTES`. */
  take(bytes: number): Uint8Array {
    this.#wanted += bytes;
    const start = this.#used;
    if (bytes > this.#bytes.length - start) return Buffer.allocUnsafeSlow(bytes);
    this.#used += bytes;
    return this.#bytes.subarray(start, start + bytes);
  }

  /** Room for this many bytes, to be filled from its begin on; `keep` says how far it was. Undefined: there is none here. */
  offer(bytes: number): Uint8Array | undefined {
    const start = this.#used;
    return bytes > this.#bytes.length - start ? undefined : this.#bytes.subarray(start, start + bytes);
  }

  /** This much was taken: of what was offered (then that part is valid until the next `prepare`), or elsewhere. */
  keep(bytes: number, offered: boolean): void {
    this.#wanted += bytes;
    if (offered) this.#used += bytes;
  }
}
