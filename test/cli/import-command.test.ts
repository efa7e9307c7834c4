/** What other programs keep comes in, by those programs: the real restic, borg and tar. */
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, ensureBuilt, jsonLines, PROGRAM, runCli, scratch } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
let env: Record<string, string> = {};
const at = (...names: string[]): string => path.join(cwd, ...names);
const cli = (...words: string[]): Promise<CliResult> => runCli(words, { cwd, env });
const put = (name: string, content: string): Promise<void> => writeFile(at('data', name), content);

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
  await mkdir(at('tmp'));
  await mkdir(at('data', 'sub'), { recursive: true });
  // Everything of the tools stays in here.
  const own = { HOME: cwd, TMPDIR: at('tmp'), RESTIC_CACHE_DIR: at('cache'), BORG_BASE_DIR: at('borg') };
  env = { ...own, RESTIC_PASSWORD: 'secret', BORG_PASSPHRASE: 'secret', BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes' };
});
afterEach(() => remove());

function tool(program: string, ...words: string[]): string {
  const ended = spawnSync(program, words, { cwd, env: { ...process.env, ...env }, encoding: 'utf8' });
  expect(ended.status, `${program}: ${ended.error ?? ''} ${ended.stderr}`).toBe(0);
  return ended.stdout;
}

interface Times {
  readonly first: string;
  readonly second: string;
  readonly third: string;
}

/** Three snapshots, the last one taken first: their times say what came when. */
async function makeSnapshots(take: (time: string, tag: string) => void, times: Times): Promise<void> {
  await put('file', 'three');
  await put('sub/large', 'l'.repeat(100_000));
  take(times.third, 'last');
  await put('file', 'one');
  await put('gone', 'only in the first one');
  await symlink('file', at('data', 'link'));
  await chmod(at('data', 'file'), 0o600);
  take(times.first, 'first');
  await put('file', 'two');
  await rm(at('data', 'gone'));
  take(times.second, 'middle');
}

async function checkpoints(): Promise<{ sequence: number; time: string; tag: string }[]> {
  const lines = jsonLines((await cli('log', '--store=keep', '--json')).stdout);
  return lines.reverse().map(({ sequence, time, tag }) => ({
    sequence: Number(sequence),
    time: String(time),
    tag: String(tag),
  }));
}

const cat = async (file: string, sequence: number): Promise<string> =>
  (await cli('cat', '--store=keep', `--at=${sequence}`, file)).stdout;

async function expectHistory(): Promise<void> {
  expect([await cat('file', 1), await cat('file', 2), await cat('file', 3)]).toEqual(['one', 'two', 'three']);
  expect(await cat('gone', 1)).toBe('only in the first one');
  expect(await cat('gone', 2)).toBe('');
  expect((await cat('sub/large', 3)).length).toBe(100_000);
  const out = await cli('recover', '--store=keep', '--state-dir=out', '--at=1', '--json');
  expect(jsonLines(out.stdout)).toMatchObject([{ rootVerified: true, damaged: [] }]);
  expect((await readdir(at('out'))).sort()).toEqual(['file', 'gone', 'link', 'sub']);
  // Nothing of what was brought back for the import is left behind.
  expect(await readdir(at('tmp'))).toEqual([]);
}

const HOURS = { first: '01:02:03', second: '02:02:03', third: '03:02:03' };

