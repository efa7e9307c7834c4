/** What commands say to people, and how they take their words. */
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { cliPlace } from './cli-place.js';
import { jsonLines } from './cli-process.js';

const place = cliPlace(async (directory) => {
  await mkdir(path.join(directory, 'data'));
  await writeFile(path.join(directory, 'data', '-dash'), 'x');
});
const capture = () => place.run('capture', '--state-dir=data', '--store=keep');

describe('words', () => {
  it('a path that begins with a dash can be given behind --', async () => {
    expect((await capture()).code).toBe(0);
    expect((await place.run('cat', '--store=keep', '--', '-dash')).stdout).toBe('x');
    expect((await place.run('log', '--store=keep', '--', '-dash')).stdout).toContain('file');
    expect((await place.run('stats', '--store=keep', '--', 'x')).code).toBe(2);
  });

  it('a switch that the command does not have is named as it was typed', async () => {
    const { code, stderr } = await place.run('cat', '--json', '--store=keep', 'x');
    expect(code).toBe(2);
    expect(stderr).toContain("unknown option '--json'");
  });
});

describe('timeline --json', () => {
  it('says that there are no checkpoints only where there are none', async () => {
    await capture();
    expect((await place.run('timeline', '--json', '--store=keep')).stderr).toBe('');
  });
});

describe('a directory that cannot be made', () => {
  it('is refused, and not tried for ever', async () => {
    await symlink('nowhere', path.join(place.directory, 'dangling'));
    for (const where of ['/proc/nothing/below', 'dangling/below']) {
      const run = await place.run(`--state-dir=${where}`, '--store=keep', '--', 'true');
      expect(run.code).toBe(125);
      expect(run.stderr).toContain('DK_STATE_DIR');
      expect((await place.run('capture', '--state-dir=data', `--store=${where}`)).code).toBe(1);
      await capture();
      expect((await place.run('recover', `--state-dir=${where}`, '--store=keep')).stderr).toContain('DK_STATE_DIR');
      expect((await place.run('export', '--format=dir', '--store=keep', where)).code).toBe(1);
    }
  }, 60_000);
});

describe('--log-format=json', () => {
  it('holds for the error that ends the command', async () => {
    await writeFile(path.join(place.directory, 'file'), '');
    for (const [words, code] of [
      [['--state-dir=file', '--store=keep', '--', 'true'], 'DK_STATE_DIR'],
      [['log', '--store=none'], 'DK_NO_STORE'],
      [['--state-dir=data', '--store=keep', '--level=77', '--', 'true'], 'DK_CONFIG'],
    ] as const) {
      const { stderr } = await place.run('--log-format=json', ...words);
      const lines = jsonLines(stderr);
      expect(lines.at(-1)).toMatchObject({ level: 'error', code, msg: expect.any(String) });
    }
  });
});

describe('watch', () => {
  it('prints no colon where a state has no reason', async () => {
    const cli = place.start('watch', '--state-dir=data', '--store=keep');
    await cli.until(/checkpoint 1/);
    cli.process.kill('SIGTERM');
    const { code, stderr } = await cli.ended;
    expect(code).toBe(0);
    expect(stderr).toMatch(/^closed$/m);
    expect(stderr).not.toMatch(/: *$/m);
  });
});

describe('recover --dry-run', () => {
  it('counts and names what would be removed', async () => {
    await capture();
    for (const name of ['extra-1', 'extra-2\n']) await writeFile(path.join(place.directory, 'data', name), '');
    const words = ['recover', '--store=keep', '--state-dir=data'];
    const { code, stdout } = await place.run(...words, '--dry-run');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^data: 2 entries would be removed\n- extra-1\n- extra-2\ufffd\n/m);
    const [plan] = jsonLines((await place.run(...words, '--dry-run', '--json')).stdout);
    expect(plan).toMatchObject({ type: 'plan', removed: 2, removals: [{ path: 'extra-1' }, { path: 'extra-2\n' }] });
    const kept = await place.run(...words, '--dry-run', '--keep-extra');
    expect(kept.stdout).toContain('data: nothing would be removed');
    expect((await place.run(...words)).stdout).toContain('2 removed');
  });
});
