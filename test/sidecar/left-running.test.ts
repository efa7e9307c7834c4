/** The sidecar is killed alone: what it started is found by the next run, and by nobody whom it does not concern. */
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { leaderOf } from '../../src/sidecar/proc.js';
import { ensureBuilt, runCli, scratch, startCli } from '../cli/cli-process.js';
import { stateOf } from './freeze-ends.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let left: number[] = [];
const at = (name: string): string => join(cwd, name);
const OPTIONS = ['--state-dir=data', '--store=keep', '--max-lag=50ms'];
const APPLICATION = 'echo $$ > pid; while :; do date +%N > data/now; sleep 0.02; done';

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  for (const pid of left) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  left = [];
  await remove();
});

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 3000; tries += 1) {
    if (await what()) return;
    await sleep(5);
  }
  throw new Error(`waited in vain: ${what}`);
}

const noteName = async (): Promise<string | undefined> =>
  (await readdir(at('keep'))).find((name) => /^running-[0-9a-f]{16}$/.test(name));

/** Starts an application, kills its sidecar, and gives the process id of what is left. */
async function leave(script: string, ...words: string[]): Promise<number> {
  const running = startCli([...OPTIONS, ...words, '--', 'sh', '-c', script], { cwd });
  await until(() => existsSync(at('pid')) && statSync(at('pid')).size > 0);
  await until(async () => existsSync(at('keep')) && (await noteName()) !== undefined);
  const pid = Number(readFileSync(at('pid'), 'utf8'));
  left.push(pid);
  // Something was acknowledged, so that there is something to recover.
  await until(async () => (await runCli(['log', '--store=keep', '--json'], { cwd })).stdout !== '');
  const ended = once(running.process, 'exit');
  process.kill(running.pid, 'SIGKILL');
  await ended;
  return pid;
}

const next = (...words: string[]) =>
  runCli([...OPTIONS, ...words, '--', 'sh', '-c', 'echo second; cat data/old'], { cwd });
const gone = (pid: number): boolean => ['', 'Z'].includes(stateOf(pid));

describe.each([['file'], ['freeze']])('--consistency=%s', (consistency) => {
  const mode = `--consistency=${consistency}`;

  it('refuses by name and number, and touches nothing', async () => {
    const pid = await leave(APPLICATION, mode);
    await rm(at('data'), { recursive: true });
    const refused = await next(mode);
    expect(refused).toMatchObject({ code: 125, stdout: '' });
    expect(refused.stderr).toMatch(new RegExp(`process ${pid} \\(sh\\).*DK_APPLICATION_RUNS.*\\n.*--orphan=terminate`));
    // Made, since a directory is what is locked; empty, since nothing was recovered below the application.
    expect((await readdir(at('data'))).filter((name) => name !== 'now')).toEqual([]);
    expect(gone(pid)).toBe(false);
    // When it has ended, the next start is like any other.
    process.kill(pid, 'SIGKILL');
    await until(() => gone(pid));
    expect(await next(mode)).toMatchObject({ stdout: 'second\n' });
    expect(await noteName()).toBeUndefined();
  }, 60_000);
});

it('--orphan=terminate ends it as a run would, and keeps what it wrote alone', async () => {
  const script = `echo $$ > pid; trap 'echo told > data/old; exit' TERM; while :; do date +%N > data/now; sleep 0.02; done`;
  const pid = await leave(script);
  const result = await next('--orphan=terminate');
  expect([result.code, result.stdout]).toEqual([0, 'second\ntold\n']);
  expect(gone(pid)).toBe(true);
  expect(result.stderr).toMatch(/told to end/);
  expect((await runCli(['cat', '--store=keep', 'old'], { cwd })).stdout).toBe('told\n');
}, 60_000);

it('--orphan=terminate: SIGKILL for what does not end, one that stands still among them', async () => {
  const pid = await leave(`trap '' TERM; ${APPLICATION}`);
  process.kill(pid, 'SIGSTOP');
  const result = await next('--orphan=terminate', '--stop-timeout=300ms');
  expect(result.stdout).toBe('second\n');
  expect(result.stderr).toMatch(/SIGKILL/);
  expect(gone(pid)).toBe(true);
}, 60_000);

