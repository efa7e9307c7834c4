import { spawnSync } from 'node:child_process';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { VERSION } from '../../src/cli/version.js';
import { ensureBuilt, jsonLines, runCli, scratch } from './cli-process.js';

let cwd = '';
let remove = async (): Promise<void> => {};
const cli = (...words: string[]) => runCli(words, { cwd });
const at = (name: string): string => path.join(cwd, name);

beforeAll(async () => {
  await ensureBuilt();
  ({ directory: cwd, remove } = await scratch());
  await mkdir(at('data/sub'), { recursive: true });
  await writeFile(at('data/a.txt'), 'first\n');
  await writeFile(at('data/sub/b.bin'), Buffer.alloc(100_000, 7));
  await symlink('a.txt', at('data/link'));
  expect((await cli('capture', '--state-dir=data', '--store=keep', '--tag=one')).code).toBe(0);
  await writeFile(at('data/a.txt'), 'second\n');
  await rm(at('data/sub'), { recursive: true });
  expect((await cli('capture', '--state-dir=data', '--store=keep')).code).toBe(0);
}, 120_000);
afterAll(() => remove());

describe('program', () => {
  it('has the version of the package', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(VERSION).toBe(version);
    expect((await cli('--version')).stdout.trim()).toBe(version);
  });

  it('helps, with examples, and exits 0', async () => {
    const help = await cli('--help');
    expect(help.code).toBe(0);
    for (const name of ['run', 'recover', 'timeline', 'repair', 'Exit codes']) expect(help.stdout).toContain(name);
    const run = await cli('run', '--help');
    expect(run.code).toBe(0);
    expect(run.stdout).toMatch(/--snapshot-interval <n>.*DIFFKEEPER_SNAPSHOT_INTERVAL.*Examples:/s);
  });

  it.each([
    [['frob'], /unknown command 'frob'/],
    [['log', '--bogus'], /unknown option '--bogus'/],
    [['cat', '--store=keep'], /missing required argument/],
    [['log', '--store=keep', '--', 'x', 'y'], /too many arguments/],
    [['--store=keep', '--'], /nothing to run/],
    [['--level=77', '--', 'true'], /--level: got "77"; allowed: a whole number from 1 to 19/],
    [['recover', '--store=keep', '--at=soon'], /--at: got "soon"/],
    [['recover', '--store=keep', '../x'], /path: got "\.\.\/x"/],
    [['log', '--store=keep', '--limit=x'], /--limit: got "x"/],
  ])('answers %j with exit code 2', async (words, message) => {
    const result = await cli(...words);
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(2);
    expect(result.stdout).toBe('');
  });

  it('says what is no store', async () => {
    const result = await cli('log', '--store=data', '--json');
    expect(result.code).toBe(1);
    expect(jsonLines(result.stdout)).toMatchObject([{ type: 'error', code: 'DK_NO_STORE' }]);
    expect(result.stderr).toMatch(/DK_NO_STORE/);
  });
});

