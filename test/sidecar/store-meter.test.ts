/** Figures of the store, which take a look at every entry. */
import { expect, it } from 'vitest';
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
