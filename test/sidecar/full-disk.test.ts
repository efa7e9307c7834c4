/** No room, and room again: the application runs on, nothing acknowledged is lost, and capture resumes by itself. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt, jsonLines, PROGRAM, runCli, scratch } from '../cli/cli-process.js';
import { type Ask, asking, expectShownDegraded, expectShownWell } from './shown-health.js';
import { canMount, mountSmallDisk, type SmallDisk } from './small-disk.js';

const probe = mkdtempSync(join(tmpdir(), 'dk-mount-'));
const MOUNTS = canMount(probe);
rmSync(probe, { recursive: true });

let cwd = '';
let remove = async (): Promise<void> => {};
let disk: SmallDisk | undefined;
let running: ChildProcess | undefined;
const at = (name: string): string => join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  running?.kill('SIGKILL');
  running = undefined;
  disk?.unmount();
  disk = undefined;
  await remove();
});

/** The sidecar's log so far, and a way to wait for what it says. */
class Log {
  text = '';

  add(part: string): void {
    this.text += part;
  }

  /** Waits for a line that was not there at `since` characters. */
  async says(pattern: RegExp, since = 0): Promise<void> {
    const end = performance.now() + 40_000;
    while (!pattern.test(this.text.slice(since))) {
      if (performance.now() > end) throw new Error(`the log never said ${pattern}: ${this.text}`);
      await sleep(20);
    }
  }
}

/** Counts in a file of the state directory, besides files of random bytes, until it is told to end. */
const APP = `trap 'exit 7' TERM
i=0; while :; do i=$((i+1)); head -c 20000 /dev/urandom > data/f$((i%20)); echo $i > data/i; sleep 0.03; done`;

interface Run {
  readonly log: Log;
  readonly ended: Promise<number | null>;
  readonly ask: Ask;
}

/** Starts the sidecar with the store; `prefix`: shell words that set limits first. */
function startRun(store: string, prefix = ''): Run {
  const words = [...PROGRAM, '--state-dir=data', `--store=${store}`, '--max-lag=100ms', '--debug'];
  const script = `${prefix} exec "$@"`;
  const child = spawn('sh', ['-c', script, 'sh', ...words, '--', 'sh', '-c', APP], { cwd, stdio: 'pipe' });
  running = child;
  const log = new Log();
  child.stderr.setEncoding('utf8').on('data', (part: string) => log.add(part));
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  return { log, ended, ask: asking(at(`${store}/control.sock`)) };
}

/** How far the application is. Its file is empty for a moment each time. */
async function counter(): Promise<number> {
  for (;;) {
    const text = await readFile(at('data/i'), 'utf8');
    if (text !== '') return Number(text);
    await sleep(1);
  }
}

/** After the end: what is in the store is what is on disk, and the store is sound. */
async function expectAllKept(store: string): Promise<void> {
  expect(await runCli(['verify', `--store=${store}`], { cwd })).toMatchObject({ code: 0 });
  expect(await runCli(['recover', `--store=${store}`, '--state-dir=back'], { cwd })).toMatchObject({ code: 0 });
  for (const name of await readdir(at('data'))) {
    expect((await readFile(at(`back/${name}`))).equals(await readFile(at(`data/${name}`))), name).toBe(true);
  }
}

