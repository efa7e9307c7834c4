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
  const rates = (whole: number, steady: number, checkpoints: number): object => ({
    ...{ whole: [whole, 1, 9999], steady: [steady, 1, 9999], checkpoints: [checkpoints] },
  });
  const turns = { alone: rates(1000, 1000, 0), kept: rates(960, 940, 40), limited: rates(970, 990, 16) };
  const transactions = { seconds: 40, beginningMs: 10_000, overhead: 4, turns };
  const parts = {
    pause: { pauses: spread, stops: spread, ...cost },
    lag: { lags: { ...spread, p99: 260 }, ...cost },
    burst: { count: 10_000, files: 10_000, writingMs: 800, completeMs: 1600, ...cost },
    postgres: { transactions, pauses: spread, stops: spread, ...cost },
  };
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
  const text = readFileSync(file, 'utf8');
  expect(text).toContain('| pause with 50 MB dirty | 8.00 ms | **21.0 ms** | 30.0 ms | 9 | p99 below 20.0 ms |');
  expect(text).toContain('| lag at 1,000 changes/s | 8.00 ms | 260 ms | 30.0 ms | 9 | p99 below 500 ms |');
  expect(text).toContain('written in 800 ms: all durable | 1.60 s after the first | 5.00 s |');
  expect(text).toContain('(1.0 s apart), turns of 40 s, medians of 3 | 1000 alone, 960 kept: 4.0 % lost | at most 5.0');
  expect(text).toContain('after the first 10 s of them, medians of 3 | **1000 alone, 940 kept: 6.0 % lost** | at');
  expect(text).toContain(
    '`--max-overhead=4%` (2.5 s apart), turns of 40 s, medians of 3 | 1000 alone, 970 kept: 3.0 %',
  );
  expect(text).toContain('| burst | 25.0 % | 100 MB |');
});
