/** Results in parts: none is lost when a run is stopped, or when another part is measured anew. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratch } from '../cli/cli-process.js';

/** What the programs of bench/ use of it; they are plain JavaScript. */
interface MeasuredParts {
  madeBy(result: object, command: string): string;
  measuredParts(options: {
    file: string;
    names: readonly string[];
    only: string;
    quick: boolean;
    machine: Record<string, string>;
    report(result: object): void;
  }): (name: string, task: (lacks: (what: string, error: Error) => void) => unknown) => Promise<void>;
}

const { madeBy, measuredParts } = (await import('../../bench/lib/measured-parts.mjs' as string)) as MeasuredParts;

let directory = '';
let remove = async (): Promise<void> => {};
beforeAll(async () => {
  ({ directory, remove } = await scratch());
});
afterAll(() => remove());

const read = (file: string) => JSON.parse(readFileSync(file, 'utf8'));

function open(file: string, only: string, { commit = 'aaa', CPU = 'one', quick = false } = {}) {
  const reports: string[] = [];
  const machine = { CPU, commit, engine: 'native', node: 'v1' };
  const part = measuredParts({
    file,
    names: ['first', 'second', 'third'],
    only,
    quick,
    machine,
    report: (result) => void reports.push(madeBy(result, 'bench')),
  });
  return { part, reports };
}

describe('results in parts', () => {
  it('are written after each', async () => {
    const file = path.join(directory, 'each', 'result.json');
    const { part, reports } = open(file, 'second,first');
    await part('first', () => 1);
    expect(read(file).parts).toEqual({ first: 1 });
    await part('second', async () => 2);
    await part('third', () => expect.fail('was not chosen'));
    expect(read(file)).toMatchObject({ parts: { first: 1, second: 2 }, missing: {} });
    expect(reports).toHaveLength(2);
    expect(existsSync(`${file}.part`)).toBe(false);
  });

  it('keep those that are not chosen, with their commit, in their order', async () => {
    const file = path.join(directory, 'kept.json');
    const before = open(file, 'second,third');
    await before.part('second', (lacks) => {
      lacks('peer', new Error('not installed'));
      return 2;
    });
    await before.part('third', () => 3);
    const after = open(file, 'first,third', { commit: 'bbb' });
    await after.part('first', () => 10);
    await after.part('third', () => 30);
    const { parts, missing, taken } = read(file);
    expect(Object.entries(parts)).toEqual([
      ['first', 10],
      ['second', 2],
      ['third', 30],
    ]);
    expect(missing).toEqual({ 'second: peer': 'not installed' });
    expect([taken.second.commit, taken.third.commit]).toEqual(['aaa', 'bbb']);
    expect(after.reports.at(-1)).toMatch(/commit bbb\. Taken earlier: second \([-\d]+, commit aaa\)\.$/);
    const again = open(file, 'second', { commit: 'bbb' });
    await again.part('second', () => 20);
    expect(read(file).missing).toEqual({});
    expect(again.reports.at(-1)).not.toContain('earlier');
  });

  it('name what failed, and go on', async () => {
    const file = path.join(directory, 'failed.json');
    const { part } = open(file, 'first,second');
    await part('first', () => {
      throw new Error('no such thing');
    });
    await part('second', () => 2);
    expect(read(file)).toMatchObject({ parts: { second: 2 }, missing: { first: 'no such thing' } });
  });

  it.each([{ CPU: 'another' }, { quick: true }])('do not mix with others: %o', async (other) => {
    const file = path.join(directory, `mixed-${Object.keys(other)[0]}.json`);
    await open(file, 'first').part('first', () => 1);
    await open(file, 'second', other).part('second', () => 2);
    expect(read(file).parts).toEqual({ second: 2 });
  });

  it('take the place of a file that has none', async () => {
    const file = path.join(directory, 'older.json');
    writeFileSync(file, JSON.stringify({ date: '2026-01-02', quick: false, trials: { first: 1 } }));
    await open(file, 'second').part('second', () => 2);
    expect(read(file)).toMatchObject({ parts: { second: 2 }, missing: {} });
  });

  it('are asked for by name', () => {
    expect(() => open(path.join(directory, 'no.json'), 'fourth')).toThrow(/unknown "fourth"; there are: first/);
  });
});
