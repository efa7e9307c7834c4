import { describe, expect, it } from 'vitest';
import { count, showNumber } from '../../src/cli/units.js';

describe('units', () => {
  it('groups numbers by three digits', () => {
    expect([0, 7, 999, 1000, 12_345, 123_456, 1_234_567].map(showNumber)).toEqual([
      '0',
      '7',
      '999',
      '1,000',
      '12,345',
      '123,456',
      '1,234,567',
    ]);
  });

  it('counts things', () => {
    expect([count(1, 'entry'), count(2000, 'entry'), count(0, 'file')]).toEqual([
      '1 entry',
      '2,000 entries',
      '0 files',
    ]);
  });
});