describe('snapshots of restic', () => {
  const DAY = '2024-05-06';
  const backup = (time: string, tag: string): void => {
    tool('restic', '-q', '-r', 'repo', 'backup', 'data', '--tag', tag, '--tag', 'all', '--time', `${DAY} ${time}`);
  };
  const run = (...words: string[]) => cli('import', '--store=keep', '--from=restic', 'repo', ...words);
  const packs = (): string[] => tool('restic', '-r', 'repo', 'list', 'packs').trim().split('\n');
  beforeEach(() => {
    env.TZ = 'UTC';
    tool('restic', '-q', 'init', '-r', 'repo');
  });

  it('become checkpoints in the order of their times, once', async () => {
    await makeSnapshots(backup, HOURS);
    const result = await run('--json');
    expect([result.code, result.stderr]).toEqual([0, '']);
    const lines = jsonLines(result.stdout);
    expect(lines).toMatchObject([
      { type: 'import', from: 'restic', snapshot: { time: `${DAY}T01:02:03.000Z`, tags: ['first', 'all'] } },
      { type: 'import', snapshot: { tags: ['middle', 'all'] }, checkpoint: { sequence: 2 } },
      { type: 'import', snapshot: { tags: ['last', 'all'] } },
      { type: 'imported', snapshots: 3, known: 0, failed: 0 },
    ]);
    expect(await checkpoints()).toEqual([
      { sequence: 1, time: `${DAY}T01:02:03.000Z`, tag: expect.stringMatching(/^restic [0-9a-f]{16} first, all$/) },
      { sequence: 2, time: `${DAY}T02:02:03.000Z`, tag: expect.stringContaining('middle') },
      { sequence: 3, time: `${DAY}T03:02:03.000Z`, tag: expect.stringContaining('last') },
    ]);
    await expectHistory();
    // Later ones are added; an old one that was not there before gets the time of the newest.
    backup('04:02:03', 'new');
    backup('00:02:03', 'old');
    expect(jsonLines((await run('--json')).stdout).at(-1)).toMatchObject({ snapshots: 2, known: 3, failed: 0 });
    const all = await checkpoints();
    expect(all.slice(3).map(({ time }) => time)).toEqual([`${DAY}T03:02:03.000Z`, `${DAY}T04:02:03.000Z`]);
    // What cannot be brought back holds nothing else back.
    const others = new Set(packs());
    await put('file', 'x'.repeat(5000));
    backup('05:02:03', 'damaged');
    for (const id of packs().filter((pack) => !others.has(pack))) {
      const file = at('repo', 'data', id.slice(0, 2), id);
      await chmod(file, 0o600);
      await writeFile(file, Buffer.alloc((await readFile(file)).length, 7));
    }
    const last = await run('--json');
    expect([last.code, last.stderr]).toEqual([
      3,
      expect.stringMatching(/^left out: restic [0-9a-f]{16}: restic ended/),
    ]);
    expect(jsonLines(last.stdout)).toMatchObject([{ type: 'imported', snapshots: 0, known: 5, failed: 1 }]);
  }, 120_000);

  it('need their password, and restic itself', async () => {
    env.RESTIC_PASSWORD = 'wrong';
    const wrong = await run('--json');
    expect([wrong.code, jsonLines(wrong.stdout)]).toMatchObject([1, [{ type: 'error', code: 'DK_REMOTE' }]]);
    expect(wrong.stderr).toMatch(/restic ended with 1.*wrong password/s);
    env.PATH = at('tmp');
    const missing = await run('--json');
    expect([missing.code, jsonLines(missing.stdout)]).toMatchObject([1, [{ code: 'DK_SPAWN', name: 'restic' }]]);
    expect(missing.stderr).toMatch(/restic cannot be started: install the package "restic"/);
    // Nothing was made for nothing.
    expect(await readdir(cwd)).not.toContain('keep');
  });
});