/** One time without room while the application runs. */
async function expectSurvived({ log, ask }: Run, full: () => void, free: () => void): Promise<void> {
  await log.says(/checkpoint \(/);
  const since = log.text.length;
  full();
  await log.says(/warn: degraded .*(ENOSPC|EFBIG|No space left|too large)/, since);
  await expectShownDegraded(ask, /ENOSPC|EFBIG|No space left|too large/);
  const before = await counter();
  await sleep(400);
  expect(await counter()).toBeGreaterThan(before);
  const sinceFree = log.text.length;
  free();
  await log.says(/no longer degraded/, sinceFree);
  await log.says(/checkpoint \(/, sinceFree);
  await expectShownWell(ask);
}

describe('no room for the store while the application runs', () => {
  // A limit on the length of files stands in where nothing can be mounted: any user may lower and raise it.
  it('a file may not grow any longer', async () => {
    mkdirSync(at('data'));
    const run = startRun('keep', `trap '' XFSZ; ulimit -S -f unlimited;`);
    const limit = (bytes: string): void => {
      spawnSync('prlimit', [`--pid=${running?.pid}`, `--fsize=${bytes}:unlimited`]);
    };
    await expectSurvived(
      run,
      () => limit('200000'),
      () => limit('unlimited'),
    );
    running?.kill('SIGTERM');
    expect(await run.ended).toBe(7);
    await expectAllKept('keep');
  }, 90_000);

  it('a single capture fails with a typed error, and what was acknowledged stays', async () => {
    mkdirSync(at('data'));
    writeFileSync(at('data/one'), 'first');
    const words = [...PROGRAM, 'capture', '--store=keep', '--state-dir=data', '--json'];
    expect(spawnSync(words[0] as string, words.slice(1), { cwd }).status).toBe(0);
    writeFileSync(at('data/large'), randomBytes(3_000_000));
    const script = `trap '' XFSZ; ulimit -f 2000; exec "$@"`;
    const failed = spawnSync('sh', ['-c', script, 'sh', ...words], { cwd, encoding: 'utf8' });
    expect(failed.status).toBe(1);
    expect(jsonLines(failed.stdout)).toMatchObject([{ type: 'error', code: 'DK_IO' }]);
    expect((await runCli(['cat', '--store=keep', 'one'], { cwd })).stdout).toBe('first');
    expect(spawnSync(words[0] as string, words.slice(1), { cwd }).status).toBe(0);
    await expectAllKept('keep');
  }, 60_000);
});

/** These need a disk of their own; where none may be mounted, the limit above stands in for it. */
if (MOUNTS) describe('a disk of its own', fullDisk);
else describe('a store that cannot be written', readOnlyByPermission);

function fullDisk(): void {
  it('the disk is full, again and again, wherever that strikes', async () => {
    const mounted = mountSmallDisk(at('disk'), 48 << 20) as SmallDisk;
    disk = mounted;
    const run = startRun('disk/keep');
    for (let time = 0; time < 3; time += 1) {
      await expectSurvived(
        run,
        () => mounted.fill(),
        () => mounted.free(),
      );
    }
    running?.kill('SIGTERM');
    expect(await run.ended).toBe(7);
    await expectAllKept('disk/keep');
  }, 180_000);

  it('for a capture: DK_DISK_FULL, and what was acknowledged stays', async () => {
    disk = mountSmallDisk(at('disk'), 4 << 20) as SmallDisk;
    mkdirSync(at('data'));
    writeFileSync(at('data/one'), 'first');
    const words = ['capture', '--store=disk/keep', '--state-dir=data', '--json'];
    expect((await runCli(words, { cwd })).code).toBe(0);
    writeFileSync(at('data/large'), randomBytes(6_000_000));
    const failed = await runCli(words, { cwd });
    expect(failed.code).toBe(1);
    expect(jsonLines(failed.stdout)).toMatchObject([{ type: 'error', code: 'DK_DISK_FULL' }]);
    expect((await runCli(['verify', '--store=disk/keep'], { cwd })).code).toBe(0);
    expect((await runCli(['cat', '--store=disk/keep', 'one'], { cwd })).stdout).toBe('first');
    disk.resize(64 << 20);
    expect((await runCli(words, { cwd })).code).toBe(0);
    await expectAllKept('disk/keep');
  }, 60_000);

  it('for what is recovered: DK_DISK_FULL, and run mode does not start the application', async () => {
    disk = mountSmallDisk(at('disk'), 1 << 20) as SmallDisk;
    mkdirSync(at('data'));
    for (let i = 0; i < 30; i += 1) writeFileSync(at(`data/f${i}`), Buffer.alloc(100_000, i));
    await runCli(['capture', '--store=keep', '--state-dir=data'], { cwd });
    const failed = await runCli(['recover', '--store=keep', '--state-dir=disk/back', '--json'], { cwd });
    expect(failed.code).toBe(1);
    expect(jsonLines(failed.stdout)).toMatchObject([{ type: 'error', code: 'DK_DISK_FULL' }]);
    rmSync(at('disk/back'), { recursive: true });
    const run = ['--store=keep', '--state-dir=disk/state', '--', 'sh', '-c', 'echo started; ls disk/state | wc -l'];
    expect(await runCli(run, { cwd })).toMatchObject({ code: 125, stdout: '' });
    disk.resize(16 << 20);
    // What is there is half a state: the marker says so, and the recover is done again.
    expect(await runCli(run, { cwd })).toMatchObject({ code: 0, stdout: 'started\n30\n' });
  }, 60_000);

  it('that is read-only: says so, and is not taken for damaged', async () => {
    disk = mountSmallDisk(at('disk'), 8 << 20) as SmallDisk;
    mkdirSync(at('data'));
    writeFileSync(at('data/one'), 'first');
    await runCli(['capture', '--store=disk/keep', '--state-dir=data'], { cwd });
    disk.setReadOnly(true);
    for (const words of [['log'], ['recover', '--state-dir=back'], ['capture', '--state-dir=data'], ['verify']]) {
      const result = await runCli([...words, '--store=disk/keep', '--json'], { cwd });
      expect([words[0], result.code]).toEqual([words[0], 1]);
      expect(jsonLines(result.stdout)).toMatchObject([{ type: 'error', code: 'DK_STORE_READ_ONLY' }]);
      expect(result.stderr).toMatch(/read-only/);
    }
    const run = await runCli(['--store=disk/keep', '--state-dir=data', '--', 'echo', 'started'], { cwd });
    expect(run).toMatchObject({ code: 125, stdout: '' });
    const fresh = await runCli(['capture', '--store=disk/new', '--state-dir=data', '--json'], { cwd });
    expect(jsonLines(fresh.stdout)).toMatchObject([{ code: 'DK_STORE_READ_ONLY' }]);
    disk.setReadOnly(false);
    expect(await readdir(at('disk/keep/quarantine'))).toEqual([]);
    expect((await runCli(['verify', '--store=disk/keep'], { cwd })).code).toBe(0);
  }, 60_000);
}

function readOnlyByPermission(): void {
  it('says so, and is not taken for damaged', async () => {
    mkdirSync(at('data'));
    await runCli(['capture', '--store=keep', '--state-dir=data'], { cwd });
    spawnSync('chmod', ['-R', 'a-w', at('keep')]);
    const result = await runCli(['log', '--store=keep', '--json'], { cwd });
    spawnSync('chmod', ['-R', 'u+w', at('keep')]);
    expect(jsonLines(result.stdout)).toMatchObject([{ type: 'error', code: 'DK_STORE_READ_ONLY' }]);
  });
}
