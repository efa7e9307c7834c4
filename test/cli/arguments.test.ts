import { describe, expect, it } from 'vitest';
import { splitArguments } from '../../src/cli/arguments.js';
import { parseCount, parseMoment } from '../../src/cli/moment.js';
import { count, showBytes, showDuration, showTime } from '../../src/cli/units.js';

const NOW = Date.UTC(2026, 0, 15, 12, 0, 0);

describe('splitArguments', () => {
  it('means run when there is no command word', () => {
    expect(splitArguments(['--state-dir=a', '--', 'node', '--version'])).toEqual({
      head: ['run', '--state-dir=a'],
      command: ['node', '--version'],
    });
  });

  it('never takes the application for a command of ours', () => {
    expect(splitArguments(['--', 'capture', '--help']).head).toEqual(['run']);
    expect(splitArguments(['--state-dir', 'capture', '--', 'x']).head).toEqual(['run', '--state-dir', 'capture']);
  });

  it('finds the command word after options', () => {
    expect(splitArguments(['--debug', '--store', 's', 'log', 'a/b']).head).toEqual([
      'log',
      '--debug=true',
      '--store',
      's',
      'a/b',
    ]);
  });

  it('keeps help and version of the program', () => {
    expect(splitArguments(['--help'])).toEqual({ head: ['--help'], command: null });
    expect(splitArguments([])).toEqual({ head: [], command: null });
    expect(splitArguments(['--no-exec'])).toEqual({ head: ['run', '--no-exec'], command: null });
  });

  it('hands unknown words to the parser', () => {
    expect(splitArguments(['--debug', 'frob']).head[0]).toBe('frob');
  });

  it('takes what is behind -- for arguments of a command that starts none', () => {
    expect(splitArguments(['log', '--json', '--', '-dash', '--json'])).toEqual({
      head: ['log', '--json=true', '--', '-dash', '--json'],
      command: null,
    });
  });

  it('leaves switches that the command does not have as they were typed', () => {
    expect(splitArguments(['cat', '--json', '--debug', 'x']).head).toEqual(['cat', '--json', '--debug=true', 'x']);
  });

  it('splits at the first -- only', () => {
    expect(splitArguments(['run', '--', 'sh', '-c', 'x', '--', 'y']).command).toEqual(['sh', '-c', 'x', '--', 'y']);
  });
});

describe('parseMoment', () => {
  it('reads checkpoint numbers', () => {
    expect(parseMoment('12', NOW)).toBe(12);
    expect(parseMoment(undefined, NOW)).toBeUndefined();
  });

  it.each([
    ['10m', 10 * 60_000],
    ['2h ago', 2 * 3_600_000],
    ['1.5d', 1.5 * 86_400_000],
    ['30 s ago', 30_000],
    ['3w', 3 * 604_800_000],
  ])('reads %s as a time ago', (text, ago) => {
    expect(parseMoment(text, NOW)).toEqual(new Date(NOW - ago));
  });

  it('reads ISO times, local without a zone', () => {
    expect(parseMoment('2026-01-02T03:04:05.25Z', NOW)).toEqual(new Date('2026-01-02T03:04:05.250Z'));
    expect(parseMoment('2026-01-02T03:04:05.000+02:00', NOW)).toEqual(new Date('2026-01-02T01:04:05Z'));
    expect(parseMoment('2026-01-02', NOW)).toEqual(new Date(2026, 0, 2));
    expect(parseMoment('2026-01-02 03:04', NOW)).toEqual(new Date(2026, 0, 2, 3, 4));
  });

  it('takes a time without a fraction to the end of its second, as it is shown', () => {
    expect(parseMoment('2026-01-02T03:04:05Z', NOW)).toEqual(new Date('2026-01-02T03:04:05.999Z'));
    expect(parseMoment('2026-01-02T03:04:05+02:00', NOW)).toEqual(new Date('2026-01-02T01:04:05.999Z'));
    const shown = new Date(2026, 0, 2, 3, 4, 5, 678).getTime();
    expect(parseMoment(showTime(shown), NOW)).toEqual(new Date(2026, 0, 2, 3, 4, 5, 999));
  });

  it.each(['yesterday', '-5m', '2026-13-40', '10 parsecs', '1e3', ' x '])('takes %j for a tag', (text) => {
    expect(parseMoment(text, NOW, 'from')).toEqual({ tag: text, name: 'from', marked: false });
  });

  it('takes anything for a tag that is marked as one', () => {
    for (const tag of ['12', '10m', '2026-01-02', 'tag:x', 'x '])
      expect(parseMoment(`tag:${tag}`, NOW)).toEqual({ tag, name: '--at', marked: true });
  });

  it.each(['', ' ', 'tag:', 'tag: ', `tag:${'x'.repeat(1025)}`, 'ü'.repeat(513)])('refuses %j', (text) => {
    expect(() => parseMoment(text, NOW)).toThrow(expect.objectContaining({ code: 'DK_ARGUMENT' }));
  });

  it('reads counts', () => {
    expect(parseCount('--limit', '7', 20)).toBe(7);
    expect(parseCount('--limit', undefined, 20)).toBe(20);
    expect(() => parseCount('--limit', '-1', 20)).toThrow(/--limit: got "-1"/);
  });
});

describe('units', () => {
  it('shows bytes and times shortly', () => {
    expect([0, 999, 1000, 1536, 1 << 20, 5 * 1024 ** 3].map(showBytes)).toEqual([
      '0 B',
      '999 B',
      '1.0 KB',
      '1.5 KB',
      '1.0 MB',
      '5.0 GB',
    ]);
    expect([0.5, 12, 1500, 90_000].map(showDuration)).toEqual(['0.5 ms', '12 ms', '1.5 s', '1 min 30 s']);
    expect([count(1, 'entry'), count(2, 'entry'), count(1200, 'file')]).toEqual([
      '1 entry',
      '2 entries',
      '1,200 files',
    ]);
  });
});
