/** What outlives the process that was started: it is stopped for every checkpoint all the same, and goes on after each. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/core/core.js';
import { startChild } from '../../src/sidecar/child.js';
import { Freezer } from '../../src/sidecar/freeze.js';
import { startWatchdog, Watchdog } from '../../src/sidecar/watchdog.js';
import { ensureBuilt, jsonLines, runCli, scratch, startCli } from '../cli/cli-process.js';
import { stateOf } from './freeze-ends.js';
import { itIn, ownRoom } from './own-room.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(cwd, name);
/** Writes the number of its round into one file after the other: at any instant each has that of the one before, or one less. */
const WRITER = `import os, time
files = [os.open(f'data/f{n:02}', os.O_CREAT | os.O_RDWR) for n in range(60)]
step, end = 0, time.time() + 100
while time.time() < end:
    step += 1
    for file in files: os.pwrite(file, b'%012d\\n' % step, 0)
    if step == 2: open('pid', 'w').write(f'{os.getpid()}\\n')
`;
/** Starts the writer in a session of its own, once. */
const START = `[ -e pid ] || setsid python3 writer.py < /dev/null > /dev/null 2>&1 & while [ ! -s pid ]; do sleep 0.02; done`;

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
  await writeFile(at('writer.py'), WRITER);
});
afterEach(async () => {
  if (existsSync(at('pid'))) process.kill(Number(await readFile(at('pid'), 'utf8')), 'SIGKILL');
  await remove();
});

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 3000; tries += 1) {
    if (await what()) return;
    await sleep(10);
  }
  throw new Error(`waited in vain: ${what}`);
}

/** Ended children that nobody has collected yet; those of this moment among them. */
function deadChildren(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').match(/\d+/g) ?? [];
  return children.filter((child) => stateOf(Number(child)) === 'Z').length;
}

/** All files of a checkpoint are of one instant. */
async function expectWhole(sequence: unknown): Promise<void> {
  await rm(at('back'), { recursive: true, force: true });
  const words = ['recover', '--store=keep', '--state-dir=back', `--at=${sequence}`];
  expect(await runCli(words, { cwd })).toMatchObject({ code: 0 });
  const steps: number[] = [];
  for (const name of (await readdir(at('back'))).sort()) steps.push(Number(await readFile(at(`back/${name}`), 'utf8')));
  expect(steps).toHaveLength(60);
  expect(steps).toEqual([...steps].sort((one, other) => other - one));
  expect((steps[0] ?? 0) - (steps[59] ?? 0)).toBeLessThanOrEqual(1);
}

async function expectRunning(): Promise<void> {
  const before = await readFile(at('data/f00'), 'utf8');
  await until(async () => (await readFile(at('data/f00'), 'utf8')) !== before);
}

async function checkpoints(): Promise<Record<string, unknown>[]> {
  return jsonLines((await runCli(['log', '--store=keep', '--json'], { cwd })).stdout);
}

