/** The program as it was handed to the tests, in places where little is there: for the single file above all. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, PROGRAM } from '../cli/cli-process.js';

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;

let base: string;

beforeAll(async () => {
  await ensureBuilt();
  base = mkdtempSync(path.join(tmpdir(), 'dk-executable-'));
  chmodSync(base, 0o755);
});

afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

/** An empty directory, that of nobody when we may give it away. */
function place(name: string): string {
  const directory = path.join(base, name);
  mkdirSync(directory, { mode: 0o777 });
  chmodSync(directory, 0o777);
  return directory;
}

interface Ended {
  readonly status: number | null;
  readonly text: string;
}

/** With an environment of nothing but what is given. */
function run(
  cwd: string,
  words: readonly string[],
  { env = {}, user = isRoot ? NOBODY : undefined }: RunAs = {},
): Ended {
  const [program, ...first] = PROGRAM;
  const as = user === undefined ? {} : { uid: user, gid: user };
  const { status, stdout, stderr } = spawnSync(program, [...first, ...words], { cwd, env, encoding: 'utf8', ...as });
  return { status, text: `${stdout}${stderr}` };
}

interface RunAs {
  readonly env?: Record<string, string>;
  readonly user?: number | undefined;
}

describe('from an empty directory, with an empty environment, as nobody', () => {
  it('keeps a state and gets it back', () => {
    const cwd = place('round');
    mkdirSync(path.join(cwd, 'data'));
    writeFileSync(path.join(cwd, 'data', 'one'), 'first');
    chmodSync(path.join(cwd, 'data'), 0o777);
    const taken = run(cwd, ['capture', '--state-dir=data', '--store=keep']);
    expect(taken.text).toMatch(/checkpoint 1: /);
    expect(taken.status).toBe(0);
    expect(run(cwd, ['verify', '--store=keep']).text).toMatch(/all good/);
    expect(run(cwd, ['recover', '--state-dir=back', '--store=keep']).text).toMatch(/tree root verified/);
    expect(readFileSync(path.join(cwd, 'back', 'one'), 'utf8')).toBe('first');
  });

  it('runs the native engine, and leaves no file of it anywhere', () => {
    const cwd = place('engine');
    const own = place('addons');
    const { text } = run(cwd, ['engine'], { env: { DIFFKEEPER_ADDON_DIR: own, TMPDIR: own } });
    expect(text).toMatch(/engine +native/);
    expect(readdirSync(own)).toEqual([]);
    expect(readdirSync(cwd)).toEqual([]);
  });

  it('runs where nothing can be written but memory', () => {
    const cwd = place('closed');
    chmodSync(cwd, 0o555);
    const { text, status } = run(cwd, ['engine'], { env: { TMPDIR: '/proc', DIFFKEEPER_ADDON_DIR: '/sys' } });
    expect(text).toMatch(/engine +native/);
    expect(status).toBe(0);
  });

  it('also runs its TypeScript engine', () => {
    const cwd = place('twin');
    writeFileSync(path.join(cwd, 'a'), 'x'.repeat(5000));
    writeFileSync(path.join(cwd, 'b'), `${'x'.repeat(4000)}y${'x'.repeat(999)}`);
    const env = { DIFFKEEPER_ENGINE: 'typescript' };
    expect(run(cwd, ['delta', 'a', 'b', 'd'], { env }).status).toBe(0);
    expect(run(cwd, ['patch', 'a', 'd', 'c'], { env }).status).toBe(0);
    expect(readFileSync(path.join(cwd, 'c')).equals(readFileSync(path.join(cwd, 'b')))).toBe(true);
    expect(statSync(path.join(cwd, 'd')).size).toBeLessThan(200);
  });
});
