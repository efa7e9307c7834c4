/** The benchmark of the state encoder, its quick parts: it verifies, reports, and keeps to its own section. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, scratch } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

let directory = '';
let remove = async (): Promise<void> => {};

beforeAll(async () => {
  await ensureBuilt();
  ({ directory, remove } = await scratch());
}, 180_000);
afterAll(() => remove());

describe('bench:state', () => {
  it('loses no update, and replaces its section alone', () => {
    const out = path.join(directory, 'performance.md');
    const marks = ['<!-- states: made by bench/state/run-states.mjs -->', '<!-- end of states -->'];
    writeFileSync(out, `# Performance\n\nbefore\n\n${marks[0]}\nold\n${marks[1]}\n\nbehind\n`);
    const program = path.join(projectRoot, 'bench', 'state', 'run-states.mjs');
    const words = [
      '--quick',
      '--only=scaling,concurrency,noise,long,delay,pageMode,links',
      `--out=${out}`,
      `--results=${directory}`,
    ];
    const run = spawnSync(process.execPath, [program, ...words], { encoding: 'utf8', timeout: 120_000 });
    expect(run.status, run.stderr).toBe(0);
    const { parts, missing } = JSON.parse(readFileSync(path.join(directory, 'state.json'), 'utf8'));
    expect(missing).toEqual({});
    expect(parts.concurrency).toMatchObject({ operations: 1000, lost: 0, failures: 0 });
    expect(parts.scaling.map(({ deltaHits }: { deltaHits: number }) => deltaHits)).toEqual([1, 10, 100]);
    expect(parts.long.deltaHits).toBe(1);
    expect(parts.noise.added).toBeLessThan(200);
    expect([parts.delay.rows.length, parts.delay.plain.length]).toEqual([12, 2]);
    const { bytes, rows } = parts.pageMode;
    expect(rows).toHaveLength(6);
    for (const [alone, stored, copy] of [rows.slice(0, 3), rows.slice(3)]) {
      for (const hashes of [alone, stored]) expect(hashes.memoryBytes).toBeLessThan(bytes / 256 + 2000);
      expect(copy.memoryBytes).toBeGreaterThan(bytes);
    }
    // What a store is good for: a word of a page instead of all of it.
    expect(rows[4].messageBytes * 10).toBeLessThan(rows[3].messageBytes);
    expect(parts.links.rows.map(({ mbits }: { mbits: number }) => mbits)).toEqual([10, 100, 1000, 10_000]);
    const text = readFileSync(out, 'utf8');
    expect(text).toContain('| 100 keys from 10 workers: no lost update | 0 lost, 0 failures | met |');
    expect(text).toMatch(/\| a state beyond 4 GiB comes back exactly \|.* \| not measured \|/);
    expect([
      text.startsWith(`# Performance\n\nbefore\n\n${marks[0]}`),
      text.endsWith(`${marks[1]}\n\nbehind\n`),
    ]).toEqual([true, true]);
    expect(text).toContain('do not quote');
    expect(text).not.toMatch(/\bold\b|NaN|undefined/);
  }, 150_000);
});
