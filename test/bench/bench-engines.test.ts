/** The comparison of the engines, small: that it runs, checks what comes out, and writes its section and chart. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

const PROGRAM = fileURLToPath(new URL('../../bench/engines/run-engines.mjs', import.meta.url));
let results: string;

beforeAll(async () => {
  await ensureBuilt();
  results = mkdtempSync(join(tmpdir(), 'dk-engines-'));
});

afterAll(() => {
  rmSync(results, { recursive: true, force: true });
});

/** What `comparedRows` finds in a file, seen through an expression over its `text`. */
function compared(expression: string, file: string): { name: string; both: boolean }[] {
  const script = `
    const { comparedRows } = await import('./bench/engines/engine-section.mjs');
    const text = (await import('node:fs')).readFileSync(process.argv[1], 'utf8');
    console.log(JSON.stringify(comparedRows(${expression})));`;
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', script, file], {
    cwd: projectRoot,
    encoding: 'utf8',
  });
  return JSON.parse(run.stdout);
}

it('writes a table of both engines and a chart', { timeout: 120_000 }, () => {
  const run = spawnSync(process.execPath, [PROGRAM, '--quick', '--only=xxh3,zstd -3', `--results=${results}`], {
    encoding: 'utf8',
  });
  expect(run.stderr).not.toMatch(/Error/);
  expect(run.status).toBe(0);
  const text = readFileSync(join(results, 'engines.md'), 'utf8');
  expect(text).toMatch(/\| xxh3 \| 1 MB \| [\d.]+ [MG]B\/s \| [\d.]+ [MG]B\/s \| [\d.]+× \|/);
  expect(text).toMatch(/\| zstd -3 compress \| 1 MB \|/);
  // Whether both engines were measured can be told from the document as well as from the results.
  const both = ['xxh3', 'zstd -3 compress', 'zstd -3 decompress'].map((name) => ({ name, both: true }));
  expect(compared('JSON.parse(text)', join(results, 'engines.json'))).toEqual(both);
  expect(compared('text', join(results, 'engines.md'))).toEqual(both);
  const late = "text.replace(/(xxh3 \\| 1 MB \\| [^|]+) \\| [^|]+ \\|/, '$1 | over 20 s |')";
  expect(compared(late, join(results, 'engines.md'))[0]).toEqual({ name: 'xxh3', both: false });
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
