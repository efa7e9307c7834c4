import { expect, it } from 'vitest';
import type { CaptureReport } from '../../src/capture/types.js';
import { spacingOf } from '../../src/capture/watch-settings.js';
import { silentLogger } from '../../src/core/core.js';

const report = {} as CaptureReport;

it('takes a time for the next capture, and nothing else', () => {
  expect(spacingOf({}, report)).toBe(0);
  expect(spacingOf({ spacing: () => 250 }, report)).toBe(250);
  for (const none of [Number.NaN, -1, 0, undefined as unknown as number]) {
    expect(spacingOf({ spacing: () => none }, report)).toBe(0);
  }
});

it('says that it threw, and goes on', () => {
  const said: unknown[] = [];
  const logger = { ...silentLogger, error: (facts: unknown) => said.push(facts) } as typeof silentLogger;
  const spacing = (): number => {
    throw new Error('mine');
  };
  expect(spacingOf({ spacing, logger }, report)).toBe(0);
  expect(said).toEqual([{ error: 'Error: mine' }]);
});
