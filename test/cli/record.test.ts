/** `record`: what a failing command did to its files can be looked at afterwards, step by step. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, jsonLines, runCli, scratch, startCli } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
const cli = (...words: string[]) => runCli(words, { cwd });
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

/** Overwrites one file again and again, and fails. */
const FLAKY = 'for i in 1 2 3; do echo "step $i" > out/state; sleep 0.5; done; echo broken > out/state; exit 3';

interface Checkpoint {
  readonly sequence: number;
  readonly tag: string;
}

async function checkpoints(): Promise<Checkpoint[]> {
  const { stdout } = await cli('log', '--store=.diffkeeper', '--json', '--limit=0');
  return jsonLines(stdout) as unknown as Checkpoint[];
}

describe('record', () => {
  it('keeps the steps of a command that fails, ends as it did, and says how to look', async () => {
    await mkdir(at('out'));
    const result = await cli('record', '--state-dir=out', '--', 'sh', '-c', `echo "its own words"; ${FLAKY}`);
    expect([result.code, result.stdout]).toEqual([3, 'its own words\n']);
    const told = /ended with 3; recorded as checkpoints 1 to (\d+)/.exec(result.stderr);
    const last = Number(told?.[1]);
    const [newest, ...others] = await checkpoints();
    expect(newest).toMatchObject({ sequence: last, tag: expect.stringMatching(/^exit code 3: sh -c echo/) });
    const seen: string[] = [];
    for (const { sequence } of others.reverse()) {
      const step = await cli('cat', '--store=.diffkeeper', `--at=${sequence}`, 'state');
      if (step.code === 0) seen.push(step.stdout);
    }
    expect(seen).toEqual(expect.arrayContaining(['step 1\n', 'step 2\n', 'step 3\n', 'broken\n']));
    // The commands that it names work as they stand.
    const named = [...result.stderr.matchAll(/^ {2}diffkeeper (.*)$/gm)].map(([, words = '']) => words.split(' '));
    expect(named.map(([name]) => name)).toEqual(['timeline', 'export']);
    for (const words of named) expect(await cli(...words)).toMatchObject({ code: 0 });
    expect(await readFile(at('DIRECTORY/state'), 'utf8')).toBe('broken\n');
  }, 60_000);

  it('needs no options: the directory it is in, without what was installed there', async () => {
    await mkdir(at('node_modules/package'), { recursive: true });
    await writeFile(at('node_modules/package/index.js'), 'x');
    await writeFile(at('test.txt'), 'before');
    const result = await cli('record', '--json', '--', 'sh', '-c', 'echo after > test.txt');
    expect(result.code).toBe(0);
    expect(jsonLines(result.stdout)).toMatchObject([{ type: 'recording', store: '.diffkeeper', from: 1, exitCode: 0 }]);
    expect((await cli('cat', '--store=.diffkeeper', '--at=1', 'test.txt')).stdout).toBe('before');
    expect((await cli('cat', '--store=.diffkeeper', 'test.txt')).stdout).toBe('after\n');
    expect((await cli('export', '--store=.diffkeeper', '--format=dir', 'look')).code).toBe(0);
    await expect(readFile(at('look/node_modules/package/index.js'))).rejects.toMatchObject({ code: 'ENOENT' });
    // A second run goes on in the same store and never brings anything back.
    await writeFile(at('test.txt'), 'again');
    expect((await cli('record', '--', 'cat', 'test.txt')).stdout).toBe('again');
    const tags = (await checkpoints()).map(({ tag }) => tag).filter((tag) => tag !== '');
    expect(tags).toEqual(['exit code 0: cat test.txt', 'exit code 0: sh -c echo after > test.txt']);
  }, 60_000);

  it('is a run: signals go to the command, and a missing command is told by its code', async () => {
    const script = `trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done`;
    const running = startCli(['record', '--', 'sh', '-c', script], { cwd });
    await running.until(/ready/);
    running.process.kill('SIGTERM');
    expect((await running.ended).code).toBe(9);
    expect((await cli('record', '--', './none')).code).toBe(127);
    const nothing = await cli('record');
    expect([nothing.code, nothing.stderr]).toEqual([2, expect.stringMatching(/nothing to run/)]);
    expect((await cli('record', '--help')).stdout).toMatch(/--store <dir>.*default: \.diffkeeper/s);
  }, 60_000);
});
