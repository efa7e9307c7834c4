/** A stopped application is always resumed: DiffKeeper killed at any moment, hanging, or its watchdog killed. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FreezeGroup } from '../../src/sidecar/cgroup.js';
import { ensureBuilt, runCli, scratch } from '../cli/cli-process.js';
import { type Holder, type HolderOptions, holderCommand, startHolder, stateOf } from './freeze-ends.js';
import { itIn, ownRoom } from './own-room.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let holder: Holder | undefined;
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  if (holder) await putAway(holder);
  holder = undefined;
  await remove();
});

const probe = FreezeGroup.make();
probe?.remove();
/** Where no control group may be made, signals are all there is. */
const WAYS = probe ? [false, true] : [false];

async function start(options: HolderOptions): Promise<Holder> {
  holder = await startHolder(cwd, options);
  return holder;
}

async function putAway({ process: sidecar, child, escaped, freezeFile }: Holder): Promise<void> {
  sidecar.kill('SIGKILL');
  for (const pid of [child, escaped]) {
    try {
      process.kill(pid === child ? -pid : pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  await until(() => ['', 'Z'].includes(stateOf(child)) && ['', 'Z'].includes(stateOf(escaped)));
  if (freezeFile !== '') await until(() => removed(dirname(freezeFile)));
}

function removed(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (what()) return;
    await sleep(5);
  }
  throw new Error(`waited in vain: ${what}`);
}

/** Whether the processes may run: neither stopped by a signal nor frozen with their group. */
function running({ child, escaped, freezeFile }: Holder): boolean {
  const frozen = freezeFile !== '' && /^frozen 1$/m.test(readFileSync(`${dirname(freezeFile)}/cgroup.events`, 'utf8'));
  return !frozen && stateOf(child) === 'S' && stateOf(escaped) === 'S';
}

const OWN_PROCESSES = ownRoom(['--pid', '--fork', '--mount-proc', '--kill-child']);

describe.each(WAYS)('with a control group: %s', (cgroup) => {
  it('SIGKILL at random moments, most of them in a standstill', async () => {
    let inStandstill = 0;
    for (let round = 0; round < 6 || (inStandstill === 0 && round < 20); round += 1) {
      const one = await start({ cgroup, holdMs: 60 });
      await until(() => one.said().includes('thawed'));
      // Any moment of the cycle of some 80 ms.
      await sleep((round * 37) % 101);
      if (!running(one)) inStandstill += 1;
      one.process.kill('SIGKILL');
      await once(one.process, 'exit');
      await until(() => running(one));
      await sleep(30);
      expect(running(one)).toBe(true);
      await putAway(one);
    }
    expect(inStandstill).toBeGreaterThan(0);
  }, 100_000);

  it('a sidecar that hangs while the application stands still', async () => {
    const one = await start({ cgroup, holdMs: Number.POSITIVE_INFINITY, tickSeconds: 0.2 });
    await until(() => one.said().includes('frozen'));
    expect(running(one)).toBe(false);
    await until(() => running(one));
    // Its event loop is blocked for ever: only the watchdog can have done it.
    expect(stateOf(one.process.pid ?? 0)).toBe('R');
  });

  it('a killed watchdog spoils at most one freeze point, and is replaced before anything is stopped again', async () => {
    const one = await start({ cgroup, holdMs: 5 });
    process.kill(one.watchdog, 'SIGKILL');
    const rounds = (): number => one.said().split('thawed').length;
    const before = rounds();
    await until(() => rounds() > before + 5);
    expect(one.said().split('somebody let the application go on').length).toBeLessThanOrEqual(2);
    one.process.kill('SIGKILL');
    await once(one.process, 'exit');
    await until(() => running(one));
    await sleep(30);
    expect(running(one)).toBe(true);
  });

  itIn(
    OWN_PROCESSES,
    'killed by name: the watchdog is not',
    async () => {
      const command = await holderCommand(cwd, { cgroup, holdMs: 30_000 });
      // In a room of its own, where nobody else is called so. `stands`: the application stands still, in one way or the other.
      await writeFile(
        join(cwd, 'by-name.sh'),
        `"$@" > said & while ! grep -q frozen said; do sleep 0.02; done
child=$(sed -n 's/.*"child":\\([0-9]*\\).*/\\1/p' said)
file=$(sed -n 's/.*"freezeFile":"\\([^"]*\\)".*/\\1/p' said)
stands() { grep -q '^State:.T' /proc/$child/status || { [ -n "$file" ] && grep -q '^frozen 1' "\${file%freeze}events"; }; }
stands && echo stands
pkill -9 -f diffkeeper
for try in $(seq 500); do stands || { echo runs; break; }; sleep 0.02; done
pkill -9 sleep; [ -z "$file" ] || while ! rmdir "\${file%/*}"; do sleep 0.02; done`,
      );
      const result = spawnSync('unshare', [...OWN_PROCESSES.words, '--', 'sh', 'by-name.sh', ...command], {
        cwd,
        encoding: 'utf8',
        timeout: 30_000,
      });
      expect(result.stdout, result.stderr).toBe('stands\nruns\n');
    },
    40_000,
  );

  it('killed with us: the next run lets the application go on', async () => {
    expect(await runCli(['capture', '--store=keep', '--state-dir=.', '--ignore=keep'], { cwd })).toMatchObject({
      code: 0,
    });
    const one = await start({ cgroup, holdMs: 60_000 });
    await until(() => one.said().includes('frozen'));
    const list = join(cwd, 'keep', 'stopped-processes');
    if (!cgroup) await until(() => existsSync(list) && statSync(list).size > 0);
    // All of its processes are a group of their own.
    process.kill(-one.watchdog, 'SIGKILL');
    one.process.kill('SIGKILL');
    await once(one.process, 'exit');
    await sleep(100);
    expect(running(one)).toBe(false);
    const means = `--freeze-with=${cgroup ? 'auto' : 'signals'}`;
    const words = ['--store=keep', '--state-dir=data', '--consistency=freeze', means, '--recover=never', '--', 'true'];
    expect(await runCli(words, { cwd })).toMatchObject({ code: 0 });
    await until(() => running(one));
    expect(existsSync(list)).toBe(false);
  }, 40_000);

  it('without descriptors in a standstill it ends all the same', async () => {
    const one = await start({ cgroup, holdMs: 3000 });
    const limit = (count: string): void => {
      expect(spawnSync('prlimit', [`--pid=${one.process.pid}`, `--nofile=${count}:`]).status).toBe(0);
    };
    const before = spawnSync('prlimit', [`--pid=${one.process.pid}`, '--nofile', '-o', 'SOFT', '--noheadings']);
    await until(() => one.said().includes('frozen'));
    limit('3');
    expect(running(one)).toBe(false);
    await until(() => running(one));
    // Nobody is stopped while it cannot be seen whether they stand still.
    const rounds = (): number => one.said().split('frozen').length;
    const told = rounds();
    await sleep(300);
    expect([running(one), rounds()]).toEqual([true, told]);
    limit(String(before.stdout).trim());
    await until(() => rounds() > told);
  }, 40_000);
});
