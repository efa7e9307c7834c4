/** What of Node the program loads before somebody has a state back: each module of it takes a millisecond or two. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

const main = join(projectRoot, 'dist', 'cli', 'main.js');
let folder = '';

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffkeeper-start-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Modules of Node that a run of the program has loaded. */
function loadedBy(words: readonly string[]): string[] {
  const hook = join(folder, 'hook.cjs');
  const list = join(folder, 'list.json');
  const write = `require('node:fs').writeFileSync(${JSON.stringify(list)}, JSON.stringify(process.moduleLoadList))`;
  writeFileSync(hook, `process.on('exit', () => ${write});\n`);
  const { status, stderr } = spawnSync(process.execPath, ['--require', hook, main, ...words], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return JSON.parse(readFileSync(list, 'utf8')) as string[];
}

describe('a recover of a small state', () => {
  it('loads neither the cryptography of Node nor what measures performance', () => {
    mkdirSync(join(folder, 'state'));
    writeFileSync(join(folder, 'state', 'file'), 'content');
    const store = `--store=${join(folder, 'keep')}`;
    loadedBy(['capture', `--state-dir=${join(folder, 'state')}`, store]);
    const modules = loadedBy(['recover', `--state-dir=${join(folder, 'again')}`, store]);
    expect(modules).toContain('NativeModule fs/promises');
    const needless = ['crypto', 'perf_hooks', 'http', 'child_process', 'worker_threads'];
    expect(modules.filter((name) => needless.includes(name.replace('NativeModule ', '')))).toEqual([]);
  });
});
