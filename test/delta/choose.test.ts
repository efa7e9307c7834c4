/** What `auto` tries, takes and says. */
import { describe, expect, it } from 'vitest';
import { type DeltaReport, type DiffOptions, diff, inspectDelta, patch } from '../../src/delta/delta.js';
import { loadEngine } from '../../src/engine/load.js';
import { editedBytes, patternBytes, textBytes } from '../engine/samples.js';

async function reported(source: Buffer, target: Buffer, options: DiffOptions = {}) {
  let report: DeltaReport | undefined;
  const delta = await diff(source, target, {
    ...options,
    onReport: (made) => {
      report = made;
    },
  });
  expect((await patch(source, delta)).equals(target)).toBe(true);
  if (report === undefined) throw new Error('nothing was reported');
  return { delta, report };
}

const tried = (report: DeltaReport) => report.candidates.filter(({ bytes }) => bytes !== undefined);
const executable = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from('7f454c46', 'hex'), bytes]);

describe('auto', () => {
  it('compares engines on small inputs and takes the smallest', async () => {
    const source = textBytes(20_000, 1);
    const { delta, report } = await reported(source, editedBytes(source, 2));
    expect(tried(report).map(({ engine }) => engine)).toEqual(['raw', 'xor', 'zstd-prefix', 'align', 'zstd']);
    const taken = tried(report).find(({ engine }) => engine === report.engine);
    expect(taken?.bytes).toBe(Math.min(...tried(report).map(({ bytes }) => bytes ?? 0)));
    expect((await inspectDelta(delta)).engine).toBe(report.engine);
    expect(report.why).toContain(report.engine);
  });

  it('spares the snapshot of a high level where a quick one shows that it cannot win', async () => {
    const source = textBytes(20_000, 1);
    const engines = async (target: Buffer, effort: 'fast' | 'max') =>
      tried((await reported(source, target, { effort })).report).map(({ engine }) => engine);
    expect(await engines(editedBytes(source, 2), 'max')).not.toContain('zstd');
    expect(await engines(textBytes(20_000, 9), 'max')).toContain('zstd');
    expect(await engines(editedBytes(source, 2), 'fast')).toContain('zstd');
  });

  it('relies on align for large ones and says why the others are out', async () => {
    const source = patternBytes(600_000, 1);
    const { report } = await reported(source, Buffer.concat([patternBytes(100, 7), source]));
    expect(report.engine).toBe('align');
    expect(report.evidence?.inPlace).toBe(0);
    const out = report.candidates.filter(({ bytes }) => bytes === undefined).map(({ engine }) => engine);
    expect(out).toEqual(expect.arrayContaining(['zstd-prefix', 'bsdiff']));
    expect(report.candidates.every(({ reason }) => reason.length > 5)).toBe(true);
  });

  it('tries align on floats at the effort max only where some of them stayed as they were', async () => {
    const source = Buffer.alloc(400_000);
    for (let i = 0; i < 100_000; i += 1) source.writeFloatLE(Math.sin(i * 1.7), 4 * i);
    const step = Buffer.from(source);
    for (let i = 0; i < 100_000; i += 1) step.writeFloatLE(source.readFloatLE(4 * i) * 1.0001 + 1e-6, 4 * i);
    const half = Buffer.concat([step.subarray(0, 200_000), source.subarray(200_000)]);
    const regions = [{ begin: 0, bytes: source.length, width: 4 as const, source: 0 }];
    const engines = async (target: Buffer, effort: 'fast' | 'max') =>
      tried((await reported(source, target, { effort, regions })).report).map(({ engine }) => engine);
    expect(await engines(step, 'max')).toContain('tensor');
    expect(await engines(step, 'max')).not.toContain('align');
    expect(await engines(half, 'max')).toContain('align');
    expect(await engines(half, 'fast')).not.toContain('align');
  });

  it('runs bsdiff on executables at the effort max only', async () => {
    const source = executable(patternBytes(400_000, 1));
    const target = executable(editedBytes(patternBytes(400_000, 1), 4));
    const engines = async (options: DiffOptions) =>
      tried((await reported(source, target, options)).report).map(({ engine }) => engine);
    expect(await engines({ effort: 'max' })).toContain('bsdiff');
    expect(await engines({ effort: 'balanced' })).not.toContain('bsdiff');
    const plain = await reported(source.subarray(4), target.subarray(4), { effort: 'max' });
    expect(tried(plain.report).map(({ engine }) => engine)).not.toContain('bsdiff');
  });

  it('runs one of align and bsdiff alone where samples of an executable, or align, tell which is smaller', async () => {
    const code = patternBytes(600_000, 1);
    const moved = Buffer.from(code);
    const noise = patternBytes(code.length, 5);
    for (let at = 1; at < moved.length; at += 1) {
      if ((noise[at] as number) < 16) moved[at] = (code[at] as number) + (noise[at - 1] as number);
    }
    const renewed = Buffer.concat([patternBytes(400_000, 9), code.subarray(400_000)]);
    const engines = async (target: Buffer) =>
      tried((await reported(executable(code), executable(target), { effort: 'max' })).report).map(
        ({ engine }) => engine,
      );
    expect(await engines(moved)).toEqual(['raw', 'bsdiff']);
    expect(await engines(renewed)).toEqual(expect.arrayContaining(['raw', 'align']));
    expect(await engines(renewed)).not.toContain('bsdiff');
  });

  it('is never larger than a compressed snapshot', async () => {
    const target = textBytes(900_000, 3);
    for (const source of [Buffer.alloc(0), patternBytes(900_000, 8), Buffer.alloc(900_000)]) {
      const { delta } = await reported(source, target);
      const snapshot = await loadEngine().compress(target, { level: 3 });
      expect(delta.length).toBeLessThanOrEqual(snapshot.length + 96);
    }
  });

  it('leaves out what the budget has no room for', async () => {
    const source = textBytes(250_000, 1);
    const slow = await reported(source, editedBytes(source, 2), { effort: 'max', level: 3 });
    expect(slow.report.budgetMs).toBe(1500);
    const quick = await reported(textBytes(262_144, 1), textBytes(262_144, 4), { effort: 'fast' });
    expect(quick.report.budgetMs).toBe(20);
    const nominal = quick.report.candidates.filter(({ ms }) => ms !== undefined);
    expect(nominal.length).toBeLessThanOrEqual(5);
  });

  it('is as small as its effort promises', async () => {
    const source = textBytes(300_000, 1);
    const target = Buffer.concat([textBytes(80_000, 5), editedBytes(source, 3), textBytes(50_000, 6)]);
    const bytes = async (options: DiffOptions) => (await reported(source, target, options)).delta.length;
    const [fast, balanced, max] = [
      await bytes({ effort: 'fast' }),
      await bytes({ effort: 'balanced' }),
      await bytes({ effort: 'max' }),
    ];
    expect(max).toBeLessThanOrEqual(balanced);
    expect(balanced).toBeLessThan(fast);
    expect(await bytes({ level: 19 })).toBe(max);
    expect(await bytes({})).toBe(fast);
  });

  it('gives the same delta every time', async () => {
    const source = textBytes(400_000, 1);
    const target = editedBytes(source, 3);
    const [one, other] = [await diff(source, target), await diff(source, target)];
    expect(one.equals(other)).toBe(true);
  });
});

