/** Freeze points beside condensing: nobody waits for a pack that is put in its place while the application stands still. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { Meta } from '../../src/store/meta.js';
import { writeHistory } from '../store/condensed-store.js';
import { engines, noise, StateFixture } from './state-fixture.js';

const { packBytes } = LIMITS;
const { writeInBatches } = Meta.prototype;
/** The metadata takes so long to follow a pack that was replaced, ms. */
const SLOW_MS = 4000;

beforeEach(() => {
  (LIMITS as { packBytes: number }).packBytes = 24 << 10;
});
afterEach(() => {
  (LIMITS as { packBytes: number }).packBytes = packBytes;
  Meta.prototype.writeInBatches = writeInBatches;
});

it.each(engines())(
  'a condense that begins after a capture has (%s)',
  async (_, engine) => {
    const fixture = await StateFixture.create(engine);
    await writeHistory(fixture.store, 1, 120);
    const capture = (freeze: () => Promise<{ thaw: () => Promise<number> }>) => fixture.capture({ freeze });
    await capture(async () => ({ thaw: async () => 0 }));
    let replacing: () => void = () => {};
    const begun = new Promise<void>((resolve) => {
      replacing = resolve;
    });
    Meta.prototype.writeInBatches = async function (this: Meta, ...given: Parameters<Meta['writeInBatches']>) {
      replacing();
      await sleep(SLOW_MS);
      return writeInBatches.apply(this, given);
    };
    // A large file: its older version is looked up while the application stands still.
    fixture.write('new', noise(3 << 20, 7));
    let pauseMs = Number.NaN;
    let condensing: Promise<unknown> = Promise.resolve();
    await capture(async () => {
      // Between the look before and the standstill, as a timer would do it.
      condensing = fixture.store.condense();
      await Promise.race([begun, sleep(1500)]);
      const stoppedMs = performance.now();
      return {
        thaw: async () => {
          pauseMs = performance.now() - stoppedMs;
          return pauseMs;
        },
      };
    });
    Meta.prototype.writeInBatches = writeInBatches;
    await condensing;
    expect(pauseMs).toBeLessThan(SLOW_MS / 2);
    await fixture.session.close();
    await fixture.store.close();
  },
  60_000,
);
