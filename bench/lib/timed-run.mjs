/** Runs steps of tools, each a process of its own, and says what they cost. Knows its children, to end them with us. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** GNU time: exact CPU seconds and peak memory of a process and what it waited for. */
const GNU_TIME = '/usr/bin/time';
const OUTPUT_KEPT = 2000;

/** @type {Set<import('node:child_process').ChildProcess>} */
const running = new Set();

/** Ends every process that was started here and still runs, with what it started. */
export function killRunning() {
  for (const child of running) killGroup(child, 'SIGKILL');
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
export function killGroup(child, signal) {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, signal);
  } catch {
    // Already gone.
  }
}

/**
 * Starts a program in a process group of its own, so that it can be ended with all that it started.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 */
export function startProgram(command, args, options) {
  const child = spawn(command, args, { ...options, detached: true });
  running.add(child);
  child.once('close', () => running.delete(child));
  child.once('error', () => running.delete(child));
  return child;
}

/**
 * Runs one program to its end; throws with the end of its output when it fails.
 * @param {import('./bench-types.js').Step} step
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>} what it wrote to stdout
 */
export function runStep(step, env) {
  const child = startProgram(step.command, step.args, { cwd: step.cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (part) => {
    stdout += part;
  });
  child.stderr?.on('data', (part) => {
    stderr = (stderr + part).slice(-OUTPUT_KEPT);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(`${step.command} ended with ${code ?? signal}: ${(stderr || stdout).slice(-300).trim()}`));
    });
  });
}

/**
 * Runs one step; says what it cost and what it wrote to stdout.
 * @param {import('./bench-types.js').Step} step
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<{ cost: import('./bench-types.js').Cost, stdout: string }>}
 */
export async function timeStep({ command, args, cwd }, env) {
  if (!existsSync(GNU_TIME)) throw new Error(`${GNU_TIME} is missing: install the package "time"`);
  const file = join(env.TMPDIR ?? tmpdir(), 'step-cost');
  const timed = ['-q', '-f', '%U %S %M', '-o', file, '--', command, ...args];
  const start = performance.now();
  const stdout = await runStep({ command: GNU_TIME, args: timed, ...(cwd === undefined ? {} : { cwd }) }, env);
  const wallMs = performance.now() - start;
  const [user = 0, system = 0, kilobytes = 0] = readFileSync(file, 'utf8').trim().split(' ').map(Number);
  return { cost: { wallMs, cpuMs: (user + system) * 1000, rssBytes: kilobytes * 1024 }, stdout };
}

/**
 * Runs steps one after the other; costs are added up, memory is the largest.
 * @param {readonly import('./bench-types.js').Step[]} steps
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<import('./bench-types.js').Cost>}
 */
export async function timeSteps(steps, env) {
  const sum = { wallMs: 0, cpuMs: 0, rssBytes: 0 };
  for (const step of steps) {
    const { cost } = await timeStep(step, env);
    sum.wallMs += cost.wallMs;
    sum.cpuMs += cost.cpuMs;
    sum.rssBytes = Math.max(sum.rssBytes, cost.rssBytes);
  }
  return sum;
}
