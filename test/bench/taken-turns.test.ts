/** How the bench of states compares with the older path: neighbouring blocks, in changing order, all of them counted. */
import { describe, expect, it } from 'vitest';

interface Times {
  readonly wallMs: number;
  readonly cpuMs: number;
}
interface Turn {
  readonly own: Times;
  readonly older?: Times;
}
interface TakenTurns {
  takeTurns(
    own: object,
    older: object | undefined,
    least: object,
  ): Promise<{ turns: { encode: Turn[]; decode: Turn[] }; olderFacts?: object }>;
}
interface WorkloadFigures {
  factorOf(turns: readonly Turn[]): object | undefined;
  pooled(trials: readonly object[]): Record<string, unknown>;
}

const { takeTurns } = (await import('../../bench/state/taken-turns.mjs' as string)) as TakenTurns;
const { factorOf, pooled } = (await import('../../bench/state/workload-figures.mjs' as string)) as WorkloadFigures;

const times = (cpuMs: number): Times => ({ wallMs: 2 * cpuMs, cpuMs });
const turn = (own: number, older?: number): Turn => ({
  own: times(own),
  ...(older !== undefined && { older: times(older) }),
});
const LEAST = { rounds: 2, ms: 0, warm: { calls: 1, ms: 0 }, block: { calls: 2, ms: 0 } };

describe('turns', () => {
  const done: string[] = [];
  const own = {
    encode: async () => void done.push('encode'),
    decode: async () => done.push('decode'),
    check: () => done.push('check'),
    spoil: () => done.push('spoil'),
  };
  const older = {
    block: async (what: string, { calls }: { calls: number }) => {
      done.push(`older ${what} ${calls}`);
      return { bytes: 7, threads: 2, ...times(3) };
    },
  };

  it('change their order, after a warm-up of both, and each message is decoded and compared', async () => {
    const { turns, olderFacts } = await takeTurns(own, older, LEAST);
    const encoded = ['encode', 'encode', 'spoil', 'decode', 'check'];
    const decoded = ['spoil', 'decode', 'check', 'decode', 'check'];
    expect(done).toEqual([
      ...['encode', 'spoil', 'decode', 'check', 'older encode 1', 'spoil', 'decode', 'check', 'older decode 1'],
      ...[...encoded, 'older encode 2', ...decoded, 'older decode 2'],
      ...['older encode 2', ...encoded, 'older decode 2', ...decoded],
    ]);
    expect(olderFacts).toEqual({ bytes: 7, threads: 2 });
    expect([turns.encode.length, turns.decode.length]).toEqual([2, 2]);
    expect(turns.encode.map((one) => one.older)).toEqual([times(3), times(3)]);
  });

  it('are ours alone where there is no older path', async () => {
    const { turns, olderFacts } = await takeTurns(own, undefined, LEAST);
    expect(olderFacts).toBeUndefined();
    expect(turns.decode.map((one) => one.older)).toEqual([undefined, undefined]);
  });
});

describe('the factor', () => {
  it('is the median of the ratios of neighbours, whatever the machine did in between', () => {
    const drifting = [turn(1, 11), turn(2, 20), turn(4, 36), turn(8, 96), turn(1, 13)];
    expect(factorOf(drifting)).toEqual({ median: 11, low: 10, high: 12, turns: 5 });
    expect(factorOf([turn(1)])).toBeUndefined();
    expect(factorOf([])).toBeUndefined();
  });

  it('is of all trials, as are the times of either side', () => {
    const trial = (olderBytes: number, turns: Turn[]): object => ({
      own: { bytes: 5 },
      turns: { encode: turns, decode: turns.map((one) => turn(one.own.cpuMs, 4)) },
      rewritten: { bytes: 6, turns: [turn(1, 2)] },
      olderOwn: { bytes: olderBytes, threads: 2 },
    });
    const row = pooled([trial(7, [turn(1, 10), turn(2, 10)]), trial(7, [turn(4, 48)])]);
    expect(row).toMatchObject({
      own: { bytes: 5, encode: times(2), decode: times(2) },
      older: { bytes: 6, ...times(2) },
      olderOwn: { bytes: 7, threads: 2, encode: times(10), decode: times(4) },
      factors: {
        encode: { median: 10, turns: 3 },
        decode: { median: 2, turns: 3 },
        rewritten: { median: 2, turns: 2 },
      },
      trials: 2,
    });
    const alone = pooled([
      {
        own: { bytes: 5 },
        turns: { encode: [turn(1)], decode: [turn(3)] },
        rewritten: { bytes: 6, turns: [turn(1, 2)] },
        olderOwn: { missing: 'no go' },
      },
    ]);
    expect(alone).toMatchObject({ olderOwn: { missing: 'no go' }, own: { encode: times(1), decode: times(3) } });
    expect(alone.factors).toMatchObject({ encode: undefined, decode: undefined });
  });
});
