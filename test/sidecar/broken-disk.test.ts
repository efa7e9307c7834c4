/** A disk that breaks, or turns read-only, under a run: the application runs on, the state is degraded, and captures catch up. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ensureBuilt, type RunningCli, runCli, scratch, startCli } from '../cli/cli-process.js';
import { asking, expectShownDegraded, expectShownWell } from './shown-health.js';

/** Everything that the sidecar and the libraries in it do to files of the store, and to nothing else. */
const CALLS = 'fsync,fdatasync,pwrite64,pwritev,rename,renameat,renameat2,unlink,unlinkat,mkdir,ftruncate';

let cwd = '';
let remove = async (): Promise<void> => {};
let running: RunningCli | undefined;
let fault: Fault | undefined;
const at = (name: string): string => path.join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  await fault?.end();
  fault = undefined;
  running?.process.kill('SIGKILL');
  running = undefined;
  await remove();
});

/** From its making to its end every such call of a process, in whatever thread, fails in the kernel's name. */
class Fault {
  readonly #strace: ChildProcess;
  readonly #ended: Promise<unknown>;
  #said = '';

  private constructor(pid: number, code: string) {
    const words = ['-f', '-p', String(pid), '-o', at('calls'), '-e', `trace=${CALLS}`];
    this.#strace = spawn('strace', [...words, '-e', `inject=${CALLS}:error=${code}`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#ended = new Promise((resolve) => this.#strace.once('close', resolve).once('error', resolve));
    this.#strace.stderr?.setEncoding('utf8').on('data', (part: string) => {
      this.#said += part;
    });
  }

  static async begin(pid: number, code: string): Promise<Fault> {
    const made = new Fault(pid, code);
    while (!/attached/.test(made.#said)) {
      if (made.#strace.exitCode !== null) throw new Error(`strace: ${made.#said}`);
      await sleep(20);
    }
    return made;
  }

  /** All is well again. */
  async end(): Promise<void> {
    this.#strace.kill('SIGTERM');
    await this.#ended;
  }
}

/** Why strace may not look into a process that is not below it, or is not there; a machine that is late forbids nothing. */
function refusal(): string | undefined {
  const script = 'sleep 1 & exec strace -o /dev/null -e inject=fsync:error=EIO -p $!';
  const { stderr, error } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  if (error) throw error;
  return /not permitted|denied|not found|not implemented/.test(stderr) ? stderr.trim() : undefined;
}
const REFUSED = refusal();
if (REFUSED !== undefined) process.stderr.write(`skipped on this machine: a disk that breaks (${REFUSED})\n`);

/** Counts in a file of the state directory, besides files of its own, until it is told to end. */
const APP = `trap 'exit 7' TERM
i=0; while :; do i=$((i+1)); echo $i > data/f$((i%20)); echo $i >> data/i; sleep 0.03; done`;

async function lines(): Promise<number> {
  return (await readFile(at('data/i'), 'utf8')).split('\n').length;
}

async function expectGoesOn(): Promise<void> {
  const before = await lines();
  while ((await lines()) === before) await sleep(20);
}

async function newest(): Promise<number> {
  return JSON.parse((await asking(at('keep/control.sock'))('/status')).text).newest.sequence;
}

it.skipIf(REFUSED !== undefined).each([
  ['EIO', /EIO|i\/o error|Input\/output error/],
  ['EROFS', /EROFS|[Rr]ead-only/],
])(
  '%s of the disk of the store: degraded as long as it lasts, and all is kept afterwards',
  async (code, words) => {
    mkdirSync(at('data'));
    running = startCli(['--state-dir=data', '--store=keep', '--max-lag=100ms', '--debug', '--', 'sh', '-c', APP], {
      cwd,
    });
    await running.until(/checkpoint \(.*added=[1-9]/);
    const ask = asking(at('keep/control.sock'));
    for (let time = 0; time < 2; time += 1) {
      fault = await Fault.begin(running.pid, code);
      await expectShownDegraded(ask, words);
      const acknowledged = await newest();
      writeFileSync(at(`data/meanwhile${time}`), `${time}`);
      await expectGoesOn();
      // Nothing can have become durable.
      expect(await newest()).toBe(acknowledged);
      await fault.end();
      await expectShownWell(ask);
      await expect.poll(newest, { timeout: 40_000 }).toBeGreaterThan(acknowledged);
    }
    await running.until(/warn: degraded[\s\S]*no longer degraded/);
    running.process.kill('SIGTERM');
    expect((await running.ended).code).toBe(7);
    expect(await runCli(['verify', '--store=keep', '--read-data'], { cwd })).toMatchObject({ code: 0 });
    expect(await runCli(['recover', '--store=keep', '--state-dir=back'], { cwd })).toMatchObject({ code: 0 });
    for (const name of await readdir(at('data'))) {
      expect((await readFile(at(`back/${name}`))).equals(await readFile(at(`data/${name}`))), name).toBe(true);
    }
    for (let time = 0; time < 2; time += 1) {
      expect(await readFile(at(`back/meanwhile${time}`), 'utf8')).toBe(`${time}`);
    }
  },
  180_000,
);
