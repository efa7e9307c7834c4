/** The program with and without the compiled code that an installation keeps of it. */
import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

const built = join(projectRoot, 'dist', 'cli');
let folder = '';
let kept = '';
/** That of the program which has `recover` alone. */
let own = '';

beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffkeeper-kept-'));
  cpSync(built, folder, { recursive: true });
  const names = readdirSync(folder).filter((name) => name.endsWith('.cache'));
  own = join(folder, names.find((name) => name.startsWith('recover-')) ?? '');
  kept = join(folder, names.find((name) => name.startsWith('program-')) ?? '');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Whether V8 refused the kept code; undefined when there was none to take. */
function refused(...options: string[]): string {
  return loaded('load().script.cachedDataRejected', ...options);
}

function loaded(what: string, ...options: string[]): string {
  const script = `console.log(require(${JSON.stringify(join(folder, 'main.js'))}).${what})`;
  const { stdout, stderr } = spawnSync(process.execPath, [...options, '-e', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trim();
}

function versionOf(): string {
  const { stdout, stderr } = spawnSync(process.execPath, [join(folder, 'main.js'), '--version'], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trim();
}

describe('compiled code that is kept', () => {
  const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as { version: string };

  it('is taken', () => {
    expect(refused()).toBe('false');
    expect(versionOf()).toBe(version);
  });

  it('is less for recover, which has a program of its own and needs no other', () => {
    const refusedByRecover = () => loaded("load('recover').script.cachedDataRejected");
    const mine = readFileSync(own);
    expect(mine.length).toBeLessThan(0.8 * readFileSync(kept).length);
    expect(refusedByRecover()).toBe('false');
    for (const name of readdirSync(folder)) if (name.startsWith('program-')) rmSync(join(folder, name));
    expect(refusedByRecover()).toBe('false');
    mine[mine.length >> 1] = (mine[mine.length >> 1] ?? 0) ^ 0xff;
    writeFileSync(own, mine);
    expect(refusedByRecover()).toBe('undefined');
    rmSync(own);
    expect(refusedByRecover()).toBe('undefined');
    const { status, stdout } = spawnSync(process.execPath, [join(folder, 'main.js'), 'recover', '--help'], {
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(stdout).toContain('--keep-extra');
  });

  it('is not needed', () => {
    rmSync(kept);
    expect(refused()).toBe('undefined');
    expect(versionOf()).toBe(version);
  });

  it.each(['first', 'middle', 'last'])('is left alone when it is damaged at its %s byte', (place) => {
    const bytes = readFileSync(kept);
    const at = { first: 0, middle: bytes.length >> 1, last: bytes.length - 1 }[place] ?? 0;
    bytes[at] = (bytes[at] ?? 0) ^ 0xff;
    writeFileSync(kept, bytes);
    expect(refused()).toBe('undefined');
    expect(versionOf()).toBe(version);
  });

  it.each([0, 3, 5000])('is left alone when only %i bytes of it are there', (length) => {
    writeFileSync(kept, readFileSync(kept).subarray(0, length));
    expect(refused()).toBe('undefined');
    expect(versionOf()).toBe(version);
  });

  it('is refused under other settings of V8, and everything works', () => {
    expect(refused('--no-opt')).toBe('true');
  });
});
