import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type CliResult,
  ensureBuilt,
  jsonLines,
  type RunningCli,
  runCli,
  scratch,
  startCli,
} from '../cli/cli-process.js';
import { SCHEMAS } from '../store/keepings.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
const OPTIONS = ['--state-dir=data', '--store=keep', '--max-lag=100ms'];
const run = (options: string[], ...command: string[]): Promise<CliResult> =>
  runCli([...OPTIONS, ...options, '--', ...command], { cwd });
const start = (options: string[], ...command: string[]): RunningCli =>
  startCli([...OPTIONS, ...options, '--', ...command], { cwd });
const cat = async (file: string): Promise<string> => (await runCli(['cat', '--store=keep', file], { cwd })).stdout;

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(() => remove());

describe('exit codes', () => {
  it('passes stdio and the exit code through', async () => {
    const result = await run([], 'sh', '-c', 'echo out; echo err >&2; exit 42');
    expect(result.code).toBe(42);
    expect(result.stdout).toBe('out\n');
    expect(result.stderr).toContain('err\n');
  });

  it('128 + N for a signal', async () => {
    expect((await run([], 'sh', '-c', 'kill -KILL $$')).code).toBe(137);
  });

  it('127 not found, 126 cannot execute', async () => {
    const missing = await run([], './no-such-program');
    expect([missing.code, missing.stderr]).toEqual([127, expect.stringMatching(/no-such-program/)]);
    await writeFile(at('plain'), 'no program');
    expect((await run([], './plain')).code).toBe(126);
    await mkdir(at('directory'));
    expect((await run([], './directory')).code).toBe(126);
  });

  it('125 when we fail ourselves, and the application is not started', async () => {
    await mkdir(at('keep'));
    await writeFile(at('keep/thing'), 'this is no store');
    const result = await run([], 'sh', '-c', 'echo started');
    expect([result.code, result.stdout]).toEqual([125, '']);
    expect(result.stderr).toMatch(/DK_NO_STORE/);
  });

  it('2 for freeze points without anybody to stop', async () => {
    const result = await runCli([...OPTIONS, '--no-exec', '--consistency=freeze'], { cwd });
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(/no-exec.*DK_CONFIG/) });
  });

  it('says who has the store', async () => {
    const first = start([], 'sleep', '20');
    await first.until(/started sleep/);
    const second = await run([], 'true');
    expect([second.code, second.stderr]).toEqual([125, expect.stringContaining(String(first.pid))]);
    // Others may read meanwhile, and nobody else may write.
    expect((await runCli(['log', '--store=keep'], { cwd })).code).toBe(0);
    expect((await runCli(['capture', '--store=keep', '--state-dir=data'], { cwd })).code).toBe(4);
    first.process.kill('SIGTERM');
    expect((await first.ended).code).toBe(143);
  });
});

describe('signals', () => {
  it.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const)(
    'forwards %s',
    async (name) => {
      const short = name.slice(3);
      const script = `trap 'echo got-${short} > data/got; exit 5' ${short}; echo ready; while :; do sleep 0.05; done`;
      const running = start([], 'sh', '-c', script);
      await running.until(/ready/);
      running.process.kill(name);
      expect((await running.ended).code).toBe(5);
      // Written at the very end: only the final capture can have it.
      expect(await cat('got')).toBe(`got-${short}\n`);
    },
  );

  it('without a child, SIGTERM ends after a last capture', async () => {
    const running = startCli([...OPTIONS, '--max-lag=60s', '--no-exec'], { cwd });
    await running.until(/watching without a child/);
    await writeFile(at('data/late'), 'late\n');
    running.process.kill('SIGTERM');
    expect((await running.ended).code).toBe(0);
    expect(await cat('late')).toBe('late\n');
  });
});