describe('archives of borg', () => {
  const run = (...words: string[]) => cli('import', '--store=keep', '--from=borg', 'repo', ...words);
  const create = (time: string, name: string): void => {
    const words = ['create', '--timestamp', `2024-05-06T${time}`, '--comment', `comment of ${name}`];
    tool('borg', ...words, `repo::${name}`, 'data');
  };
  beforeEach(() => void tool('borg', 'init', '--encryption=repokey', 'repo'));

  it('become checkpoints in the order of their times, with one of their directories as the root', async () => {
    env.TZ = 'UTC';
    await makeSnapshots(create, HOURS);
    env.TZ = 'America/New_York';
    const result = await run('--root=/data');
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(result.stdout).toMatch(/borg [0-9a-f]{16}, 2024-05-06T01:02:03.000Z: checkpoint 1: /);
    expect(await checkpoints()).toMatchObject([
      { time: '2024-05-06T01:02:03.000Z', tag: expect.stringMatching(/^borg [0-9a-f]{16} first, comment of first$/) },
      { time: '2024-05-06T02:02:03.000Z' },
      { time: '2024-05-06T03:02:03.000Z', tag: expect.stringContaining('last') },
    ]);
    await expectHistory();
    expect((await run('--root=data')).stdout).toMatch(/0 snapshots imported, 3 were there before/);
    const nowhere = await cli('import', '--store=other', '--from=borg', 'repo', '--root=/nowhere', '--json');
    expect([nowhere.code, jsonLines(nowhere.stdout)]).toMatchObject([3, [{ snapshots: 0, failed: 3 }]]);
    expect(nowhere.stderr).toMatch(/snapshot first has no directory \/nowhere/);
  }, 60_000);

  it('come whole without a root; a root that is a link to elsewhere is refused', async () => {
    await put('file', 'x');
    await mkdir(at('elsewhere'));
    await writeFile(at('elsewhere', 'private'), 'not of the archive');
    await symlink(at('elsewhere'), at('data', 'away'));
    create('01:00:00', 'only');
    const refused = await run('--root=data/away');
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringMatching(/left out: borg .* leads out of it/)]);
    expect((await run()).code).toBe(0);
    expect(await cat('data/file', 1)).toBe('x');
    expect(await cat('data/away/private', 1)).toBe('');
    env.PATH = at('tmp');
    expect((await run()).stderr).toMatch(/borg cannot be started: install the package "borgbackup"/);
  });
});

describe('a tar archive', () => {
  it('comes in compressed, from stdin, and as it was exported', async () => {
    await put('file', 'content');
    await chmod(at('data', 'file'), 0o640);
    await chmod(at('data', 'sub'), 0o500);
    await symlink('file', at('data', 'link'));
    tool('tar', '-czf', 'state.tar.gz', '-C', 'data', '.');
    const first = await cli('import', '--store=keep', '--from=tar', 'state.tar.gz', '--json', '--tag=mine');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(jsonLines(first.stdout)).toMatchObject([{ type: 'import', from: 'tar', checkpoint: { tag: 'mine' } }]);
    expect((await cli('export', '--store=keep', 'out.tar')).code).toBe(0);
    expect((await cli('import', '--store=again', '--from=tar', 'out.tar')).code).toBe(0);
    const log = async (store: string): Promise<unknown> =>
      jsonLines((await cli('log', `--store=${store}`, '--json')).stdout)[0]?.root;
    expect(await log('again')).toBe(await log('keep'));
    expect(await cat('file', 1)).toBe('content');
    const words = [...PROGRAM, 'import', '--store=piped', '--from=tar', '-'].map((word) => `'${word}'`);
    tool('sh', '-c', `cat out.tar | ${words.join(' ')}`);
    expect(await log('piped')).toBe(await log('keep'));
    expect(await readdir(at('tmp'))).toEqual([]);
    await writeFile(at('bad.tar'), 'this is no archive, although it is long enough for one'.repeat(100));
    const bad = await cli('import', '--store=keep', '--from=tar', 'bad.tar', '--json');
    expect([bad.code, jsonLines(bad.stdout)]).toMatchObject([1, [{ code: 'DK_REMOTE', name: 'tar' }]]);
    expect(await checkpoints()).toHaveLength(1);
  });

  it.each([
    [['--from=zip', 'x'], /--from: got "zip"; allowed: dir, tar, restic, borg, bolt/],
    [['--from=tar', 'data'], /source: data is no archive/],
    [['--from=tar', '--root=x', 'data'], /--root: goes with --from=restic/],
    [['--from=borg', '--tag=x', 'repo'], /--tag: the snapshots of borg have their own/],
    [['--from=dir', 'nothing'], /source: nothing is no directory/],
  ])('%j is refused', async (words, message) => {
    const result = await cli('import', '--store=keep', ...words);
    expect([result.code, result.stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});
