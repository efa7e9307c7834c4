/** The benchmark of the transport, its quick parts that need no other program, and a transfer over a bad line. */
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

const run = (program: string, words: readonly string[]) =>
  spawnSync(process.execPath, [path.join(projectRoot, ...program.split('/')), ...words], {
    encoding: 'utf8',
    timeout: 120_000,
  });

describe('bench:transport', () => {
  it('measures what it verified, and replaces its section alone', () => {
    const out = path.join(directory, 'performance.md');
    const marks = ['<!-- transport: made by bench/transport/run-transport.mjs -->', '<!-- end of transport -->'];
    writeFileSync(out, `# Performance\n\nbefore\n\n${marks[0]}\nold\n${marks[1]}\n\nbehind\n`);
    const words = ['--quick', '--only=files,latency,small', `--out=${out}`, `--results=${directory}`];
    const { status, stderr } = run('bench/transport/run-transport.mjs', words);
    expect(status, stderr).toBe(0);
    const { parts, missing } = JSON.parse(readFileSync(path.join(directory, 'transport.json'), 'utf8'));
    // Programs of others may not be here; the plain loop is made with the compiler that the addon needs, too.
    expect(Object.keys(missing).filter((what) => what !== 'files: rsync -W')).toEqual([]);
    expect(Object.keys(parts)).toEqual(['files', 'latency', 'small']);
    expect(parts.files.rows['plain C++ loop'].seconds).toBeGreaterThan(0);
    expect(parts.latency['TLS 1.3'].p50Ms).toBeGreaterThan(0);
    const text = readFileSync(out, 'utf8');
    expect(text.startsWith(`# Performance\n\nbefore\n\n${marks[0]}`)).toBe(true);
    expect(text.endsWith(`${marks[1]}\n\nbehind\n`)).toBe(true);
    expect(text).toContain('do not quote');
    expect(text).toMatch(/a file at least 0\.8 times as fast as a plain C\+\+ loop \| \d+\.\d+x \|/);
    expect(text).not.toMatch(/\bold\b|NaN|undefined/);
  }, 150_000);
});

describe('soak:net', () => {
  it('brings a blob over nine lines, 20 to 200 ms and up to 1 % of packets lost, or over a slow relay', () => {
    const { status, stdout, stderr } = run('scripts/soak-net.mjs', ['--smoke']);
    expect(status, stderr).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text));
    const losses = lines[0].packets ? [0, 0.1, 1] : [0];
    const all = [20, 80, 200].flatMap((rttMs) => losses.map((lossPercent) => ({ rttMs, lossPercent, mbit: 300 })));
    expect(lines).toMatchObject(all);
    for (const { seconds, reached, rttMs } of lines) {
      // It takes its time: the line is there. And it arrives: the receiver has verified it.
      expect(seconds).toBeGreaterThan((2 * rttMs) / 1000);
      expect(reached).toBeLessThan(300);
    }
  }, 150_000);
});
