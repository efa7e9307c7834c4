/** The benchmarks of starts, recovers, long histories, large states and replication, tiny: they verify, report, and keep to their own sections. */
import { execFile } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, PROGRAM, scratch } from '../cli/cli-process.js';
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

/** Runs a quick benchmark; not in step with it, as the runner of the tests wants to be answered meanwhile. */
function started(program: string, ...words: string[]): Promise<{ status: number | null; stderr: string }> {
  const all = [path.join(projectRoot, 'bench', program), '--quick', ...words];
  return new Promise((resolve) => {
    const env = { ...process.env, TMPDIR: at('work') };
    const child = execFile(process.execPath, all, { timeout: 120_000, env }, (_error, _stdout, stderr) =>
      resolve({ status: child.exitCode, stderr }),
    );
  });
}

/** Runs a benchmark into a document that has an older section of it; gives the section and the figures. */
async function bench(name: string, program: string, ...words: string[]) {
  const out = at(`${name}.md`);
  const [start, end] = [`<!-- ${name}: made by bench/${program} -->`, `<!-- end of ${name} -->`];
  writeFileSync(out, `# Performance\n\nbefore\n\n${start}\nold\n${end}\n\nbehind\n`);
  const run = await started(program, `--out=${out}`, `--results=${directory}`, ...words);
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
  it('brings back what it captured, by program, library and through the owner', async () => {
    const { cases } = await bench('recovery', 'recovery/run-recovery.mjs', '--only=ten-files');
    expect(cases['ten-files'].facts).toMatchObject({ treeBytes: 102_400 });
    const { direct, shared, library, parts } = cases['ten-files'];
    for (const ms of [direct.wallMs, shared.wallMs, library.recoverMs, parts.rootMs, parts.lookupMs]) {
      expect(ms).toBeGreaterThan(0);
    }
  }, 150_000);
});

describe('bench:startup', () => {
  /** What stands in for the single-file executable, which this run of the tests does not build. */
  function standIn(name: string, body: string): string {
    writeFileSync(at(name), `#!/bin/sh\n${body}\n`);
    chmodSync(at(name), 0o755);
    return `--executable=${at(name)}`;
  }
  const program = PROGRAM.map((word) => `'${word}'`).join(' ');

  it('measures both programs beside Node, and when the application runs', async () => {
    const { starts, trials } = await bench(
      'startup',
      'startup/run-startup.mjs',
      standIn('one', `exec ${program} "$@"`),
    );
    expect(trials).toBe(2);
    const kinds = ['executable', 'npm'].flatMap((who) => ['version', 'capture', 'run'].map((what) => `${who} ${what}`));
    expect(Object.keys(starts).sort()).toEqual([...kinds, 'node'].sort());
    for (const name of kinds) expect(starts[name].wallMs, name).toBeGreaterThan(starts[name].lowMs * 0.99);
    for (const who of ['executable', 'npm']) {
      expect(starts[`${who} run`].runsMs).toBeGreaterThan(0);
      expect(starts[`${who} run`].runsMs).toBeLessThan(starts[`${who} run`].highMs);
    }
  }, 120_000);

  it('takes no figures from a program that answers something else', async () => {
    const wrong = standIn('two', `case "$1" in --version) echo 9.9.9;; *) exec ${program} "$@";; esac`);
    const places = [`--out=${at('never.md')}`, `--results=${at('never')}`];
    const run = await started('startup/run-startup.mjs', wrong, ...places);
    expect(run.status).not.toBe(0);
    expect(run.stderr).toContain('--version printed something else: "9.9.9');
    expect(readdirSync(at('work'))).toEqual([]);
  }, 60_000);
});

describe('bench:history', () => {
  it('brings versions back from a history, and counts what it stores', async () => {
    const { series } = await bench('history', 'history/run-history.mjs', '--lengths=1,4', '--megabytes=1');
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
  it('captures, changes and brings back a large file and many small ones', async () => {
    const { parts } = await bench('large', 'large/run-large.mjs', '--gigabytes=0.01', '--files=300');
    expect(parts.many.count).toBe(300);
    expect(parts.file.size).toBe(10_737_418);
    // Two blocks of ten were rewritten.
    expect(parts.file.storedLater - parts.file.storedFirst).toBeLessThan(4 << 20);
    for (const { first, recoverNewest } of [parts.file, parts.many]) {
      expect(Math.min(first.rssBytes, recoverNewest.rssBytes)).toBeGreaterThan(1 << 20);
    }
    // What recover is held against: only writing the same bytes, in the same run.
    expect(parts.file.written.cached).toBeGreaterThan(0);
    expect(parts.many.written).toBeUndefined();
  }, 120_000);
});

describe('bench:replicate', () => {
  it('counts what goes over, and that both stores are alike', async () => {
    const { steps, count } = await bench('replication', 'replicate/run-replicate.mjs', '--blobs=500');
    expect(count).toBe(500);
    expect(steps.everything).toMatchObject({ checkpoints: 1, blobs: 500 });
    expect(steps.unchanged).toMatchObject({ checkpoints: 0, blobs: 0, recordBytes: 0, roundTrips: 1 });
    expect(steps.few).toMatchObject({ checkpoints: 1, blobs: 10 });
    expect(steps.everything.sentBytes).toBeGreaterThan(steps.everything.recordBytes);
    expect(steps.unchanged.sentBytes + steps.unchanged.answeredBytes).toBeLessThan(4000);
  }, 120_000);
});
