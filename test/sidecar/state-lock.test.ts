/** One sidecar per state directory, also when it is removed and made again. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/core/core.js';
import { lockStateDir, type StateLock } from '../../src/sidecar/state-lock.js';
import { markStateDir } from '../../src/sidecar/state-mark.js';
import { ensureBuilt, PROGRAM, scratch } from '../cli/cli-process.js';
import { itIn, ownRoom } from './own-room.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let lock: StateLock | undefined;
const at = (name: string): string => path.join(cwd, name);

beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
  mkdirSync(at('data'));
  lock = await lockStateDir(at('data'), silentLogger);
});
afterEach(async () => {
  lock?.release();
  await remove();
});

/** Whether a second one would be let in. */
async function isFree(): Promise<boolean> {
  try {
    (await lockStateDir(at('data'), silentLogger)).release();
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: 'DK_STATE_DIR_LOCKED', facts: { pid: process.pid } });
    return false;
  }
}

it('is held until it is given back', async () => {
  expect(await isFree()).toBe(false);
  lock?.release();
  expect(await isFree()).toBe(true);
});

it('follows the directory that takes its place', async () => {
  // Moved, not removed: the new one cannot get its inode.
  renameSync(at('data'), at('old'));
  mkdirSync(at('data'));
  while (await isFree()) await sleep(100);
  lock?.release();
  expect(await isFree()).toBe(true);
}, 30_000);

it('is of that directory alone, however soon after its removal another one is made', () => {
  const { ino } = statSync(at('data'));
  rmSync(at('data'), { recursive: true });
  for (let i = 0; i < 50; i += 1) {
    mkdirSync(at(`other${i}`));
    expect(statSync(at(`other${i}`)).ino).not.toBe(ino);
  }
});

describe('a mark', () => {
  beforeEach(() => mkdirSync(at('other')));
  const id = (name: string) => statSync(at(name), { bigint: true });

  it('is never had by two, however many come at once, and by the next one as soon as it is given up', async () => {
    const others = await Promise.all([1, 2, 3, 4, 5, 6].map(() => markStateDir(at('other'), id('other'))));
    const had = others.filter(({ outcome }) => outcome === 'marked');
    expect(had.length).toBeLessThanOrEqual(1);
    expect(others.filter(({ outcome }) => outcome === 'taken')).toHaveLength(6 - had.length);
    for (const { directory } of had) await directory?.close();
    const next = await markStateDir(at('other'), id('other'));
    expect(next.outcome).toBe('marked');
    expect(await markStateDir(at('other'), id('other'))).toEqual({ outcome: 'taken' });
    await next.directory?.close();
  });

  it('is not kept by programs that were started meanwhile', async () => {
    const { directory } = await markStateDir(at('other'), id('other'));
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    try {
      await new Promise((resolve) => child.once('spawn', resolve));
      await directory?.close();
      const next = await markStateDir(at('other'), id('other'));
      expect(next.outcome).toBe('marked');
      await next.directory?.close();
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('is not put on what took the place of the directory', async () => {
    const before = id('other');
    renameSync(at('other'), at('away'));
    expect(await markStateDir(at('other'), before)).toEqual({ outcome: 'replaced' });
    symlinkSync('away', at('other'));
    expect(await markStateDir(at('other'), before)).toEqual({ outcome: 'replaced' });
    rmSync(at('other'));
    mkdirSync(at('other'));
    expect(await markStateDir(at('other'), before)).toEqual({ outcome: 'replaced' });
    const now = await markStateDir(at('other'), id('other'));
    expect(now.outcome).toBe('marked');
    await now.directory?.close();
  });
});

/** A second one of its own process, which takes the directory by this name in these rooms; gives what it said. */
function secondIn(words: readonly string[], script: string, stateDir: string): { status: number | null; text: string } {
  const program = [...PROGRAM, `--state-dir=${stateDir}`, '--store=other', '--', 'echo', 'started'];
  const { status, stdout, stderr } = spawnSync('unshare', [...words, '--', 'sh', '-c', script, 'sh', ...program], {
    cwd,
    encoding: 'utf8',
  });
  return { status, text: `${stdout}${stderr}` };
}

describe('from elsewhere on this machine', () => {
  beforeAll(ensureBuilt, 120_000);
  const NETWORK = ownRoom(['--net']);
  const ALL = ownRoom(['--net', '--mount', '--pid', '--fork', '--mount-proc']);
  const BOUND = 'mkdir bound && mount --bind data bound && exec "$@"';
  const OWN = ownRoom(['--net', '--mount'], 'mkdir -p /tmp && mount --bind /tmp /tmp');

  itIn(
    NETWORK,
    'a second one in a network of its own is refused, and told by whom',
    () => {
      symlinkSync('data', at('link'));
      for (const name of ['data', 'link']) {
        const { status, text } = secondIn(NETWORK.words, 'exec "$@"', name);
        expect(text).toMatch(new RegExp(`process ${process.pid} keeps .*DK_STATE_DIR_LOCKED`));
        expect(status).toBe(125);
      }
      lock?.release();
      expect(secondIn(NETWORK.words, 'exec "$@"', 'data')).toMatchObject({ status: 0 });
    },
    60_000,
  );

  itIn(
    OWN,
    'a second one behind a bind mount is refused',
    () => {
      const { status, text } = secondIn(OWN.words, BOUND, 'bound');
      expect([status, text]).toEqual([
        125,
        expect.stringMatching(`process ${process.pid} keeps .*DK_STATE_DIR_LOCKED`),
      ]);
    },
    60_000,
  );

  itIn(
    ALL,
    'a second one that cannot see us is refused all the same',
    () => {
      const { status, text } = secondIn(ALL.words, 'exec "$@"', 'data');
      expect([status, text]).toEqual([125, expect.stringMatching(/cannot be seen from here.*DK_STATE_DIR_LOCKED/)]);
    },
    60_000,
  );
});
