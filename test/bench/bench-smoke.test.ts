/** The benchmark at a tiny size: it runs to the end, verifies what comes back, leaves nothing behind, and reports. */
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ScenarioResult } from '../../bench/lib/bench-types.js';
import { ensureBuilt, scratch } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

let directory = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(directory, name);

function bench(program: string, ...words: string[]): SpawnSyncReturns<string> {
  const file = path.join(projectRoot, 'bench', program);
  return spawnSync(process.execPath, [file, ...words], { encoding: 'utf8', timeout: 90_000 });
}

const resultOf = (name: string): ScenarioResult => JSON.parse(readFileSync(at(`results/${name}.json`), 'utf8'));

beforeAll(async () => {
  await ensureBuilt();
  ({ directory, remove } = await scratch());
  mkdirSync(at('work'));
  const tools = ['--tools=diffkeeper,gzip', '--quick', '--scale=0.002'];
  const run = bench(
    'run.mjs',
    '--scenario=small-files,noop',
    ...tools,
    `--dir=${at('work')}`,
    `--results=${at('results')}`,
  );
  expect(run.status, run.stderr).toBe(0);
}, 180_000);
afterAll(() => remove());

describe('benchmark', () => {
  it.each(['small-files', 'noop'])('%s: every tool captured, recovered and was verified', (name) => {
    const { tools, samples, state, scale } = resultOf(name);
    expect(scale).toBe(0.002);
    expect(state.files).toBeGreaterThanOrEqual(20);
    for (const tool of ['diffkeeper', 'gzip'] as const) {
      expect(tools[tool]).toMatchObject({ status: 'verified', verifiedTrees: name === 'noop' ? 1 : 2 });
      const own = samples.filter((sample) => sample.tool === tool);
      const steps = own.map(({ step }) => step);
      expect(steps.filter((step) => step === 'first')).toHaveLength(1);
      expect(steps.filter((step) => step === 'later')).toHaveLength(2);
      expect(steps.filter((step) => step === 'recover')).toHaveLength(1);
      for (const { wallMs, rssBytes } of own) {
        expect(wallMs).toBeGreaterThan(0);
        expect(rssBytes).toBeGreaterThan(1 << 20);
      }
      expect(own[0]?.addedBytes).toBeGreaterThan(1000);
    }
  });

  it('noop has the captures inside one process', () => {
    const warm = resultOf('noop').samples.filter(({ step }) => step.startsWith('warm-'));
    expect(warm).toHaveLength(20);
  });

  it('leaves nothing in its work directory', () => {
    expect(readdirSync(at('work'))).toEqual([]);
  });

  it('makes a report that says it is not full size, and touches nothing else', () => {
    const out = at('performance.md');
    const report = bench('report.mjs', `--results=${at('results')}`, `--out=${out}`, '--no-readme');
    expect(report.status, report.stderr).toBe(0);
    const text = readFileSync(out, 'utf8');
    expect(text).toContain('Do not quote');
    expect(text).toContain('Left out of this quick run');
    expect(text).toContain('Tools left out: restic, borg, git.');
    expect(text).toContain('Not run at all: sqlite, big-file, durable.');
    expect(text).toContain('| diffkeeper |');
    expect(text).toMatch(/10 KB durable: at most 4 sync calls \| durable \| {2}\| \*\*not measured\*\*/);
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
  });

  it('has one table beside all peers, which keeps what was measured elsewhere', () => {
    const side = (wallMs: number) => ({ wallMs, cpuMs: 1, rssBytes: 1e6 });
    const tool = (deltaBytes: number, verified = true) => ({ deltaBytes, diff: side(7), patch: side(3), verified });
    const tools = { 'diffkeeper fast': tool(90), 'zstd -3': tool(99), 'xdelta3 -1': tool(1, false), rdiff: tool(300) };
    const pair = { name: 'pair', what: 'two files', change: 'other', sourceBytes: 1000, targetBytes: 2000, tools };
    const machine = { CPU: 'one', commit: 'abc' };
    const deltas = { quick: true, trials: 1, date: '2026-01-02', command: 'x', machine, versions: {}, pairs: [pair] };
    const rows = { 'diffkeeper send': { seconds: 2 }, 'rsync -W': { seconds: 3 } };
    mkdirSync(at('peers'));
    for (const name of ['small-files', 'noop']) copyFileSync(at(`results/${name}.json`), at(`peers/${name}.json`));
    writeFileSync(at('peers/deltas.json'), JSON.stringify(deltas));
    writeFileSync(at('peers/transport.json'), JSON.stringify({ parts: { files: { bytes: 4e6, rows } } }));
    const report = () => {
      const run = bench('report.mjs', `--results=${at('peers')}`, `--out=${at('peers.md')}`);
      expect(run.status, run.stderr).toBe(0);
      // Nothing of this size goes into the README.
      expect(run.stderr).toContain('README.md stays as it is');
      const lines = readFileSync(at('peers.md'), 'utf8').split('\n');
      return lines.filter((line) => / \| `npm run bench\S*` \|$/.test(line));
    };
    const first = report();
    expect(first).toContain(
      '| Delta of 2.00 KB, pair: two files | 7.00 ms, 90 B | – | – | 7.00 ms, 300 B | 7.00 ms, 99 B | – | – | `npm run bench:delta` |',
    );
    expect(first).toContain(
      '| A file of 4.00 MB to another process | 2.00 s | – | – | 3.00 s | – | – | – | `npm run bench:transport` |',
    );
    expect(first.filter((line) => line.startsWith('| Many small files: later capture | '))).toHaveLength(1);
    rmSync(at('peers/deltas.json'));
    rmSync(at('peers/transport.json'));
    expect(report()).toEqual(first);
    // Nor need those of the main job be here.
    for (const name of ['small-files', 'noop']) rmSync(at(`peers/${name}.json`));
    const document = readFileSync(at('peers.md'), 'utf8');
    expect(report()).toEqual(first);
    expect(readFileSync(at('peers.md'), 'utf8')).toBe(document);
  });

  it('refuses scenarios and tools it does not know', () => {
    const run = bench('run.mjs', '--tools=tar', `--dir=${at('never')}`);
    expect(run.status).toBe(2);
    expect(run.stderr).toContain('unknown "tar"; there are: diffkeeper');
    expect(existsSync(at('never'))).toBe(false);
  });
});
