/** Dictionaries per class, levels that follow measures, and baselines of which only page hashes are kept. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type EncodedState, StateDecoder } from '../../src/baseline/baseline.js';
import { ClassDictionaries } from '../../src/baseline/class-dictionary.js';
import { EffortControl } from '../../src/baseline/effort-control.js';
import { systemClock } from '../../src/core/core.js';
import type { loadEngine } from '../../src/engine/load.js';
import { editedBytes, patternBytes } from '../engine/samples.js';
import { pair, trip } from './codec-fixture.js';

/** Records as caches hold them: the same fields, other values. */
function record(i: number): Buffer {
  const noise = patternBytes(24, i + 1).toString('hex');
  return Buffer.from(
    `{"session":"${noise}","user":{"name":"user-${i * 7919}","roles":["reader","writer"],"locale":"en-GB"},` +
      `"issued":${1_700_000_000 + i * 61},"expires":${1_700_003_600 + i * 61},"flags":{"beta":false,"mfa":true}}`,
  );
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('dictionaries', () => {
  it('are trained per class, make new records smaller, and travel to decoders that lack them', async () => {
    const both = pair();
    const plain: EncodedState[] = [];
    for (let i = 0; i < 32; i += 1) plain.push((await trip(both, `session-${i}-data`, record(i))).message);
    await until(() => both.encoder.metrics().dictionariesTrained === 1);
    expect(both.encoder.metrics()).toMatchObject({ dictionariesTrained: 1, dictionariesRejected: 0 });
    const messages: EncodedState[] = [];
    for (let i = 100; i < 120; i += 1) {
      const { message, same } = await trip(both, `session-${i}-data`, record(i));
      expect([same, message.kind, message.engines[0]]).toEqual([true, 'full', 'zstd']);
      messages.push(message);
    }
    const [first, second] = messages;
    expect(first?.dictionaryId).toBeGreaterThan(0);
    expect(first?.messageBytes).toBeGreaterThan((second as EncodedState).messageBytes + 1000);
    const sizeOf = (list: readonly EncodedState[]): number =>
      list.reduce((sum, { messageBytes }) => sum + messageBytes, 0) / list.length;
    expect(sizeOf(messages.slice(1))).toBeLessThan(0.85 * sizeOf(plain));
    expect(both.encoder.metrics().dictionarySegments).toBe(20);

    const late = new StateDecoder();
    await expect(late.decode((second as EncodedState).parts)).rejects.toMatchObject({
      code: 'DK_DICTIONARY_MISSING',
      facts: { key: 'session-101-data', name: 'session-data', expected: second?.dictionaryId },
    });
    const answer = await both.encoder.resync('session-101-data');
    await late.decode((answer as EncodedState).parts);
    expect((await late.decode((second as EncodedState).parts)).bytes.equals(record(101))).toBe(true);
    await late.close();
    await both.encoder.close();
  });

  it('are carried again by the state that follows a question without an answer, whoever has had them', async () => {
    const both = pair();
    for (let i = 0; i < 32; i += 1) await both.encoder.encode(`session-${i}-data`, record(i));
    await until(() => both.encoder.metrics().dictionariesTrained === 1);
    await both.encoder.encode('session-100-data', record(100));
    const lost = await both.encoder.encode('session-101-data', record(101));
    both.clock.pass(60 * 60_000);
    both.encoder.prune();
    for (let round = 0; round < 2; round += 1) {
      await expect(both.decoder.decode(lost.parts)).rejects.toMatchObject({ code: 'DK_DICTIONARY_MISSING' });
      expect(await both.encoder.resync('session-101-data')).toBeUndefined();
      // Another key of the class goes elsewhere, and has nothing to do with it.
      await both.encoder.encode('session-102-data', record(102));
      if (round === 0) both.encoder.prune();
    }
    const { message, same } = await trip(both, 'session-101-data', record(103));
    expect([same, message.kind, message.dictionaryId]).toEqual([true, 'full', lost.dictionaryId]);
    expect((await both.decoder.decode(lost.parts)).bytes.equals(record(101))).toBe(true);
    await both.encoder.close();
  });

  it('travel once in a message of several segments that use them', async () => {
    const both = pair({ segmentBytes: 1 << 16 });
    for (let i = 0; i < 32; i += 1) await both.encoder.encode(`session-${i}-data`, record(i));
    await until(() => both.encoder.metrics().dictionariesTrained === 1);
    const state = Buffer.concat(Array.from({ length: 2000 }, (_, i) => record(i)));
    const { message, same } = await trip(both, 'session-101-data', state);
    const dictionaries = message.parts.filter((part) => part.length < 64 && part[0] === 2);
    expect([same, message.dictionaryId > 0, dictionaries.length]).toEqual([true, true, 1]);
    await both.encoder.close();
  });

  it('are not used where they win nothing', async () => {
    const both = pair();
    for (let i = 0; i < 40; i += 1) await trip(both, `noise-${i}`, patternBytes(500, i + 1));
    await until(() => both.encoder.metrics().dictionariesRejected === 1);
    expect(both.encoder.metrics()).toMatchObject({ dictionariesTrained: 0, dictionariesRejected: 1 });
    expect((await trip(both, 'noise-99', patternBytes(500, 99))).message.dictionaryId).toBe(0);
    await both.encoder.close();
  });

  it.each([
    [970, 'trained'],
    [971, 'rejected'],
  ])('must save 3 %% of what they have not seen: %i bytes of 1,000 are %s', async (bytes, outcome) => {
    // Samples are the same length with and without: only what compress says counts.
    const engine = {
      ...{ trainDictionary: async () => Buffer.from('a dictionary'), xxh3: () => 7n },
      compress: async (_bytes: Uint8Array, options: { dictionary?: Uint8Array }) =>
        Buffer.alloc(options.dictionary === undefined ? 1000 : bytes),
    } as unknown as ReturnType<typeof loadEngine>;
    const dictionaries = new ClassDictionaries(engine);
    for (let i = 0; i < 32; i += 1) dictionaries.offer('c', record(i));
    await dictionaries.idle();
    const { trained, rejected } = dictionaries;
    expect([trained, rejected]).toEqual(outcome === 'trained' ? [1, 0] : [0, 1]);
    expect(dictionaries.current('c')?.id).toBe(outcome === 'trained' ? 7 : undefined);
  });

  it('belong to the classes that the caller says, and a wrong class is refused', async () => {
    const both = pair({ classOf: (key) => (key.startsWith('s') ? 'sessions' : '') });
    for (let i = 0; i < 32; i += 1) {
      const { message } = await trip(both, i % 2 ? `s${'x'.repeat(i)}` : `session-${i}`, record(i));
      expect(message.keyClass).toBe('sessions');
    }
    await until(() => both.encoder.metrics().dictionariesTrained === 1);
    expect((await trip(both, 'sy', record(99))).message.dictionaryId).toBeGreaterThan(0);
    await expect(both.encoder.encode('other', record(1))).rejects.toThrow(RangeError);
    await both.encoder.close();
  });

  it('can be left out', async () => {
    const both = pair({ dictionaries: false });
    for (let i = 0; i < 70; i += 1) await trip(both, `session-${i}`, record(i));
    expect(both.encoder.metrics()).toMatchObject({ dictionariesTrained: 0, dictionariesRejected: 0 });
  });
});

describe('levels', () => {
  const options = { level: 'adaptive', timeBudgetMs: 50, linkBytesPerSecond: undefined, adaptiveThreshold: 3 } as const;
  const levels = (control: EffortControl, ms: number, ratio: number, count: number): number[] =>
    Array.from({ length: count }, () => {
      control.observe('c', { level: control.level('c'), inBytes: 1e6, outBytes: 1e6 / ratio, ms });
      return control.level('c');
    });

  /** 1 MB as it is, or coded at this level. */
  const outOf = (level: number): number => (level === 0 ? 1e6 : level >= 6 ? 4e5 : 5e5);

  it('rise while there is time and the ratio is low, fall when there is none, and come back', () => {
    const control = new EffortControl(options);
    expect(control.level('c')).toBe(3);
    expect(levels(control, 5, 1.5, 6)).toEqual([6, 9, 12, 15, 19, 19]);
    expect(levels(control, 80, 1.5, 7)).toEqual([15, 12, 9, 6, 3, 1, 1]);
    expect(levels(control, 5, 1.5, 2)).toEqual([3, 6]);
    expect(levels(control, 5, 8, 3)).toEqual([3, 3, 3]);
    expect(control.changes).toBeGreaterThan(10);
  });

  it('take the level with the least time for encoding plus sending', () => {
    // Level L costs L ms and saves: 1 MB becomes 500 kB at 1, 400 kB from 6 on.
    const run = (linkBytesPerSecond: number): Map<number, number> => {
      const control = new EffortControl({ ...options, linkBytesPerSecond });
      const tally = new Map<number, number>();
      for (let i = 0; i < 400; i += 1) {
        const level = control.level('c');
        tally.set(level, (tally.get(level) ?? 0) + 1);
        control.observe('c', { level, inBytes: 1e6, outBytes: outOf(level), ms: level });
      }
      return tally;
    };
    const best = (tally: ReadonlyMap<number, number>) => [...tally].sort((a, b) => b[1] - a[1])[0]?.[0] as number;
    expect(best(run(1e6))).toBe(6);
    expect(best(run(2e8))).toBe(1);
    // Without zstd, where the link is as fast; where it is not, that is not even tried.
    expect(best(run(1e9))).toBe(0);
    expect(run(1e6).get(0)).toBe(undefined);
    // What is clearly worse is tried less and less often, and never given up.
    const tally = run(2e8);
    expect(tally.get(1)).toBeGreaterThan(380);
    expect(tally.get(3)).toBeGreaterThan(3);
  });

  it('are not given up for one bad moment', () => {
    const control = new EffortControl({ ...options, linkBytesPerSecond: 1e9 });
    let tries = 0;
    const taken = Array.from({ length: 24 }, () => {
      const level = control.level('c');
      if (level === 0) tries += 1;
      const ms = level === 0 && tries === 1 ? 30 : level;
      control.observe('c', { level, inBytes: 1e6, outBytes: outOf(level), ms });
      return level;
    });
    expect(taken.slice(-6)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('are found anew when the states are others', () => {
    const control = new EffortControl({ ...options, linkBytesPerSecond: 1e8 });
    /** The level that most of the last ten get. */
    const late = (outBytes: (level: number) => number, count: number): number => {
      const levels = Array.from({ length: count }, () => {
        const level = control.level('c');
        control.observe('c', { level, inBytes: 1e6, outBytes: outBytes(level), ms: level });
        return level;
      });
      return levels.slice(-10).sort((one, other) => one - other)[5] as number;
    };
    expect(late(outOf, 600)).toBe(1);
    expect(late((level) => (level === 0 ? 1e6 : level === 1 ? 9e5 : 1e5), 60)).toBe(3);
    // Nothing is to be saved.
    expect(late((level) => (level === 0 ? 1e6 : 9.5e5), 60)).toBe(0);
    expect(late(outOf, 60)).toBe(1);
  });

  it('are found anew after sending states as they are for long, which says nothing of them', () => {
    for (const before of [50, 600, 1000, 2000]) {
      const control = new EffortControl({ ...options, linkBytesPerSecond: 2e8 });
      const levels = (count: number, share: number, ms: number): number[] =>
        Array.from({ length: count }, () => {
          const level = control.level('c');
          const coded = level > 0;
          control.observe('c', {
            level,
            inBytes: 1e6,
            outBytes: coded ? 1e6 * share : 1e6,
            ms: coded ? ms * level : 0.05,
          });
          return level;
        });
      expect(levels(before, 0.85, 3).at(-1)).toBe(0);
      // One look within so many states, and another one to be sure.
      const found = levels(256 + 20, 0.1, 1);
      expect(found.slice(-5)).toEqual([1, 1, 1, 1, 1]);
    }
    // Those that go to and fro are not looked at for good.
    const control = new EffortControl({ ...options, linkBytesPerSecond: 2e8 });
    let looks = 0;
    for (let i = 0; i < 2000; i += 1) {
      const level = control.level('c');
      if (level > 0) looks += 1;
      const share = i % 3 === 0 ? 0.6 : 0.95;
      control.observe('c', {
        level,
        inBytes: 1e6,
        outBytes: level > 0 ? 1e6 * share : 1e6,
        ms: level > 0 ? 9 * level : 0.05,
      });
    }
    expect(looks).toBeLessThan(200);
  });

  it('are those of long states: short ones say nothing of them', () => {
    /** Levels of the long ones, each behind so many short ones. */
    const run = (short: number): number[] => {
      const control = new EffortControl({ ...options, linkBytesPerSecond: 1e6 });
      return Array.from({ length: 100 }, () => {
        for (let i = 0; i < short; i += 1)
          control.observe('c', { level: control.level('c'), inBytes: 10, outBytes: 90, ms: 0.2 });
        const level = control.level('c');
        control.observe('c', { level, inBytes: 3e5, outBytes: level === 0 ? 3e5 : 1e5, ms: level });
        return level;
      });
    };
    expect(run(4)).toEqual(run(0));
  });

  it('of noise are forgotten when text comes', () => {
    const control = new EffortControl({ ...options, linkBytesPerSecond: 1e9 });
    const last: number[] = [];
    for (let i = 0; i < 300; i += 1) {
      const level = control.level('c');
      const noise = i < 40;
      control.observe('c', {
        level,
        inBytes: 1e6,
        outBytes: noise || level === 0 ? 1e6 : 5e5,
        ms: noise || level === 0 ? 0.1 : 5 * level,
      });
      if (i >= 290) last.push(level);
    }
    expect(last.filter((level) => level === 0).length).toBeGreaterThan(7);
  });

  it('leave zstd out of states for a link that is as fast as memory', async () => {
    const both = pair({ level: 'adaptive', linkBytesPerSecond: 1e13, dictionaries: false, clock: systemClock });
    const text = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `line ${i * 7919}\n`).join(''));
    // However long it takes on a busy machine until a first one goes out as it is: all of them come back.
    let raw: EncodedState | undefined;
    for (let i = 0; i < 400 && raw === undefined; i += 1) {
      const { message, same } = await trip(both, `k-${i}`, text);
      expect(same).toBe(true);
      if (message.engines.join() === 'raw') raw = message;
    }
    expect(raw?.messageBytes).toBeGreaterThan(text.length);
    // A delta is one nevertheless.
    const changed = Buffer.from(text);
    changed[70_000] = 1;
    const { message, same } = await trip(both, 'k-0', changed);
    expect([same, message.kind]).toEqual([true, 'delta']);
    await both.encoder.close();
  });

  it('are not tried again and again where the next one took too long', () => {
    const control = new EffortControl(options);
    // Up to 9 a state takes 10 ms, beyond that 80.
    const seen: number[] = [];
    for (let i = 0; i < 40; i += 1) {
      const level = control.level('c');
      seen.push(level);
      control.observe('c', { level, inBytes: 1e6, outBytes: 8e5, ms: level > 9 ? 80 : 10 });
    }
    const late = seen.slice(5);
    expect(late.filter((level) => level === 12).length).toBeGreaterThan(2);
    expect(late.filter((level) => level === 12).length).toBeLessThan(6);
    expect(late.filter((level) => level < 9)).toEqual([]);
  });

  it('are for states that they are likely to fit, however they were reached', () => {
    for (const inBytes of [1, 300, 1e4]) {
      const control = new EffortControl(options);
      for (let i = 0; i < 12; i += 1)
        control.observe('c', { level: control.level('c'), inBytes, outBytes: inBytes, ms: 0.2 });
      expect([control.level('c', { bytes: inBytes }), control.level('c', { bytes: 32 << 20 })]).toEqual([19, 3]);
      expect(control.level('c', { bytes: 1 << 20 })).toBeLessThan(15);
      // What a long one really took counts from then on, and says nothing against short ones.
      control.observe('c', { level: 3, inBytes: 32 << 20, outBytes: 20 << 20, ms: 30 });
      expect(control.level('c', { bytes: inBytes })).toBe(19);
    }
  });

  it('stay where they are for states that no level changes, and deltas have levels of their own', async () => {
    const control = new EffortControl(options);
    for (let i = 0; i < 12; i += 1) {
      control.observe('c', { level: 3, inBytes: 1e6, outBytes: 1e6, ms: 1, levelled: false });
      control.observe('c', {
        kind: 'delta',
        level: control.level('c', { kind: 'delta' }),
        inBytes: 1e6,
        outBytes: 9e5,
        ms: 1,
      });
    }
    expect([control.level('c'), control.level('c', { kind: 'delta' })]).toEqual([3, 19]);
    for (const enabled of [true, false]) {
      const both = pair({ level: 'adaptive', enabled, dictionaries: false });
      for (let i = 0; i < 12; i += 1) await trip(both, `noise-${i}`, randomBytes(100_000));
      await trip(both, 'noise-13', Buffer.alloc(1e6, 'text of which there is much'));
      expect([both.encoder.metrics().levelChanges, both.encoder.metrics().level]).toEqual([0, 3]);
    }
  });

  it('follow the time that coding takes, not that of a slow producer or consumer', async () => {
    const both = pair({ segmentBytes: 1 << 16, level: 'adaptive' });
    const state = patternBytes(200_000, 4);
    async function* slow(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < state.length; at += 50_000) {
        both.clock.pass(1000);
        yield state.subarray(at, at + 50_000);
      }
    }
    for (let i = 0; i < 3; i += 1) {
      for await (const _part of both.encoder.encodeStream('k', slow())) both.clock.pass(1000);
    }
    expect(both.encoder.metrics()).toMatchObject({ operations: 3, encodeMs: 0, encodeMsMax: 0 });
    await both.encoder.close();
  });

  it('stay where they are told to', () => {
    const control = new EffortControl({ ...options, level: 7 });
    expect(levels(control, 500, 1, 3)).toEqual([7, 7, 7]);
  });
});

describe('page hashes', () => {
  it('take 0.4 % of the state and make deltas of whole pages', async () => {
    const both = pair({ keep: 'pages', segmentBytes: 1 << 16 });
    const state = patternBytes(1 << 20, 1);
    expect((await trip(both, 'k', state)).message.kind).toBe('full');
    // 16 bytes per page, and what every baseline counts for.
    expect(both.encoder.metrics().baselineMemoryBytes).toBeLessThan(state.length / 256 + 2000);
    const changed = Buffer.from(state);
    for (const page of [3, 4, 77, 200]) changed[page * 4096 + 11] = 1;
    const { message, same } = await trip(both, 'k', changed);
    expect([same, message.kind, message.engines]).toEqual([true, 'delta', ['pages']]);
    expect(message.messageBytes).toBeLessThan(4 * 4096 + 2000);
    for (const target of [
      state.subarray(0, 100_000),
      Buffer.concat([state, state]),
      Buffer.alloc(0),
      Buffer.from('x'),
      editedBytes(state, 1),
      Buffer.alloc(1 << 20),
      state,
    ]) {
      expect((await trip(both, 'k', target)).same).toBe(true);
    }
    expect(await both.encoder.resync('k')).toBeUndefined();
    expect((await trip(both, 'k', state)).message.kind).toBe('full');
  });

  it('work in a chain of previous states', async () => {
    const both = pair({ keep: 'pages', reference: 'previous' });
    const state = patternBytes(300_000, 1);
    for (let i = 0; i < 6; i += 1)
      expect((await trip(both, 'k', editedBytes(state, i).subarray(0, 300_000))).same).toBe(true);
    expect(both.encoder.metrics()).toMatchObject({ failures: 0, baselineCount: 1 });
  });
});
