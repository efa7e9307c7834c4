/** Room for copies of large files while the application stands still. */
import { expect, it } from 'vitest';
import { copyChanged } from '../../src/capture/held-copies.js';
import { HoldMemory } from '../../src/capture/hold-memory.js';
import type { OpenedLarge } from '../../src/capture/large-files.js';

it('nothing is taken, and nothing fails, when small files have used up more than the room', async () => {
  const hold = async (): Promise<never> => {
    throw new Error('there is no room');
  };
  const opened = { scan: { hold } } as unknown as OpenedLarge;
  const memory = new HoldMemory();
  const files = [1 << 10, 2 << 20, 1 << 30].map((size) => ({ opened, size }));
  expect(await copyChanged(files, { room: -5000, memory })).toEqual([undefined, undefined, undefined]);
});
