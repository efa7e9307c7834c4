/** `npm run bench` as one program: its own options, and a run that is stopped. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ensureBuilt, scratch } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

const PROGRAM = path.join(projectRoot, 'bench', 'all.mjs');
let directory = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(directory, name);

beforeAll(async () => {
  await ensureBuilt();
  ({ directory, remove } = await scratch());
}, 120_000);
afterAll(() => remove());

it.each([
  { words: ['--help'], status: 0, says: /--all/ },
  { words: ['--tools=tar'], status: 2, says: /unknown "tar"/ },
  { words: ['--trails=1'], status: 2, says: /trails/ },
])('measures nothing for $words', ({ words, status, says }) => {
  const places = [`--results=${at('none')}`, `--out=${at('none.md')}`];
  const run = spawnSync(process.execPath, [PROGRAM, ...words, ...places], { encoding: 'utf8', timeout: 60_000 });
  expect(run.status, run.stderr).toBe(status);
  expect(run.stdout + run.stderr).toMatch(says);
  expect(readdirSync(directory)).toEqual([]);
});

/** Resolves when the file is there; rejects when the process has ended before. */
async function written(file: string, child: ChildProcess): Promise<void> {
  while (!existsSync(file)) {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}, without ${file}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

it('reports what it had when it is stopped, and measures no more', { timeout: 120_000 }, async () => {
  const places = [`--results=${at('results')}`, `--out=${at('performance.md')}`, `--dir=${at('work')}`];
  // Two more scenarios take far longer than the signal: the last of them cannot have ended by then.
  const words = ['--scenario', 'noop,small-files,durable', '--tools=diffkeeper', '--quick', '--scale=0.004'];
  const child = spawn(process.execPath, [PROGRAM, ...words, ...places], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const ended = once(child, 'exit');
  await written(at('results/noop.json'), child);
  child.kill('SIGTERM');
  expect(await ended, said).toEqual([143, null]);
  const text = readFileSync(at('performance.md'), 'utf8');
  expect(text).toContain('## Nothing changed');
  expect(text).toContain('--scenario noop,small-files,durable --tools=diffkeeper --quick --scale=0.004`');
  expect(text).not.toContain('## One durable change');
  expect(readdirSync(at('results'))).not.toContain('durable.json');
  expect(readdirSync(at('results'))).not.toContain('engines.json');
  expect(readdirSync(at('work'))).toEqual([]);
});
