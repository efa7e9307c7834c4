/** Thousands of large files may move between two freeze points: what is in memory of them keeps none of them open. */
import { readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { files } from '../native/tree-door.js';
import { engines, letTheClockTick, noise, StateFixture } from './state-fixture.js';

const COUNT = LIMITS.openScans + 40;
let fixture: StateFixture;
afterEach(async () => {
  files.mapAnywhere(false);
  await fixture.close();
});

const openFiles = (): number => readdirSync('/proc/self/fd').length;

describe.each(engines())('%s engine', (kind, engine) => {
  it.each(kind === 'native' ? [false, true] : [false])(
    'more files than may be open are taken at one freeze point, mapped: %s',
    async (mapped) => {
      files.mapAnywhere(mapped);
      fixture = await StateFixture.create(engine);
      const name = (i: number): string => `large/${i}`;
      for (let i = 0; i < COUNT; i += 1) fixture.write(name(i), noise(300_000, i));
      await fixture.capture();
      // At the second one, what was taken at the first is mapped before.
      for (let round = 1; round <= 2; round += 1) {
        await letTheClockTick();
        for (let i = 0; i < COUNT; i += 1) fixture.write(name(i), noise(300_000, i).fill(round, 70_000, 75_000));
        let before = 0;
        let after = 0;
        const freeze = async () => {
          before = openFiles();
          return {
            rescan: [],
            thaw: async () => {
              after = openFiles();
              return 1;
            },
          };
        };
        const report = await fixture.capture({ freeze });
        expect(report).toMatchObject({ changed: COUNT, skipped: [], unsettled: [] });
        expect(after - before).toBeLessThanOrEqual(LIMITS.openScans);
        await fixture.expectKept();
      }
    },
    120_000,
  );
});
