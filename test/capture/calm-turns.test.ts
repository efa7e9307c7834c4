import { describe, expect, it } from 'vitest';
import { CalmTurns } from '../../src/capture/calm-turns.js';

describe('directories that had too many events', () => {
  const calmed = new Set(['db', 'log']);

  it('stay off watch for as long as each look finds changes in them, but not for ever', () => {
    const turns = new CalmTurns(true);
    expect(turns.stays('db')).toBe(false);
    turns.looked(calmed, ['db/a', 'elsewhere/b']);
    expect([turns.stays('db'), turns.stays('log'), turns.stays('elsewhere')]).toEqual([true, false, false]);
    let captures = 1;
    for (; turns.stays('db') && captures < 100; captures += 1) turns.looked(calmed, ['db/a', 'log/c']);
    expect(captures).toBe(17);
    expect(turns.stays('log')).toBe(true);
    // Too busy once more: another while.
    turns.looked(calmed, ['db/b']);
    expect([turns.stays('db'), turns.stays('log')]).toEqual([true, false]);
  });

  it('are watched again once they are quiet, or when a change is none of their names', () => {
    const turns = new CalmTurns(true);
    turns.looked(calmed, ['db/a', 'log/a']);
    turns.looked(calmed, ['db/below/a', 'log']);
    expect([turns.stays('db'), turns.stays('log')]).toEqual([false, false]);
    turns.looked(calmed, ['db/a']);
    turns.looked(new Set(), ['db/a']);
    expect(turns.stays('db')).toBe(false);
  });

  it('count when they were off watch until the capture began, and only for that one', () => {
    const turns = new CalmTurns(true);
    turns.rearmed(calmed);
    turns.rearmed(new Set());
    turns.looked(new Set(), ['db/a', 'elsewhere/b']);
    expect([turns.stays('db'), turns.stays('log'), turns.stays('elsewhere')]).toEqual([true, false, false]);
    // Off watch all the time from here on.
    turns.rearmed(new Set(['db']));
    turns.looked(new Set(['db']), ['db/a']);
    expect(turns.stays('db')).toBe(true);
    turns.rearmed(new Set());
    turns.looked(new Set(), ['db/a']);
    expect(turns.stays('db')).toBe(false);
  });

  it('are watched for each capture where changes hasten it', () => {
    const turns = new CalmTurns(false);
    turns.looked(calmed, ['db/a']);
    expect(turns.stays('db')).toBe(false);
  });
});
