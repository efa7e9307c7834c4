/** The scan of one large file, taken to memory while the application stands still, to be worked up afterwards. */
import { LIMITS } from '../core/core.js';
import type { FileScan, ScanResult, ScanStep } from '../engine/engine.js';

export class HeldScan implements FileScan {
  readonly row: BigInt64Array;
  readonly #live: FileScan;
  readonly #steps: ScanStep[] = [];
  #result: ScanResult | undefined;
  #failure: { readonly error: unknown } | undefined;
  /** Changed bytes in memory. */
  heldBytes = 0;

  /** It is taken already. */
  map(): Promise<boolean> {
    return Promise.resolve(false);
  }

  hold(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  renew(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  clone(): Promise<boolean> {
    return Promise.resolve(false);
  }

  private constructor(live: FileScan) {
    this.#live = live;
    this.row = live.row;
  }

  /**
   * Reads on until the end or until about `bytesMax` changed bytes are held. Errors come back when it is replayed. What is read to
   * its end is open no longer: there may be thousands.
   */
  static async record(live: FileScan, bytesMax: number): Promise<HeldScan> {
    const held = new HeldScan(live);
    await held.#record(bytesMax).catch((error: unknown) => {
      held.#failure = { error };
    });
    if (held.complete) await live.close();
    return held;
  }

  /** Nothing more is asked of the file: the application may change it. */
  get complete(): boolean {
    return this.#result !== undefined || this.#failure !== undefined;
  }

  get torn(): boolean {
    return this.#result?.torn ?? false;
  }

  async #record(bytesMax: number): Promise<void> {
    for (;;) {
      const room = bytesMax - this.heldBytes;
      if (room < LIMITS.blobBytes) return;
      const step = await this.#live.next(Math.min(room, LIMITS.stagedBytes));
      this.heldBytes += step.data.length;
      this.#steps.push(step);
      if (step.done) break;
    }
    this.#result = await this.#live.finish();
  }

  async next(dataBytesMax: number): Promise<ScanStep> {
    const step = this.#steps.shift();
    if (step) return step;
    if (this.#failure) throw this.#failure.error;
    return this.#live.next(dataBytesMax);
  }

  async finish(): Promise<ScanResult> {
    if (this.#failure) throw this.#failure.error;
    return this.#result ?? this.#live.finish();
  }

  close(): Promise<void> {
    return this.#live.close();
  }
}