describe('reading commands', () => {
  it('log lists checkpoints and versions', async () => {
    const all = jsonLines((await cli('log', '--store=keep', '--json')).stdout);
    expect(all).toMatchObject([
      { type: 'checkpoint', sequence: 2 },
      { type: 'checkpoint', sequence: 1, tag: 'one' },
    ]);
    expect(String(all[0]?.root)).toMatch(/^[0-9a-f]{64}$/);
    const versions = jsonLines((await cli('log', '--store=keep', '--json', './sub/b.bin')).stdout);
    expect(versions).toMatchObject([
      { type: 'version', path: 'sub/b.bin', sequence: 2, entry: 'removed' },
      { sequence: 1, entry: 'file', size: 100_000 },
    ]);
    expect((await cli('log', '--store=keep', 'nothing')).code).toBe(1);
    expect((await cli('log', '--store=keep', '--limit=1')).stdout.trim().split('\n')).toHaveLength(1);
  });

  it('timeline shows what was added, changed and removed, newest last', async () => {
    const rows = jsonLines((await cli('timeline', '--store=keep', '--json')).stdout);
    expect(rows).toMatchObject([
      { sequence: 1, added: 4, changed: 0, removed: 0 },
      { sequence: 2, added: 0, changed: 1, removed: 2 },
    ]);
    const newest = jsonLines((await cli('timeline', '--store=keep', '--json', '--limit=1')).stdout);
    expect(newest).toMatchObject([{ sequence: 2, added: 0, changed: 1, removed: 2 }]);
    const drawn = (await cli('timeline', '--store=keep')).stdout;
    expect(drawn).toMatch(/#1 +\+4 +~0 +-0/);
    expect(drawn).toContain('~ a.txt');
    expect(drawn).not.toContain('\u001b[');
  });

  it('cat writes a file as it was', async () => {
    expect((await cli('cat', '--store=keep', 'a.txt')).stdout).toBe('second\n');
    expect((await cli('cat', '--store=keep', '--at=1', 'a.txt')).stdout).toBe('first\n');
    expect((await cli('cat', '--store=keep', '--at=1', 'sub/b.bin')).stdout).toHaveLength(100_000);
    const gone = await cli('cat', '--store=keep', 'sub/b.bin');
    expect([gone.code, gone.stdout]).toEqual([1, '']);
    expect(gone.stderr).toMatch(/DK_NOT_FOUND/);
  });

  it('stats, verify and engine', async () => {
    const stats = jsonLines((await cli('stats', '--store=keep', '--json')).stdout);
    expect(stats).toMatchObject([{ type: 'stats', checkpoints: 2, hashAlgo: 'blake3' }]);
    expect((await cli('stats', '--store=keep')).stdout).toMatch(/every version whole/);
    const verify = await cli('verify', '--store=keep', '--json');
    expect(jsonLines(verify.stdout)).toMatchObject([{ type: 'verify', damaged: 0, checkpoints: 2 }]);
    expect(verify.code).toBe(0);
    const engine = jsonLines((await cli('engine', '--json')).stdout);
    expect(engine[0]).toMatchObject({ type: 'engine', kind: expect.stringMatching(/native|typescript/) });
  });
});

describe('recover', () => {
  it('brings back the newest, a past one, and single paths', async () => {
    const words = ['recover', '--store=keep', '--json'];
    const newest = jsonLines((await cli(...words, '--state-dir=r1')).stdout);
    expect(newest).toMatchObject([{ type: 'recover', rootVerified: true, damaged: [] }]);
    expect(await readFile(at('r1/a.txt'), 'utf8')).toBe('second\n');
    expect((await cli(...words, '--state-dir=r2', '--at=1')).code).toBe(0);
    expect(await readFile(at('r2/a.txt'), 'utf8')).toBe('first\n');
    expect((await cli(...words, '--state-dir=r3', '--at', '1', 'sub')).code).toBe(0);
    expect(await readFile(at('r3/sub/b.bin'))).toHaveLength(100_000);
    await expect(readFile(at('r3/a.txt'))).rejects.toThrow();
    const missing = await cli(...words, '--state-dir=r4', '--at=99');
    expect([missing.code, missing.stderr]).toEqual([1, expect.stringMatching(/DK_NOT_FOUND/)]);
  });

  it('plans without touching anything', async () => {
    const plan = await cli('recover', '--store=keep', '--state-dir=never', '--dry-run', '--json', '--at=1');
    expect(jsonLines(plan.stdout)).toMatchObject([
      { type: 'plan', files: 2, symlinks: 1, checkpoint: { sequence: 1 } },
    ]);
    await expect(readFile(at('never'))).rejects.toThrow(/ENOENT/);
  });
});

describe('delta and patch', () => {
  it('round trip, inspect, and refusal to overwrite', async () => {
    await writeFile(at('s.bin'), Buffer.alloc(50_000, 'source text '));
    await writeFile(at('t.bin'), Buffer.alloc(50_100, 'source text '));
    const made = await cli('delta', 's.bin', 't.bin', 'd.dkd', '--json');
    expect(jsonLines(made.stdout)).toMatchObject([{ type: 'delta', targetBytes: 50_100 }]);
    const inspected = await cli('delta', '--inspect', 'd.dkd', '--json');
    expect(inspected.stdout).toBe(made.stdout);
    expect((await cli('patch', 's.bin', 'd.dkd', 'o.bin')).code).toBe(0);
    expect((await readFile(at('o.bin'))).equals(await readFile(at('t.bin')))).toBe(true);
    const again = await cli('patch', 's.bin', 'd.dkd', 'o.bin');
    expect([again.code, again.stderr]).toEqual([2, expect.stringMatching(/--force/)]);
    const wrong = await cli('patch', 't.bin', 'd.dkd', 'o2.bin');
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringMatching(/DK_SOURCE_MISMATCH/)]);
    expect((await cli('delta', 's.bin', 't.bin', 'x.dkd', '--diff-library=best')).code).toBe(2);
    expect((await cli('delta', 's.bin', 't.bin', 'x.dkd', '--engine=best')).code).toBe(2);
    expect((await cli('delta', 's.bin', 't.bin', 'x.dkd', '--effort=best')).code).toBe(2);
  });

  it('explains its choice', async () => {
    const words = ['delta', 's.bin', 't.bin', '-', '--effort=max', '--explain'];
    const made = await cli(...words.with(3, 'e.dkd'), '--json');
    expect(jsonLines(made.stdout)).toMatchObject([
      {
        type: 'explain',
        effort: 'max',
        candidates: expect.arrayContaining([expect.objectContaining({ engine: 'align' })]),
      },
      { type: 'delta' },
    ]);
    const shown = await cli(...words.with(3, 'e2.dkd'));
    expect(shown.stdout).toMatch(/effort max, budget .*\n +raw +50100 B.*smallest of/s);
    const piped = await cli(...words);
    expect(piped.stderr).toMatch(/smallest of/);
    expect(piped.stdout).not.toMatch(/smallest of/);
    const asked = await cli('delta', 's.bin', 't.bin', 'e3.dkd', '--engine=xor', '--diff-library=zstd', '--json');
    expect(jsonLines(asked.stdout)).toMatchObject([{ engine: 'xor' }]);
  });

  it.each([
    ['bsdiff', 'bsdiff'],
    ['xdelta', 'vcdiff'],
  ])('%s, in a container and bare', async (engine, format) => {
    const made = await cli('delta', 's.bin', 't.bin', `${engine}.dkd`, `--diff-library=${engine}`, '--json');
    expect(jsonLines(made.stdout)).toMatchObject([{ type: 'delta', engine }]);
    const sure = await cli('patch', 's.bin', `${engine}.dkd`, `${engine}.out`, '--json');
    expect(jsonLines(sure.stdout)).toMatchObject([{ type: 'patch', verified: true }]);
    const bare = await cli('delta', 's.bin', 't.bin', `bare.${format}`, `--format=${format}`, '--json');
    expect(jsonLines(bare.stdout)).toMatchObject([{ type: 'delta', format }]);
    expect((await cli('delta', '--inspect', `bare.${format}`, '--json')).stdout).toBe(bare.stdout);
    const unsure = await cli('patch', 's.bin', `bare.${format}`, `bare.${format}.out`);
    expect([unsure.code, unsure.stdout]).toEqual([0, expect.stringMatching(/not verified/)]);
    for (const name of [`${engine}.out`, `bare.${format}.out`]) {
      expect((await readFile(at(name))).equals(await readFile(at('t.bin')))).toBe(true);
    }
    expect((await cli('delta', 's.bin', 't.bin', 'x', '--format=zip')).code).toBe(2);
  });
});

