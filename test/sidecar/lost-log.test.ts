/** A log that nobody can write or read any more costs its lines, and neither the application nor its last state. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, PROGRAM, runCli, scratch } from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
const OPTIONS = ['--state-dir=data', '--store=keep', '--max-lag=100ms', '--debug'];
/** Ends with a code of its own, after a last word that only the final capture can have. */
const APP = `trap 'echo late > data/last; exit 9' TERM HUP; echo up > data/up; while :; do sleep 0.05; done`;
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

function start(words: readonly string[], stdio: readonly ('ignore' | 'pipe' | number)[]): ChildProcess {
  return spawn(PROGRAM[0], [...PROGRAM.slice(1), ...OPTIONS, ...words, '--', 'sh', '-c', APP], {
    cwd,
    stdio: [...stdio],
  });
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 3000; tries += 1) {
    if (await what()) return;
    await sleep(10);
  }
  throw new Error(`waited in vain: ${what}`);
}

const ended = (child: ChildProcess): Promise<number | null> =>
  new Promise((resolve) => child.once('exit', (code) => resolve(code)));
const kept = async (file: string): Promise<string> => (await runCli(['cat', '--store=keep', file], { cwd })).stdout;

describe.each(['human', 'json'])('--log-format=%s', (form) => {
  it('stderr on a disk without room', async () => {
    const full = openSync('/dev/full', 'w');
    const child = start([`--log-format=${form}`], ['ignore', 'ignore', full]);
    const end = ended(child);
    closeSync(full);
    await until(async () => existsSync(at('data/up')) && (await kept('up')) === 'up\n');
    child.kill('SIGTERM');
    expect(await end).toBe(9);
    expect(await kept('last')).toBe('late\n');
  }, 60_000);

  it('a pipe whose reader has gone', async () => {
    const child = start([`--log-format=${form}`], ['ignore', 'pipe', 'pipe']);
    const end = ended(child);
    // Read up to a line of the running application, then no more.
    await new Promise<void>((resolve) => child.stderr?.once('data', () => resolve()));
    child.stderr?.destroy();
    child.stdout?.destroy();
    await until(async () => existsSync(at('data/up')) && (await kept('up')) === 'up\n');
    child.kill('SIGTERM');
    expect(await end).toBe(9);
    expect(await kept('last')).toBe('late\n');
  }, 60_000);
});

it('a terminal that is closed: the application hears SIGHUP, and its last words are kept', async () => {
  // The sidecar is what the terminal belongs to, so closing it is told to it and its group.
  const script = `import os, pty, sys, time
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
while not os.path.exists('data/up'): time.sleep(0.01)
os.close(terminal)
os.waitpid(pid, 0)`;
  const words = ['-c', script, ...PROGRAM, ...OPTIONS, '--', 'sh', '-c', APP];
  const child = spawn('python3', words, { cwd, stdio: 'ignore' });
  // The code goes to nobody: Node itself aborts at the very end when it cannot set the terminal back.
  await ended(child);
  expect(await readFile(at('data/last'), 'utf8')).toBe('late\n');
  expect(await kept('last')).toBe('late\n');
}, 60_000);

it('record: the end of the command counts, whoever has stopped listening to it', async () => {
  const words = [...PROGRAM, 'record', '--state-dir=data', '--store=keep', '--json'];
  const child = spawn(
    words[0] ?? '',
    [...words.slice(1), '--', 'sh', '-c', 'mkdir -p data; echo up > data/up; exit 9'],
    {
      cwd,
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  child.stdout.destroy();
  expect(await ended(child)).toBe(9);
}, 60_000);
