/** The benchmark of the sidecar runs and measures; its figures come from the long version. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

const results = mkdtempSync(join(tmpdir(), 'dk-bench-sidecar-'));
beforeAll(ensureBuilt, 120_000);
afterAll(() => rmSync(results, { recursive: true, force: true }));

/** The section as it is written of these figures. */
function sectionOf(parts: object): string {
  const file = join(results, 'document.md');
  const code = `
    const { writeSidecar } = await import(process.argv[1]);
    const machine = { CPU: 'one', engine: 'native', node: 'v20', commit: 'abc' };
    const parts = JSON.parse(process.argv[3]);
    writeSidecar(process.argv[2], { schema: 1, quick: false, date: '2026-01-02', machine, parts, taken: {}, missing: {} });`;
  const section = fileURLToPath(new URL('../../bench/sidecar/sidecar-section.mjs', import.meta.url));
  const words = ['--input-type=module', '-e', code, section, file, JSON.stringify(parts)];
  const run = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect(run.stderr).toBe('');
  return readFileSync(file, 'utf8');
}

it('measures the lag of changes', () => {
  const script = fileURLToPath(new URL('../../bench/sidecar/run-sidecar.mjs', import.meta.url));
  const words = [script, '--quick', '--only=lag', `--results=${results}`];
  const result = spawnSync(process.execPath, words, { encoding: 'utf8', timeout: 90_000 });
  const line = /^lag: (\{.*\})$/m.exec(result.stdout)?.[1];
  expect(line, result.stderr).toBeDefined();
  const report = JSON.parse(line ?? '{}');
  expect(report.lags.count).toBeGreaterThan(400);
  expect(report.peakBytes).toBeGreaterThan(1 << 24);
  const text = readFileSync(join(results, 'sidecar.md'), 'utf8');
  expect(text).toMatch(/^<!-- sidecar: made by [\s\S]*do not quote[\s\S]*\| lag at 1,000 changes\/s \| [\d.]+ m?s \|/m);
  expect(text).not.toMatch(/NaN|undefined|\| pause/);
}, 100_000);

it('reports all trials, with their aims', () => {
  const spread = { count: 9, p50: 8, p99: 21, max: 30 };
  const cost = { cpuShare: 0.25, peakBytes: 1e8 };
  const turn = (round: number, keeper: string, [whole, steady, checkpoints]: readonly number[]): object => ({
    ...{ round, keeper, whole, steady, checkpoints, bytesAfter: 9e7 },
    ...(keeper !== 'alone' && { pauseMs: 7, cpuShare: 0.125 }),
  });
  // The machine becomes faster: only turns of one round are to be compared.
  const rounds = [
    { kept: [490, 480, 40], alone: [500, 500, 0], limited: [495, 500, 16] },
    { limited: [970, 990, 16], kept: [960, 940, 40], alone: [1000, 1000, 0] },
    { alone: [2000, 2000, 0], limited: [1800, 1900, 16], kept: [1800, 1600, 40] },
  ];
  const turns = rounds.flatMap((keepers, round) =>
    Object.entries(keepers).map(([name, facts]) => turn(round, name, facts)),
  );
  const fresh = { name: 'fresh', bytes: 7e7, turns, pauses: spread, stops: spread, ...cost };
  const two = [450, 430].flatMap((rate, round) => [
    turn(round, 'alone', [500, 500, 0]),
    turn(round, 'kept', [rate, rate, 40]),
  ]);
  const grown = { ...fresh, name: 'grown', bytes: 3e8, turns: two, pauses: { ...spread, p50: 19 }, peakBytes: 3e8 };
  const postgres = { seconds: 40, beginningMs: 10_000, overhead: 4, databases: [fresh, grown] };
  const parts = {
    pause: { pauses: spread, stops: spread, ...cost },
    lag: { lags: { ...spread, p99: 260 }, ...cost },
    burst: { count: 10_000, files: 10_000, writingMs: 800, completeMs: 1600, ...cost },
    postgres,
  };
  const text = sectionOf(parts);
  expect(text).toContain('| pause with 50 MB dirty | 8.00 ms | **21.0 ms** | 30.0 ms | 9 | p99 below 20.0 ms |');
  expect(text).toContain('| lag at 1,000 changes/s | 8.00 ms | 260 ms | 30.0 ms | 9 | p99 below 500 ms |');
  expect(text).toContain('written in 800 ms: all durable | 1.60 s after the first | 5.00 s |');
  const small = 'a database of 70.0 MB';
  const each = 'a checkpoint each second (1.0 s apart)';
  expect(text).toContain(
    `${small}, ${each}, turns of 40 s, medians of 3 rounds | 1000 alone, 960 kept: 4.0 % lost (3.0 % to 7.0 %) | at most 5.0`,
  );
  expect(text).toContain('of them, medians of 3 rounds | **1000 alone, 940 kept: 6.0 % lost (5.0 % to 13.0 %)** | at');
  const limit = '`--max-overhead=4%` (2.5 s apart)';
  expect(text).toContain(`${small}, ${limit}, turns of 40 s, medians of 3 rounds | 1000 alone, 970 kept: 3.0 % lost`);
  expect(text).toContain(
    `300 MB, ${each}, turns of 40 s, medians of 2 rounds | **500 alone, 440 kept: 12.0 % lost (11.0 % to 13.0 %)**`,
  );
  expect(text).toContain('| pause of PostgreSQL under pgbench, a database of 300 MB | 19.0 ms | 21.0 ms |');
  expect(text).toContain('| a checkpoint each second | 70.0 MB, 90.0 MB | 960 | 940 | 40 | 7.00 ms | 12.5 % |');
  expect(text).toContain('| alone | 300 MB, 90.0 MB | 500 | 500 | 0 | – | – |');
  expect(text).toContain('| postgres, a database of 300 MB | 25.0 % | 300 MB |');
  expect(text).toContain('| burst | 25.0 % | 100 MB |');
});

it('leaves out what earlier figures of a database do not have', () => {
  const spread = { count: 9, p50: 8, p99: 21, max: 30 };
  const transactions = { seconds: 40, beginningMs: 10_000, overhead: 4, turns: {} };
  const text = sectionOf({ postgres: { transactions, pauses: spread, cpuShare: 0.5, peakBytes: 1e8 } });
  expect(text).toContain('## Sidecar');
  expect(text).not.toMatch(/NaN|undefined|\| p(?:ause|gbench|ostgres)/);
});
