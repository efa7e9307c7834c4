/** The application's stdin, stdout and stderr are its own: every byte, every flag, the terminal. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, PROGRAM, scratch } from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

interface Ran {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** Runs a command under the sidecar; `feed` writes to its stdin in its own time. */
async function runWith(words: readonly string[], feed: (stdin: NodeJS.WritableStream) => Promise<void>): Promise<Ran> {
  const child = spawn(PROGRAM[0], [...PROGRAM.slice(1), '--state-dir=data', '--store=keep', ...words], {
    cwd,
    stdio: 'pipe',
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => out.push(part));
  child.stderr.on('data', (part: Buffer) => err.push(part));
  child.stdin.on('error', () => {});
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  await feed(child.stdin);
  child.stdin.end();
  return { code: await ended, stdout: Buffer.concat(out), stderr: Buffer.concat(err) };
}

describe.each(['file', 'freeze'])('stdio with --consistency=%s', (consistency) => {
  const option = `--consistency=${consistency}`;

  it.each(['stdout', 'stderr'] as const)('hands every byte through to %s', async (name) => {
    const bytes = randomBytes(2 << 20);
    // Our own line about the start goes to stderr too: it must be out before the application writes.
    const command = name === 'stdout' ? 'cat' : 'sleep 0.4; cat >&2';
    const result = await runWith([option, '--', 'sh', '-c', command], async (stdin) => {
      for (let at = 0; at < bytes.length; at += 65_536) stdin.write(bytes.subarray(at, at + 65_536));
    });
    expect(result.code).toBe(0);
    const all = result[name];
    const at = all.indexOf(bytes.subarray(0, 64));
    expect(name === 'stderr' || (at === 0 && all.length === bytes.length)).toBe(true);
    expect(all.subarray(at, at + bytes.length).equals(bytes)).toBe(true);
  });

  it('leaves stdin blocking: an application that waits for input gets it', async () => {
    const result = await runWith([option, '--', 'sh', '-c', 'sleep 0.3; cat'], async (stdin) => {
      stdin.write('early\n');
      await sleep(900);
      stdin.write('late\n');
    });
    expect([result.code, result.stdout.toString()]).toEqual([0, 'early\nlate\n']);
  });

  it('is on the terminal when we are', async () => {
    const script = `import os,pty,sys
status = pty.spawn(sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(status))`;
    const words = [...PROGRAM, '--state-dir=data', '--store=keep', option, '--'];
    const command = ['sh', '-c', '[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && exit 23'];
    const child = spawn('python3', ['-c', script, ...words, ...command], { cwd, stdio: ['pipe', 'ignore', 'inherit'] });
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(23);
    child.stdin?.destroy();
  });
});

it.each(['file', 'freeze'])('--consistency=%s: nobody that is started gets descriptors of the store', async (mode) => {
  // Three hooks are more than one: LevelDB opens files while we run.
  const list = 'ls -l /proc/self/fd | sed -n "s/.* -> //p" > data/NAME; echo x >> data/count';
  const hook = list.replace('NAME', 'hook');
  const words = [
    `--consistency=${mode}`,
    '--checkpoint-interval=50ms',
    '--max-lag=50ms',
    `--before-checkpoint=${hook}`,
  ];
  const script = `${list.replace('NAME', 'own')}
while [ $(wc -l < data/count) -lt 4 ]; do date +%N > data/now; sleep 0.05; done`;
  const result = await runWith([...words, '--', 'sh', '-c', script], async () => {});
  expect(result.code, String(result.stderr)).toBe(0);
  for (const name of ['own', 'hook']) {
    const open = (await readFile(path.join(cwd, 'data', name), 'utf8')).split('\n');
    expect(open.length).toBeGreaterThan(3);
    expect(open.filter((target) => target.includes('/keep'))).toEqual([]);
  }
});
