/** Metrics of a run: figures of the store, which take a look at every entry, and of the recover before it. */
import { expect, it } from 'vitest';
import type { RecoverReport } from '../../src/recover/recover.js';
import { Figures } from '../../src/sidecar/figures.js';
import { Metrics } from '../../src/sidecar/run-metrics.js';
import type { Store } from '../../src/store/store.js';

it('are measured once for all who ask at the same time, and anew only later', async () => {
  let measured = 0;
  let finish = (): void => {};
  const stats = async (): Promise<never> => {
    measured += 1;
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    throw new Error('in trouble');
  };
  const store = { newest: null, stats } as unknown as Store;
  const parts = { figures: new Figures(), store, consistency: 'file', version: '0', missedChanges: () => 0 };
  const metrics = new Metrics(parts);
  const texts = [1, 2, 3, 4].map(() => metrics.text());
  await new Promise((resolve) => setImmediate(resolve));
  expect(measured).toBe(1);
  finish();
  for (const text of texts) expect(await text).toContain('diffkeeper_up');
  await metrics.text();
  expect(measured).toBe(1);
});

it.each([0, 2])('a recover with %i damaged files is counted as what it was', async (damages) => {
  const figures = new Figures();
  const damaged = Array.from({ length: damages }, (_, i) => ({ path: `${i}` }));
  figures.recoverDone({ entries: 9, written: 9, bytes: 90, elapsedMs: 1, damaged } as unknown as RecoverReport);
  const store = { newest: null, stats: () => Promise.reject(new Error('none')) } as unknown as Store;
  const text = await new Metrics({ figures, store, consistency: 'file', version: '0', missedChanges: () => 0 }).text();
  expect(text).toMatch(new RegExp(`^diffkeeper_recovery_total\\{outcome="ok"\\} ${damages > 0 ? 0 : 1}$`, 'm'));
  expect(text).toMatch(new RegExp(`^diffkeeper_recovery_total\\{outcome="damaged"\\} ${damages > 0 ? 1 : 0}$`, 'm'));
});