describe('small deltas', () => {
  it.each([200, 255, 256, 3000, 40_000, 65_535])(
    'are at most 12 bytes longer than a file of zstd: %i',
    async (bytes) => {
      const source = textBytes(bytes, 1);
      const target = Buffer.from(source);
      target.write('!', bytes >> 1);
      const { delta } = await reported(source, target, { effort: 'max' });
      const frame = await loadEngine().compress(target, { level: 19, context: source });
      // A file of zstd has four bytes of checksum that the library's frame has not.
      expect(delta.length).toBeLessThanOrEqual(frame.length + 4 + 12);
    },
  );

  it('are compact below 64 KiB only', async () => {
    const noise = patternBytes(65_536, 1);
    expect((await diff(noise, noise)).subarray(0, 4).toString('latin1')).toBe('DKD1');
    expect((await diff(noise, noise.subarray(1))).subarray(0, 2).toString('latin1')).toBe('DK');
    expect((await diff(noise, noise.subarray(1)))[2]).toBeGreaterThanOrEqual(0x80);
  });
});

describe('an engine that was asked for', () => {
  it('is the only one beside raw', async () => {
    const source = patternBytes(3000, 1);
    const { report } = await reported(source, editedBytes(source, 3), { engine: 'align' });
    expect(tried(report).map(({ engine }) => engine)).toEqual(['raw', 'align']);
    expect(report.why).toBe('align was asked for');
    expect(report.evidence).toBeUndefined();
    const vain = await reported(Buffer.alloc(0), Buffer.from('x'), { engine: 'zstd' });
    expect(vain.report.why).toBe('raw: zstd makes it no smaller');
  });
});