describe('repair and partial results', () => {
  it('rebuilds the metadata', async () => {
    const result = await cli('repair', '--store=keep', '--json');
    expect(jsonLines(result.stdout)).toMatchObject([{ type: 'repair', checkpoints: 2, damaged: 0 }]);
    expect(result.code).toBe(0);
    expect((await cli('cat', '--store=keep', '--at=1', 'a.txt')).stdout).toBe('first\n');
  });

  it('reads environment and configuration', async () => {
    await writeFile(at('conf.json'), JSON.stringify({ store: 'keep', json: true }));
    const result = await runCli(['log'], { cwd, env: { DIFFKEEPER_CONFIG: 'conf.json' } });
    expect(jsonLines(result.stdout)).toHaveLength(2);
    const bad = await runCli(['log'], { cwd, env: { DIFFKEEPER_JSON: 'perhaps' } });
    expect([bad.code, bad.stderr]).toEqual([2, expect.stringMatching(/DIFFKEEPER_JSON: got "perhaps"/)]);
  });

  it('names special files it left out, which is no partial result', async () => {
    expect(spawnSync('mkfifo', [at('data/pipe')]).status).toBe(0);
    const result = await cli('capture', '--state-dir=data', '--store=keep');
    await rm(at('data/pipe'));
    expect([result.code, result.stderr]).toEqual([0, expect.stringMatching(/left out: pipe/)]);
  });
});
