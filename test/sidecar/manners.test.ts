/** How a sidecar behaves as a process: process 1 of a container, on a terminal, beside another sidecar, with a child that fails. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, PROGRAM, runCli, scratch, startCli } from '../cli/cli-process.js';
import { itIn, ownRoom } from './own-room.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
const OPTIONS = ['--state-dir=data', '--store=keep', '--max-lag=100ms'];
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

describe('process 1', () => {
  const room = ownRoom(['--pid', '--fork', '--mount-proc', '--kill-child']);
  itIn(
    room,
    'collects orphans, passes signals on, ends with the code of the application',
    () => {
      // Three orphans that end at once; whoever is left of them is counted when they had time to be collected.
      const script = `for i in 1 2 3; do (sleep 0.1 & ); done
sleep 2.5
for stat in /proc/[0-9]*/stat; do sed 's/.*) //' $stat; done 2>/dev/null | grep -c '^Z'
trap 'exit 9' TERM; kill -TERM 1; while :; do sleep 0.1; done`;
      const result = spawnSync('unshare', [...room.words, '--', ...PROGRAM, ...OPTIONS, '--', 'sh', '-c', script], {
        cwd,
        encoding: 'utf8',
        timeout: 60_000,
      });
      expect(result.stdout, result.stderr).toBe('0\n');
      expect(result.status).toBe(9);
    },
    70_000,
  );
});

describe('SIGTERM', () => {
  it('is followed by SIGKILL for an application that does not end', async () => {
    const command = ['sh', '-c', `trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done`];
    const running = startCli([...OPTIONS, '--stop-timeout=400ms', '--', ...command], { cwd });
    await running.until(/ready/);
    running.process.kill('SIGTERM');
    const result = await running.ended;
    expect([result.code, result.stdout]).toEqual([137, 'ready\nasked\n']);
    expect(result.stderr).toMatch(/did not end in time.*SIGKILL[\s\S]*final state is kept/);
  });

  it('changes nothing once the application has ended, up to the very end', async () => {
    // Takes connections and says nothing: at the end it is waited for, for seconds.
    const receiver = createServer().listen(0, '127.0.0.1');
    await once(receiver, 'listening');
    const { port } = receiver.address() as AddressInfo;
    const words = [...OPTIONS, '--plaintext', `--replicate=tcp://127.0.0.1:${port}`];
    const running = startCli([...words, '--', 'sh', '-c', 'echo kept > data/file; exit 7'], { cwd });
    await once(receiver, 'connection');
    await running.until(/final state is kept/);
    for (const name of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) {
      running.process.kill(name);
      await sleep(200);
    }
    expect(await running.ended).toMatchObject({ code: 7 });
    receiver.close();
    expect((await runCli(['cat', '--store=keep', 'file'], { cwd })).stdout).toBe('kept\n');
  });
});

describe('--restart=on-failure', () => {
  it('starts it again until it succeeds', async () => {
    const script = 'echo x >> data/lives; [ $(wc -l < data/lives) -ge 2 ] || exit 5';
    const result = await runCli([...OPTIONS, '--restart=on-failure', '--', 'sh', '-c', script], { cwd });
    expect([result.code, await readFile(at('data/lives'), 'utf8')]).toEqual([0, 'x\nx\n']);
    expect(result.stderr).toMatch(/started again \(restarts=1/);
  });

  it('gives up at the limit, with the last code', async () => {
    const words = [...OPTIONS, '--restart=on-failure', '--restart-limit=1', '--consistency=freeze'];
    const result = await runCli([...words, '--', 'sh', '-c', 'echo life; exit 5'], { cwd });
    expect([result.code, result.stdout]).toEqual([5, 'life\nlife\n']);
    expect(result.stderr).toMatch(/failed too often in a row/);
  });

  it('is no reason to restart what was told to end, nor to wait when told so between two lives', async () => {
    const told = startCli([...OPTIONS, '--restart=on-failure', '--', 'sh', '-c', 'echo ready; exec sleep 60'], { cwd });
    await told.until(/ready/);
    told.process.kill('SIGTERM');
    expect((await told.ended).code).toBe(143);
    const words = [...OPTIONS, '--restart=on-failure', '--restart-limit=20'];
    const between = startCli([...words, '--', 'sh', '-c', 'exit 5'], { cwd });
    // Four seconds of waiting follow.
    await between.until(/restarts=3/);
    const startMs = performance.now();
    between.process.kill('SIGTERM');
    expect((await between.ended).code).toBe(143);
    expect(performance.now() - startMs).toBeLessThan(3500);
  });
});

describe('--restart=on-failure and what comes between', () => {
  const words = [...OPTIONS, '--restart=on-failure', '--restart-limit=2', '--stop-timeout=200ms'];

  it('SIGHUP that an application lives on after is no reason not to restart it later', async () => {
    const script = `trap 'echo reload' HUP; [ -e again ] && exit 0; echo ready; while [ ! -e again ]; do sleep 0.05; done; exit 5`;
    const running = startCli([...words, '--', 'sh', '-c', script], { cwd });
    await running.until(/ready/);
    running.process.kill('SIGHUP');
    await running.until(/reload/);
    // For longer than it would have been given to end.
    await sleep(400);
    await writeFile(at('again'), '');
    const result = await running.ended;
    expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/started again \(restarts=1/) });
  });

  it('what ends by SIGINT within that time was told to', async () => {
    const running = startCli([...words, '--stop-timeout=0', '--', 'sh', '-c', 'echo ready; exec sleep 60'], { cwd });
    await running.until(/ready/);
    running.process.kill('SIGINT');
    const result = await running.ended;
    expect([result.code, /started again/.test(result.stderr)]).toEqual([130, false]);
  });

  it('a restart that cannot be started is one more failure', async () => {
    await writeFile(at('app'), '#!/bin/sh\n[ -e gone ] && exit 0; mv app gone; exit 5\n', { mode: 0o755 });
    const running = startCli([...words, '--', './app'], { cwd });
    await running.until(/cannot start \.\/app[\s\S]*restarts=2/);
    await copyFile(at('gone'), at('app'));
    const result = await running.ended;
    expect(result).toMatchObject({ code: 0, stderr: expect.stringMatching(/final state is kept/) });
    await rm(at('gone'));
    await rm(at('app'));
    // At the very first start there is nothing to restart.
    const never = await runCli([...words, '--', './app'], { cwd });
    expect([never.code, /started again/.test(never.stderr)]).toEqual([127, false]);
  });
});

