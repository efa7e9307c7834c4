/** How an application ended is told as the kernel tells it: each exit code, each signal. */
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { loadProcessCalls } from '../../src/engine/load.js';
import { startChild } from '../../src/sidecar/child.js';
import { ensureBuilt, PROGRAM, runCli, scratch, startProgram } from '../cli/cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

const start = (...command: string[]) => startChild({ command, ownGroup: false, env: process.env, cwd });

it.skipIf(loadProcessCalls() === undefined)('by any signal that ends it, a real-time one, too', async () => {
  for (const number of [1, 2, 3, 6, 9, 10, 11, 13, 14, 15, 31, 34, 50, 64]) {
    const child = await start('sh', '-c', `ulimit -c 0; kill -${number} $$`);
    expect((await child.ended).exitCode).toBe(128 + number);
    expect([child.gone, child.signal('SIGTERM')]).toEqual([true, false]);
  }
  expect((await (await start('sh', '-c', 'kill -34 $$')).ended).signalName).toBe('SIG34');
  expect((await (await start('sh', '-c', 'kill -9 $$')).ended).signalName).toBe('SIGKILL');
});

it('by any code', async () => {
  for (const code of [0, 1, 42, 125, 128, 192, 255]) {
    const child = await start('sh', '-c', `exit ${code}`);
    expect(await child.ended).toEqual({ exitCode: code, signalName: null });
  }
});

it('what cannot be started says why', async () => {
  await expect(start('no-such-program')).rejects.toMatchObject({ code: 'DK_SPAWN', cause: { code: 'ENOENT' } });
  await expect(start('/')).rejects.toMatchObject({ code: 'DK_SPAWN', cause: { code: 'EACCES' } });
  await expect(start('')).rejects.toMatchObject({ code: 'DK_SPAWN' });
});

it.skipIf(loadProcessCalls() === undefined)(
  'a real-time signal is a failure: the program is started again',
  async () => {
    const words = ['--state-dir=data', '--store=keep', '--restart=on-failure', '--restart-limit=1', '--'];
    const result = await runCli([...words, 'sh', '-c', 'echo life; kill -34 $$'], { cwd });
    expect([result.code, result.stdout]).toEqual([162, 'life\nlife\n']);
  },
);

it.skipIf(loadProcessCalls() === undefined)(
  'sockets of systemd are handed on, with the application named in LISTEN_PID, and nothing else',
  async () => {
    const [program, ...words] = PROGRAM;
    const line = [program, ...words, '--state-dir=data', '--store=keep', '--', 'sh', '-c'];
    const script =
      'echo $((LISTEN_PID == $$)) $LISTEN_FDS $(readlink /proc/$$/fd/3 | cut -c1-7) $(ls /proc/$$/fd | grep -cx 7)';
    const opener = `import os, socket, sys
one = socket.socket()
os.dup2(one.fileno(), 3); os.dup2(one.fileno(), 7); os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[1], sys.argv[1:])`;
    const running = startProgram('python3', ['-c', opener, ...line, script], { cwd });
    const result = await running.ended;
    expect(result.stdout, result.stderr).toBe('1 1 socket: 0\n');
  },
);

it('a JSON line of a failure has each key once', async () => {
  const words = ['--log-format=json', '--state-dir=data', '--store=keep', '--before-checkpoint=', '--', 'true'];
  const { code, stderr } = await runCli(words, { cwd });
  expect([code, stderr.match(/"name":/g)?.length, JSON.parse(stderr)]).toMatchObject([
    2,
    1,
    { name: 'diffkeeper', subject: '--before-checkpoint' },
  ]);
});
