/** Lives in processes of their own, under strace or not. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import * as path from 'node:path';
import { FAULTS, LEFT_ALONE } from './fault-calls.js';
import type { FaultLife, LifeReport } from './fault-lives.js';

const LIFE_MS_MAX = 60_000;
const child = path.join(path.dirname(process.argv[1] as string), 'fault-child.mjs');
// One thread for files: strace counts the calls of each thread by themselves.
const env = { ...process.env, UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '1' };
/** Names of temporary files that a recover makes are the same in each life. */
const steady = { ...env, LD_PRELOAD: path.join(path.dirname(process.argv[1] as string), 'steady-names.so') };
/** A path in the log of strace: an argument, or what a descriptor stands for. */
const PATH = /["<]([^"<>]+)[">]/g;
/** How the product names what it removes, so that no link can bend the path. */
const BY_DESCRIPTOR = /^\/proc\/self\/fd\/\d+\/(.+)$/;
const DESCRIPTORS_MAX = 48;

interface Way {
  readonly life: FaultLife;
  readonly encrypted: boolean;
}

export interface Lived {
  readonly injected: boolean;
  readonly report: LifeReport | null;
  readonly trouble: string;
}

function command({ life, encrypted }: Way, base: string, part: 'before' | 'run'): string[] {
  return [process.execPath, child, base, encrypted ? 'encrypted' : 'plain', life.name, part];
}

function spawn({ life }: Way, words: readonly string[]): ReturnType<typeof spawnSync> {
  const [program = '', ...rest] = words;
  const how = { encoding: 'utf8', env: life.recovers ? steady : env } as const;
  const run = spawnSync(program, rest, { ...how, timeout: LIFE_MS_MAX, killSignal: 'SIGKILL' });
  if (run.error && !run.signal) throw run.error;
  return run;
}

function reportOf(run: ReturnType<typeof spawnSync>): LifeReport {
  if (run.status !== 0) throw new Error(`a life without faults ended with ${run.signal ?? run.status}: ${run.stderr}`);
  return JSON.parse(String(run.stdout)) as LifeReport;
}

/** Makes what stands before. */
export function liveWithout(way: Way, base: string): LifeReport {
  return reportOf(spawn(way, command(way, base, 'before')));
}

/** A life without faults, and the paths that it used below its directory. */
export function liveTraced(way: Way, base: string): { readonly report: LifeReport; readonly names: readonly string[] } {
  const log = `${base}.strace`;
  const words = ['strace', '-f', '-y', '-qq', '-s', '0', '-o', log];
  const report = reportOf(spawn(way, [...words, ...command(way, base, 'run')]));
  const names = new Set<string>(guessed());
  const unknown = new Set<string>();
  for (const line of readFileSync(log, 'latin1').split('\n')) {
    const paths = [...line.matchAll(PATH)]
      .map(([, found = '']) => found)
      .filter((found) => found.startsWith(`${base}/`) || BY_DESCRIPTOR.test(found));
    if (paths.length === 0) continue;
    for (const found of paths.flatMap((one) => namesOf(one, base))) names.add(found);
    const call = /^\d+ +(?:<\.\.\. )?([a-z0-9_]+)/.exec(line)?.[1] ?? line;
    if (!(call in FAULTS) && !LEFT_ALONE.has(call)) unknown.add(call);
  }
  rmSync(log);
  if (unknown.size > 0) throw new Error(`calls of which nobody knows how they fail: ${[...unknown].join(', ')}`);
  return { report, names: [...names].sort() };
}

/** Below the directory of the life, or whole ones; those below a descriptor under each number that it may have. */
function namesOf(found: string, base: string): string[] {
  const name = BY_DESCRIPTOR.exec(found)?.[1];
  if (name === undefined) return [found.slice(base.length + 1).replace(/ \(deleted\)$/, '')];
  return Array.from({ length: DESCRIPTORS_MAX }, (_, fd) => `/proc/self/fd/${fd}/${name}`);
}

/** Names that only a life with faults has: after one LevelDB and packs go on with the next numbers. */
function* guessed(): Generator<string> {
  for (let number = 1; number <= 60; number += 1) {
    const digits = String(number).padStart(6, '0');
    for (const name of [`${digits}.log`, `${digits}.ldb`, `${digits}.dbtmp`, `MANIFEST-${digits}`]) {
      yield `keep/meta/${name}`;
    }
    if (number > 12) continue;
    yield `keep/packs/00${digits}.dkp`;
    yield `keep/packs/00${digits}.dkp.unfinished`;
    yield `keep/packs/50${digits}.dkp`;
  }
}

export interface Fault {
  readonly call: string;
  readonly code: string;
  readonly position: number;
}

/** strace takes whole paths only. */
export function liveWithFault(
  way: Way,
  base: string,
  names: readonly string[],
  { call, code, position }: Fault,
): Lived {
  const log = `${base}.strace`;
  const selected = names.flatMap((name) => ['-P', path.resolve(base, name)]);
  const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:error=${code}:when=${position}`, '-e', 'signal=none'];
  const words = ['strace', '-f', '--seccomp-bpf', '-qq', '-o', log, ...selected, ...inject, '--'];
  const run = spawn(way, [...words, ...command(way, base, 'run')]);
  const injected = readFileSync(log, 'latin1').includes('INJECTED');
  rmSync(log);
  if (run.status !== 0)
    return { injected, report: null, trouble: `ended with ${run.signal ?? run.status}: ${run.stderr}` };
  return { injected, report: JSON.parse(String(run.stdout)) as LifeReport, trouble: '' };
}