describe('a second sidecar on one state directory', () => {
  it('is refused, whatever its store and however it names the directory', async () => {
    const first = startCli([...OPTIONS, '--', 'sh', '-c', 'echo 1 > data/one; echo ready; exec sleep 60'], { cwd });
    await first.until(/ready/);
    await symlink('data', at('link'));
    const second = await runCli(['--state-dir=link', '--store=other', '--', 'echo', 'started'], { cwd });
    expect(second).toMatchObject({ code: 125, stdout: '' });
    expect(second.stderr).toMatch(new RegExp(`process ${first.pid} keeps .*DK_STATE_DIR_LOCKED`));
    const child = Number((await first.until(/childPid=(\d+)/))[1]);
    first.process.kill('SIGKILL');
    process.kill(child, 'SIGKILL');
    await first.ended;
    await rm(at('other'), { recursive: true });
    // A killed one leaves nothing behind that stands in the way.
    expect((await runCli(['--state-dir=link', '--store=other', '--', 'cat', 'data/one'], { cwd })).stdout).toBe('1\n');
  });
});

/** Types into a program on a terminal; gives what it showed and its exit code. */
async function onTerminal(
  steps: readonly (readonly [when: string, type: string, who?: 'job'])[],
  ...words: string[]
): Promise<{ readonly code: number | null; readonly text: string }> {
  const program = fileURLToPath(new URL('./typist.py', import.meta.url));
  const child = spawn('python3', [program, ...PROGRAM, ...words], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, TERM: 'xterm', PS1: '$ ', HISTFILE: '' },
  });
  child.stdin.end(JSON.stringify(steps));
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return { code: await new Promise((resolve) => child.on('close', resolve)), text };
}

describe.each([
  ['file', 'auto'],
  ['freeze', 'auto'],
  ['freeze', 'signals'],
])('on a terminal, --consistency=%s, --freeze-with=%s', (consistency, means) => {
  const options = [...OPTIONS, `--consistency=${consistency}`, `--freeze-with=${means}`, '--checkpoint-interval=50ms'];

  it('job control of a shell works: Ctrl-Z, jobs, fg, Ctrl-C', async () => {
    const { code, text } = await onTerminal(
      [
        ['[#$] ', 'while :; do date +%N > data/now; sleep 0.02; done &\r'],
        ['[#$] ', `sh -c 'echo on; exec sleep 77'\r`],
        ['on\\r\\n', '\x1a'],
        ['Stopped', 'jobs\r'],
        ['Stopped', 'fg %2\r'],
        ['fg %2[^$#]*sleep 77', '\x03', 'job'],
        ['[#$] ', 'kill %1; wait; exit 7\r'],
      ],
      ...options,
      '--',
      'bash',
      '--norc',
      '--noprofile',
      '-i',
    );
    expect(code, text).toBe(7);
    expect(text).not.toMatch(/no job control/);
    // Freeze points go unseen: the only stopped job is the one that was asked for.
    expect(text.match(/Stopped/g)?.length).toBe(2);
  }, 70_000);
});

it('Ctrl-C on a terminal ends the application: it is not started again', async () => {
  const { code, text } = await onTerminal(
    [['ready\\r\\n', '\x03']],
    ...OPTIONS,
    '--restart=on-failure',
    '--',
    'sh',
    '-c',
    'echo ready; exec sleep 60',
  );
  expect(code, text).toBe(130);
  expect(text.match(/started sh/g)).toHaveLength(1);
}, 70_000);

it('a full-screen editor works on a terminal', async () => {
  const { code, text } = await onTerminal(
    [
      ['~', 'ihello'],
      ['hello', '\x1b:wq\r'],
    ],
    ...OPTIONS,
    '--consistency=freeze',
    '--',
    'vim.tiny',
    '-u',
    'NONE',
    'data/text',
  );
  expect(code, text).toBe(0);
  expect((await runCli(['cat', '--store=keep', 'text'], { cwd })).stdout).toBe('hello\n');
}, 70_000);