it('--orphan=ignore starts another one beside it', async () => {
  const pid = await leave(APPLICATION);
  const result = await next('--orphan=ignore');
  expect(result.stdout).toBe('second\n');
  expect(result.stderr).toMatch(/still runs on this directory/);
  expect(gone(pid)).toBe(false);
}, 60_000);

it('a SIGTERM ends the wait for what does not end', async () => {
  await leave(`trap '' TERM; ${APPLICATION}`);
  const waiting = startCli([...OPTIONS, '--orphan=terminate', '--stop-timeout=0', '--', 'true'], { cwd });
  await waiting.until(/told to end/);
  waiting.process.kill('SIGTERM');
  expect((await waiting.ended).code).toBe(143);
}, 60_000);

it('in freeze mode what is left of its group counts, too; a daemon that left it does not', async () => {
  const grouped = 'sh -c "echo \\$\\$ > pid; exec sleep 60" & while :; do echo > data/now; sleep 0.02; done';
  const pid = await leave(grouped, '--consistency=freeze');
  const [, leader = ''] = readFileSync(at(`keep/${await noteName()}`), 'latin1').split('\n');
  process.kill(Number.parseInt(leader, 10), 'SIGKILL');
  const refused = await next('--consistency=freeze');
  expect(refused.stderr).toMatch(new RegExp(`process ${pid} \\(sleep\\)`));
  process.kill(pid, 'SIGKILL');
  await rm(at('pid'));
  const daemon = await leave(
    'setsid sh -c "echo \\$\\$ > pid; exec sleep 60" & while :; do echo > data/now; sleep 0.02; done',
    '--consistency=freeze',
  );
  const [, second = ''] = readFileSync(at(`keep/${await noteName()}`), 'latin1').split('\n');
  process.kill(Number.parseInt(second, 10), 'SIGKILL');
  expect((await next('--consistency=freeze')).stdout).toBe('second\n');
  expect(gone(daemon)).toBe(false);
}, 60_000);

describe('no false alarm', () => {
  /** What a run that is killed would have left, with something changed. */
  async function refuses(change: (text: string) => string): Promise<boolean> {
    const pid = left[0] ?? 0;
    const name = (await noteName()) ?? '';
    const note = await readFile(at(`keep/${name}`), 'latin1');
    await writeFile(at(`keep/${name}`), change(note));
    const result = await next();
    expect(gone(pid)).toBe(false);
    await writeFile(at(`keep/${name}`), note);
    return result.code === 125;
  }

  it('after a boot, in another namespace, for a number that was given away, for what is no such note', async () => {
    await leave(APPLICATION);
    expect(await refuses((note) => note)).toBe(true);
    expect(await refuses((note) => note.replace(/^./, (digit) => (digit === '0' ? '1' : '0')))).toBe(false);
    expect(await refuses((note) => note.replace(/\d+\n/, (digits) => `${Number.parseInt(digits, 10) + 1}\n`))).toBe(
      false,
    );
    const { startTicks } = leaderOf(left[0] ?? 0);
    expect(await refuses((note) => note.replace(` ${startTicks} `, ` ${startTicks + 1} `))).toBe(false);
    for (const other of ['', 'x', '\n\n', 'x'.repeat(4096)]) expect(await refuses(() => other)).toBe(false);
  }, 100_000);

  it('on another directory, and with nobody to be started', async () => {
    await leave(APPLICATION);
    const words = ['--state-dir=other', '--store=keep', '--', 'echo', 'second'];
    expect((await runCli(words, { cwd })).stdout).toBe('second\n');
    const watching = startCli([...OPTIONS, '--no-exec'], { cwd });
    await watching.until(/watching without a child/);
    watching.process.kill('SIGTERM');
    expect((await watching.ended).code).toBe(0);
    // It is told again as soon as somebody would be.
    expect(await next()).toMatchObject({ code: 125 });
  }, 60_000);

  it('while it ends: it is waited for', async () => {
    const pid = await leave(APPLICATION);
    setTimeout(() => process.kill(pid, 'SIGKILL'), 700);
    expect((await next()).stdout).toBe('second\n');
  }, 60_000);
});