describe.each(SCHEMAS)('state directory, schema %s', (schema) => {
  const how = schema === 1 ? ['--enable-diff=false'] : [];

  it('recovers into a missing or empty directory before the start', async () => {
    await run(how, 'sh', '-c', 'echo 1 > data/count; mkdir data/d; echo x > data/d/e');
    await rmState();
    const second = await run(how, 'sh', '-c', 'cat data/count data/d/e');
    expect(second.stdout).toBe('1\nx\n');
    await rmState();
    await mkdir(at('data'));
    expect((await run(how, 'cat', 'data/count')).stdout).toBe('1\n');
  });

  it('never overwrites what is there: it is captured', async () => {
    await run(how, 'sh', '-c', 'echo 1 > data/count');
    await writeFile(at('data/count'), 'newer\n');
    const result = await run(how, 'cat', 'data/count');
    expect(result.stdout).toBe('newer\n');
    expect(result.stderr).toMatch(/taken as the newest state/);
    expect(await cat('count')).toBe('newer\n');
  });

  it('--recover=always keeps what is there, then recovers; never leaves it alone', async () => {
    await run(how, 'sh', '-c', 'echo 1 > data/count');
    await writeFile(at('data/count'), 'newer\n');
    const always = await run(['--recover=always', ...how], 'cat', 'data/count');
    if (schema === 1) {
      // It would replace what it is to bring back.
      expect(always).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/DK_UNSUPPORTED/) });
      expect(await cat('count')).toBe('1\n');
      await rmState();
      expect((await run(['--recover=always', ...how], 'cat', 'data/count')).stdout).toBe('1\n');
      return;
    }
    expect(always.stdout).toBe('1\n');
    const log = jsonLines((await runCli(['log', '--store=keep', '--json'], { cwd })).stdout);
    const kept = log.find((entry) => entry.tag === 'before-recover');
    const before = await runCli(['cat', '--store=keep', `--at=${kept?.sequence}`, 'count'], { cwd });
    expect(before.stdout).toBe('newer\n');
    await rmState();
    expect((await run(['--recover=never', ...how], 'ls', 'data')).stdout).toBe('');
  });

  it('recovers again after an interrupted recover', async () => {
    await run(how, 'sh', '-c', 'echo 1 > data/one; echo 2 > data/two');
    await rmState();
    await mkdir(at('data'));
    await writeFile(at('data/one'), '1\n');
    const name = createHash('sha256').update(at('data')).digest('hex').slice(0, 16);
    await writeFile(at(`keep/recovering-${name}`), '1\n');
    const result = await run(how, 'cat', 'data/two');
    expect([result.stdout, result.stderr]).toEqual(['2\n', expect.stringMatching(/interrupted/)]);
    await expect(readFile(at(`keep/recovering-${name}`))).rejects.toThrow(/ENOENT/);
  });

  it('knows that a directory with only our store in it is empty', async () => {
    const words = ['--state-dir=data', '--store=data/.keep', ...how, '--'];
    await runCli([...words, 'sh', '-c', 'echo 1 > data/one'], { cwd });
    await rm(at('data/one'));
    expect((await runCli([...words, 'cat', 'data/one'], { cwd })).stdout).toBe('1\n');
  });

  it('knows the same through a symbolic link', async () => {
    await mkdir(at('real'));
    await symlink('real', at('link'));
    const words = ['--state-dir=link', '--store=real/.keep', ...how, '--'];
    await runCli([...words, 'sh', '-c', 'echo 1 > link/one'], { cwd });
    await rm(at('real/one'));
    expect((await runCli([...words, 'cat', 'link/one'], { cwd })).stdout).toBe('1\n');
  });

  it.each([
    ['keep', 'keep'],
    ['keep/inside', 'keep'],
  ])('refuses --state-dir=%s with --store=%s before anything is made', async (state, store) => {
    const words = [`--state-dir=${state}`, `--store=${store}`, ...how, '--', 'echo', 'started'];
    const result = await runCli(words, { cwd });
    expect(result).toMatchObject({ code: 125, stdout: '' });
    expect(result.stderr).toMatch(/is the store .* or lies inside it.*DK_STATE_DIR/);
    await expect(readdir(at('keep'))).rejects.toThrow(/ENOENT/);
  });

  it('says that a state directory is none', async () => {
    await writeFile(at('plain'), '');
    const result = await runCli(['--state-dir=plain', '--store=keep', ...how, '--', 'echo', 'started'], { cwd });
    expect(result).toMatchObject({ code: 125, stdout: '' });
    expect(result.stderr).toMatch(/plain: it is not a directory.*DK_STATE_DIR/);
  });

  it('keeps what was acknowledged when everything is killed', async () => {
    const running = start(['--debug', ...how], 'sh', '-c', 'echo kept > data/file; echo $$; exec sleep 30');
    await running.until(/checkpoint \(.*added=1|added=1 .*sequence=/);
    const child = Number((await running.until(/^(\d+)$/m))[1]);
    running.process.kill('SIGKILL');
    process.kill(child, 'SIGKILL');
    await running.ended;
    await rmState();
    expect((await run(how, 'cat', 'data/file')).stdout).toBe('kept\n');
  });
});

it('--retention prunes while the application runs, and keeps what the rule says', async () => {
  const rule = ['--max-lag=20ms', '--retention=keep-last=3', '--retention-interval=100ms'];
  const step = 'i=$((i+1)); echo $i > data/new; mv data/new data/count; sleep 0.03';
  const running = start(rule, 'sh', '-c', `i=0; until [ -e stop ]; do ${step}; done`);
  await running.until(/pruned \(kept=3 dropped=[1-9]/);
  await writeFile(at('stop'), '');
  expect((await running.ended).code).toBe(0);
  const log = jsonLines((await runCli(['log', '--store=keep', '--limit=0', '--json'], { cwd })).stdout);
  const kept = log.slice(0, 3).map(({ sequence }) => Number(sequence));
  const newest = kept[0] ?? 0;
  expect(kept).toEqual([newest, newest - 1, newest - 2]);
  expect(log.map(({ sequence }) => sequence)).not.toContain(1);
  expect((await runCli(['verify', '--store=keep'], { cwd })).code).toBe(0);
  const counts: number[] = [];
  for (const sequence of kept) {
    counts.push(Number((await runCli(['cat', '--store=keep', `--at=${sequence}`, 'count'], { cwd })).stdout));
  }
  expect(counts[0]).toBe(Number(await readFile(at('data/count'), 'utf8')));
  expect(counts).toEqual(counts.toSorted((one, other) => other - one));
});

async function rmState(): Promise<void> {
  await rm(at('data'), { recursive: true, force: true });
}
