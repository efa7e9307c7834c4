/** Runs the built program as its users do. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The program as it was built. */
const MAIN = path.join(ROOT, 'dist', 'cli', 'main.js');
const SINGLE_FILE = process.env.DIFFKEEPER_TEST_PROGRAM;
/** Command that runs it; `DIFFKEEPER_TEST_PROGRAM` names another program, such as the single-file executable. */
export const PROGRAM: readonly [string, ...string[]] = SINGLE_FILE ? [SINGLE_FILE] : [process.execPath, MAIN];
const LOCK = path.join(ROOT, 'build', 'cli-tests.lock');
/** A lock older than this was left by a killed run. */
const LOCK_STALE_MS = 120_000;

function modifiedMs(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function newestSourceMs(): number {
  const files = readdirSync(path.join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  return Math.max(
    ...files.filter((name) => /\.c?ts$/.test(name)).map((name) => modifiedMs(path.join(ROOT, 'src', name))),
  );
}

function takeLock(): boolean {
  mkdirSync(path.dirname(LOCK), { recursive: true });
  if (modifiedMs(LOCK) > 0 && Date.now() - modifiedMs(LOCK) > LOCK_STALE_MS) rmSync(LOCK, { recursive: true });
  try {
    mkdirSync(LOCK);
    return true;
  } catch {
    return false;
  }
}

function isStale(): boolean {
  return modifiedMs(MAIN) < newestSourceMs();
}

/**
 * Builds the program when a source is newer; test files that run side by side wait for one another. A build that is
 * under way is waited for although its program looks new: the CommonJS half comes after it.
 */
export async function ensureBuilt(): Promise<void> {
  if (SINGLE_FILE) return;
  while (modifiedMs(LOCK) > 0 || isStale()) {
    const abandoned = modifiedMs(LOCK) > 0 && Date.now() - modifiedMs(LOCK) > LOCK_STALE_MS;
    if (!(abandoned || isStale()) || !takeLock()) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      continue;
    }
    try {
      // Somebody else may have built it before the lock was ours; others use that already.
      if (!(abandoned || isStale())) continue;
      const build = spawnSync(process.execPath, [path.join(ROOT, 'scripts', 'build-ts.mjs')], { encoding: 'utf8' });
      if (build.status !== 0) throw new Error(`build failed: ${build.stdout}${build.stderr}`);
    } finally {
      rmSync(LOCK, { recursive: true, force: true });
    }
  }
}

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunningCli {
  readonly process: ChildProcess;
  readonly pid: number;
  readonly ended: Promise<CliResult>;
  /** Resolves when the text so far (stdout and stderr) matches. */
  until(pattern: RegExp): Promise<RegExpMatchArray>;
}

/** Starts the program. Own settings of the machine do not reach it. */
export function startCli(words: readonly string[], options: CliOptions): RunningCli {
  const [program, ...first] = PROGRAM;
  return startProgram(program, [...first, ...words], options);
}

/** Starts any program in the same way: one that sets limits first, for example. */
export function startProgram(program: string, words: readonly string[], { cwd, env = {} }: CliOptions): RunningCli {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('DIFFKEEPER_')));
  const child = spawn(program, words, { cwd, env: { ...clean, ...env }, stdio: 'pipe' });
  child.stdin.end();
  let stdout = '';
  let stderr = '';
  const checks = new Set<() => void>();
  const check = (): void => {
    for (const one of checks) one();
  };
  child.stdout.on('data', (part: Buffer) => {
    stdout += part.toString('utf8');
    check();
  });
  child.stderr.on('data', (part: Buffer) => {
    stderr += part.toString('utf8');
    check();
  });
  const ended = new Promise<CliResult>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  const until = (pattern: RegExp): Promise<RegExpMatchArray> =>
    new Promise((resolve, reject) => {
      const one = (): void => {
        const match = `${stdout}\n${stderr}`.match(pattern);
        if (match === null) return;
        checks.delete(one);
        resolve(match);
      };
      checks.add(one);
      one();
      child.on('close', () => reject(new Error(`ended before ${pattern}: ${stdout}${stderr}`)));
    });
  return { process: child, pid: child.pid ?? 0, ended, until };
}

/** Runs the program to its end. */
export function runCli(words: readonly string[], options: CliOptions): Promise<CliResult> {
  return startCli(words, options).ended;
}

/** JSON lines of an output, without those on progress: they come each second, so on a busy machine there are more. */
export function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): Record<string, unknown> => JSON.parse(line))
    .filter(({ type }) => type !== 'progress');
}

/** A directory of one test, and its removal. */
export async function scratch(): Promise<{ readonly directory: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(path.join(tmpdir(), 'dk-cli-'));
  return { directory, remove: () => rm(directory, { recursive: true, force: true }) };
}
