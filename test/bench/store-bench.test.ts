/** The benchmarks of recovers, of long histories, and of large states, tiny: they verify, report, and keep to their own sections. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, scratch } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

let directory = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(directory, name);

beforeAll(async () => {
  await ensureBuilt();
  ({ directory, remove } = await scratch());
  mkdirSync(at('work'));
}, 180_000);
afterAll(() => remove());

/** Runs a benchmark into a document that has an older section of it; gives the section and the figures. */
function bench(name: string, program: string, ...words: string[]) {
  const out = at(`${name}.md`);
  const [start, end] = [`<!-- ${name}: made by bench/${program} -->`, `<!-- end of ${name} -->`];
  writeFileSync(out, `# Performance\n\nbefore\n\n${start}\nold\n${end}\n\nbehind\n`);
  const run = spawnSync(
    process.execPath,
    [path.join(projectRoot, 'bench', program), '--quick', `--out=${out}`, `--results=${directory}`, ...words],
    { encoding: 'utf8', timeout: 120_000, env: { ...process.env, TMPDIR: at('work') } },
  );
  expect(run.status, run.stderr).toBe(0);
  const text = readFileSync(out, 'utf8');
  expect(text.startsWith(`# Performance\n\nbefore\n\n${start}`)).toBe(true);
  expect(text.endsWith(`${end}\n\nbehind\n`)).toBe(true);
  expect(text).toContain('do not quote');
  expect(text).not.toMatch(/\bold\b|NaN|undefined|Infinity/);
  expect(readdirSync(at('work'))).toEqual([]);
  return JSON.parse(readFileSync(at(`${name}.json`), 'utf8'));
}

describe('bench:recovery', () => {
  it('brings back what it captured, by program, library and through the owner', () => {
    const { cases } = bench('recovery', 'recovery/run-recovery.mjs', '--only=ten-files');
    expect(cases['ten-files'].facts).toMatchObject({ treeBytes: 102_400 });
    const { direct, shared, library, parts } = cases['ten-files'];
    for (const ms of [direct.wallMs, shared.wallMs, library.recoverMs, parts.rootMs, parts.lookupMs]) {
      expect(ms).toBeGreaterThan(0);
    }
  }, 150_000);
});

describe('bench:history', () => {
  it('brings versions back from a history, and counts what it stores', () => {
    const { series } = bench('history', 'history/run-history.mjs', '--lengths=1,4', '--megabytes=1');
    for (const rows of [series.pages, series.config]) {
      expect(rows.map(({ length }: { length: number }) => length)).toEqual([1, 4]);
      expect(rows[1].others.length).toBe(3);
      expect(rows[1].packBytes).toBeGreaterThan(rows[0].packBytes);
    }
    // Two pages of one mebibyte a version, and nothing else that is large.
    expect(series.pages[1].packBytes - series.pages[0].packBytes).toBeLessThan(3 * 5 * 4096);
  }, 150_000);
});

describe('bench:large', () => {
  it('captures, changes and brings back a large file and many small ones', () => {
    const { parts } = bench('large', 'large/run-large.mjs', '--gigabytes=0.01', '--files=300');
    expect(parts.many.count).toBe(300);
    expect(parts.file.size).toBe(10_737_418);
    // Two blocks of ten were rewritten.
    expect(parts.file.storedLater - parts.file.storedFirst).toBeLessThan(4 << 20);
    for (const { first, recoverNewest } of [parts.file, parts.many]) {
      expect(Math.min(first.rssBytes, recoverNewest.rssBytes)).toBeGreaterThan(1 << 20);
    }
  }, 120_000);
});
