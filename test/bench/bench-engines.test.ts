/** The comparison of the engines, small: that it runs, checks what comes out, and writes its section and chart. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';

const PROGRAM = fileURLToPath(new URL('../../bench/engines/run-engines.mjs', import.meta.url));
let results: string;

beforeAll(async () => {
  await ensureBuilt();
  results = mkdtempSync(join(tmpdir(), 'dk-engines-'));
});

afterAll(() => {
  rmSync(results, { recursive: true, force: true });
});

it('writes a table of both engines and a chart', { timeout: 120_000 }, () => {
  const run = spawnSync(process.execPath, [PROGRAM, '--quick', '--only=xxh3,zstd -3', `--results=${results}`], {
    encoding: 'utf8',
  });
  expect(run.stderr).not.toMatch(/Error/);
  expect(run.status).toBe(0);
  const text = readFileSync(join(results, 'engines.md'), 'utf8');
  expect(text).toMatch(/\| xxh3 \| 1 MB \| [\d.]+ [MG]B\/s \| [\d.]+ [MG]B\/s \| [\d.]+× \|/);
  expect(text).toMatch(/\| zstd -3 compress \| 1 MB \|/);
  // The same table where it was asked for.
  expect(run.stdout).toMatch(/\| xxh3 \| 1 MB \|.*\n\| zstd -3 compress \| 1 MB \|/);
  const chart = readFileSync(join(results, 'images', 'engines.svg'), 'utf8');
  expect(chart).toMatch(/^<svg [\s\S]*<\/svg>\n$/);
  // Command, date, machine and versions stand in the picture, too.
  expect(chart).toMatch(/>npm run bench:engines; \d{4}-\d\d-\d\d; [^;]+; native[^;]*; node v\d+[^;]*; commit [^;]+</);
});

it('keeps what was measured before, also when a later run is stopped', { timeout: 120_000 }, () => {
  const run = spawnSync(process.execPath, [PROGRAM, '--quick', '--only=sha256', `--results=${results}`], {
    encoding: 'utf8',
  });
  expect(run.status, run.stderr).toBe(0);
  expect(readFileSync(join(results, 'engines.md'), 'utf8')).toMatch(/\| sha256 \| 1 MB \|.*\n\| xxh3 \| 1 MB \|/);
  const none = spawnSync(process.execPath, [PROGRAM, '--quick', '--only=md5', `--results=${results}`]);
  expect(none.status).toBe(1);
});