describe.each(['auto', 'signals'])('--freeze-with=%s', (means) => {
  const words = ['--state-dir=data', '--store=keep', '--consistency=freeze', `--freeze-with=${means}`];

  it('the last capture is a freeze point, too', async () => {
    const result = await runCli([...words, '--', 'sh', '-c', `${START}; exit 3`], { cwd });
    expect(result).toMatchObject({ code: 3, stderr: expect.stringMatching(/final state is kept/) });
    const newest = (await checkpoints()).reduce((one, other) =>
      Number(one.sequence) > Number(other.sequence) ? one : other,
    );
    expect(newest.frozen).toBe(true);
    expect(newest.pauseMs).toBeGreaterThan(0);
    await expectWhole(newest.sequence);
    await expectRunning();
  }, 100_000);

  it('so are those between two lives, and in the next one', async () => {
    const script = `${START}; [ -e failed ] || { touch failed; exit 5; }; while [ ! -e end ]; do sleep 0.05; done`;
    const options = ['--checkpoint-interval=50ms', '--restart=on-failure', '--debug'];
    const running = startCli([...words, ...options, '--', 'sh', '-c', script], { cwd });
    await running.until(/started again[\s\S]*checkpoint \([\s\S]*started sh[\s\S]*checkpoint \([\s\S]*checkpoint \(/);
    await writeFile(at('end'), '');
    expect((await running.ended).code).toBe(0);
    const all = await checkpoints();
    expect(all.filter(({ frozen }) => frozen !== true)).toEqual([]);
    const sequences = all.map(({ sequence }) => Number(sequence)).sort((one, other) => other - one);
    // The newest are of the second life; the first one or two may be older than the writer.
    for (const sequence of [...sequences.slice(0, 3), ...sequences.slice(0, -2).slice(-2)]) await expectWhole(sequence);
    await expectRunning();
  }, 100_000);
});

it('with signals a daemon that has given up everything, its environment too, is stopped; what we start is not, nor left dead', async () => {
  const words = ['--state-dir=data', '--store=keep', '--consistency=freeze', '--freeze-with=signals'];
  const hook =
    '[ -e hooked ] || { echo > hooked; (setsid sh -c "echo \\$\\$ > helper; exec sleep 60" > /dev/null 2>&1 & ); }';
  const script = `(setsid env -i "$(command -v python3)" writer.py < /dev/null > /dev/null 2>&1 &)
(env -i sleep 0.1 &)
while [ ! -s pid ] || [ ! -s helper ]; do sleep 0.02; done
while [ ! -e end ]; do sleep 0.05; done; exit 4`;
  const options = ['--checkpoint-interval=50ms', '--debug', `--before-checkpoint=${hook}`];
  const running = startCli([...words, ...options, '--', 'sh', '-c', script], { cwd });
  await until(() => ['helper', 'pid'].every((name) => existsSync(at(name)) && statSync(at(name)).size > 0));
  const helper = Number(await readFile(at('helper'), 'utf8'));
  const daemon = Number(await readFile(at('pid'), 'utf8'));
  try {
    const seen = { helper: new Set<string>(), daemon: new Set<string>() };
    await until(() => {
      seen.helper.add(stateOf(helper));
      seen.daemon.add(stateOf(daemon));
      return seen.daemon.has('T');
    });
    await until(async () => (await checkpoints()).length > 5);
    expect(seen.helper).toEqual(new Set(['S']));
    await until(() => deadChildren(running.pid) === 0);
    await writeFile(at('end'), '');
    expect((await running.ended).code).toBe(4);
    const all = (await checkpoints()).filter(({ frozen }) => frozen === true);
    const sequences = all.map(({ sequence }) => Number(sequence)).sort((one, other) => other - one);
    for (const sequence of sequences.slice(0, 3)) await expectWhole(sequence);
    await expectRunning();
  } finally {
    process.kill(helper, 'SIGKILL');
  }
}, 100_000);

describe('Freezer', () => {
  async function sleeper(): Promise<Awaited<ReturnType<typeof startChild>>> {
    return startChild({ command: ['sleep', '60'], ownGroup: true, env: process.env, cwd });
  }
  const freezerWith = (watchdog: Watchdog): Freezer =>
    new Freezer({ ownGroup: true, mark: 'outlived-test', root: cwd, watchdog, clock: systemClock });

  it('starts nothing while something stands still, and what is given up says so', async () => {
    const watchdog = await startWatchdog({ freezeFile: '' });
    const freezer = freezerWith(watchdog);
    const first = await freezer.start(sleeper);
    const frozen = await freezer.freeze();
    let started = false;
    const second = freezer.start(() => {
      started = true;
      return sleeper();
    });
    await sleep(100);
    expect(started).toBe(false);
    expect(stateOf(first.pid)).toBe('T');
    freezer.release();
    await expect(frozen.thaw()).rejects.toMatchObject({ code: 'DK_IO', message: expect.stringMatching(/given up/) });
    const { pid } = await second;
    const both = await freezer.freeze();
    expect([first.pid, pid].map(stateOf)).toEqual(['T', 'T']);
    // The one that leads the group by then ends in the standstill: the other one still stands.
    process.kill(pid, 'SIGKILL');
    await (await second).ended;
    expect(stateOf(first.pid)).toBe('T');
    expect(await both.thaw()).toBeGreaterThan(0);
    await until(() => stateOf(first.pid) === 'S');
    first.signal('SIGKILL');
    await first.ended;
    expect(await (await freezer.freeze()).thaw()).toBe(0);
    watchdog.dismiss();
  });

  it('stops nobody with a watchdog that is dismissed', async () => {
    const watchdog = await startWatchdog({ freezeFile: '' });
    const freezer = freezerWith(watchdog);
    const child = await freezer.start(sleeper);
    watchdog.dismiss();
    await expect(freezer.freeze()).rejects.toMatchObject({ code: 'DK_SPAWN' });
    expect(stateOf(child.pid)).not.toBe('T');
    child.signal('SIGKILL');
    await child.ended;
  });

  const own = ownRoom(['--mount'], 'mount --bind /dev/null /dev/null');
  itIn(
    own,
    'stops nobody while no watchdog can be started, and tries again each time',
    async () => {
      const room = new URL('../../dist/esm/sidecar/', import.meta.url);
      const script = `import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Freezer } from '${room}freeze.js';
import { Watchdog } from '${room}watchdog.js';
process.execPath = '/no/node';
const child = spawn('sleep', ['60'], { detached: true });
const clock = { nowMs: Date.now, steadyMs: () => performance.now() };
const watchdog = new Watchdog({ freezeFile: '' });
const freezer = new Freezer({ ownGroup: true, mark: 'none', root: '/no', watchdog, clock });
await freezer.start(async () => child);
const state = () => readFileSync('/proc/' + child.pid + '/stat', 'latin1').split(' ')[2];
for (let time = 0; time < 2; time += 1) console.log(await freezer.freeze().catch((error) => error.code), state());
spawnSync('umount', ['/bin/sh']);
const frozen = await freezer.freeze();
console.log('frozen', state());
await frozen.thaw();
child.kill('SIGKILL');
watchdog.dismiss();`;
      await writeFile(at('unwatched.mjs'), script);
      const words = ['sh', '-c', 'mount --bind /dev/null /bin/sh; exec "$@"', 'sh', process.execPath, 'unwatched.mjs'];
      const { stdout, stderr } = spawnSync('unshare', [...own.words, '--', ...words], {
        cwd,
        encoding: 'utf8',
        timeout: 30_000,
      });
      expect(stdout, stderr).toBe('DK_SPAWN S\nDK_SPAWN S\nfrozen T\n');
    },
    40_000,
  );

  it('a watchdog that is dismissed in a standstill ends it', async () => {
    const child = await sleeper();
    const watchdog = new Watchdog({ freezeFile: '' });
    await watchdog.ensure();
    watchdog.cover([child.pid]);
    watchdog.hold();
    child.signal('SIGSTOP');
    await until(() => stateOf(child.pid) === 'T');
    watchdog.dismiss();
    await until(() => stateOf(child.pid) === 'S');
    child.signal('SIGKILL');
    await child.ended;
  });
});
