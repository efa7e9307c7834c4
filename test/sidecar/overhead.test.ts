import { beforeAll, describe, expect, it } from 'vitest';
import { Figures } from '../../src/sidecar/figures.js';
import { Overhead, processorsOf, SPACING_MAX_MS } from '../../src/sidecar/overhead.js';
import { runSidecar } from '../../src/sidecar/sidecar.js';
import { ensureBuilt, jsonLines, runCli, scratch } from '../cli/cli-process.js';

beforeAll(ensureBuilt, 120_000);

/** Checkpoints that each took so many ms of processor time, on two processors. */
function spacings(percent: number, costs: readonly number[], pauseMs = 0): number[] {
  let cpuMs = 5000;
  let pausedMs = 300;
  const overhead = new Overhead(percent, { cpuMs: () => cpuMs, processors: 2, pausedMs: () => pausedMs });
  return costs.map((costMs) => {
    cpuMs += costMs;
    pausedMs += pauseMs;
    return overhead.spacing();
  });
}

describe('Overhead', () => {
  it('keeps checkpoints apart by what they cost of the machine, the pause among it', () => {
    // 100 ms on one of two processors are 50 of the machine: 5 % of 1000.
    expect(spacings(5, [900, 100, 100])).toEqual([0, 1000, 1000]);
    expect(spacings(5, [900, 100, 100], 10)).toEqual([0, 1200, 1200]);
    expect(spacings(100, [0, 100])).toEqual([0, 50]);
  });

  it('follows what checkpoints cost without being held up by a single one', () => {
    const [, usual = 0, afterDear = 0, later = 0] = spacings(5, [0, 100, 60_000, 100]);
    expect(usual).toBe(1000);
    expect(afterDear).toBeCloseTo(1900);
    expect(later).toBeCloseTo(1630);
    // What is dear each time is soon told.
    const rising = spacings(5, [0, 100, 1000, 1000, 1000, 1000, 1000, 1000]);
    expect(rising.at(-1)).toBeGreaterThan(8000);
    // Two in a row are no accident.
    const [, , , second = 0] = spacings(5, [0, 100, 1000, 1000]);
    expect(second).toBeCloseTo(0.3 * 10_000 + 0.7 * 1900);
    // Also where those before took nothing that the clock would count.
    expect(spacings(5, [0, 0, 0, 1000, 1000])).toEqual([0, 0, 0, 0, 3000]);
  });

  it('takes nothing for its own that a prune or a condense may have taken', () => {
    let cpuMs = 0;
    const overhead = new Overhead(5, { cpuMs: () => cpuMs, processors: 2, pausedMs: () => 0 });
    const spent = (ms: number, maintained = false): number => {
      cpuMs += ms;
      return overhead.spacing(maintained);
    };
    expect([spent(50), spent(100), spent(60_000, true), spent(60_000, true), spent(100)]).toEqual([
      0, 1000, 1000, 1000, 1000,
    ]);
    // Less is seen, and what the application stood still for is told apart.
    expect([spent(50, true), spent(50, true), spent(60_000, true)].map(Math.round)).toEqual([850, 745, 745]);
    let pausedMs = 0;
    const paused = new Overhead(5, { cpuMs: () => cpuMs, processors: 2, pausedMs: () => pausedMs });
    const pauses = [0, 20, 20, 200].map((ms) => {
      pausedMs += ms;
      cpuMs += 1000;
      return paused.spacing(true);
    });
    expect(pauses).toEqual([0, 400, 400, 4000]);
    const early = new Overhead(5, { cpuMs: () => cpuMs, processors: 2, pausedMs: () => 0 });
    expect([early.spacing(true), spent(5000), early.spacing(true)].slice(2)).toEqual([0]);
  });

  it('counts the processors of a quota', () => {
    expect(processorsOf('150000 100000\n', 8)).toBe(1.5);
    expect(processorsOf('max 100000\n', 8)).toBe(8);
    expect(processorsOf('1600000 100000', 8)).toBe(8);
    for (const text of ['', '0 100000', '5 0', 'x']) expect(processorsOf(text, 8)).toBe(8);
  });

  it('lets none wait longer than a minute', () => {
    expect(spacings(0.1, [0, 1e6])).toEqual([0, SPACING_MAX_MS]);
  });

  it('counts nothing where nothing was taken', () => {
    const overhead = new Overhead(5, { cpuMs: () => 7, processors: 2, pausedMs: () => 7 });
    expect([overhead.spacing(), overhead.spacing()]).toEqual([0, 0]);
  });

  it('counts each pause, also those of captures that failed or found nothing', () => {
    const figures = new Figures();
    const overhead = new Overhead(5, { cpuMs: () => 0, processors: 2, pausedMs: () => figures.pausedMs });
    figures.stoodStill(900, 1);
    expect(overhead.spacing()).toBe(0);
    figures.stoodStill(20, 2);
    figures.stoodStill(30, 3);
    expect(overhead.spacing()).toBe(1000);
    expect(figures.spread('pause').count).toBe(3);
    expect(figures.spread('stop').count).toBe(3);
  });
});

describe('--max-overhead', () => {
  it('takes checkpoints less often where they are dearer than that', async () => {
    const { directory: cwd, remove } = await scratch();
    try {
      const app = `import { writeFileSync } from 'node:fs';
const end = Date.now() + 2500;
const rest = new Int32Array(new SharedArrayBuffer(4));
for (let step = 0; Date.now() < end; step += 1) {
  writeFileSync('data/now', String(step));
  Atomics.wait(rest, 0, 0, 2);
}`;
      const frozen = async (store: string, ...more: string[]): Promise<number> => {
        const words = ['--state-dir=data', `--store=${store}`, '--consistency=freeze', '--checkpoint-interval=20ms'];
        const command = ['--', process.execPath, '--input-type=module', '-e', app];
        expect((await runCli([...words, ...more, ...command], { cwd })).code).toBe(0);
        const log = jsonLines((await runCli(['log', `--store=${store}`, '--json', '--limit=0'], { cwd })).stdout);
        return log.filter((entry) => entry.frozen === true && Number(entry.pauseMs) > 0).length;
      };
      const seldom = await frozen('seldom', '--max-overhead=0.1%');
      expect(seldom).toBeGreaterThanOrEqual(1);
      expect(seldom).toBeLessThanOrEqual(8);
      expect(await frozen('often')).toBeGreaterThan(seldom);
    } finally {
      await remove();
    }
  }, 60_000);

  it('refuses a share that is none', async () => {
    const run = (maxOverheadPercent: number): Promise<number> =>
      runSidecar({ stateDir: '/nowhere', store: '/nowhere', command: ['true'], maxOverheadPercent });
    for (const percent of [0, -1, 101, Number.NaN]) await expect(run(percent)).rejects.toThrow(/maxOverheadPercent/);
  });
});
