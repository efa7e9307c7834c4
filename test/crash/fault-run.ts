/**
 * Lets the n-th call of a kind on a file of the store fail, for every n that a life has, by strace's fault injection:
 * calls of LevelDB and of the addon fail like ours. Afterwards the life must have ended by itself, with errors of ours
 * only, and everything that was acknowledged must be there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { loadEngine } from '../../src/engine/load.js';
import { checkState, type Roots, STORE_NAME } from './check-state.js';

export interface LifeReport {
  readonly acknowledged: readonly (readonly [sequence: number, root: string])[];
  /** Up to this one they may be gone: a prune was asked for. 0 for none. */
  readonly released: number;
  /** Codes of the errors that it met. */
  readonly errors: readonly string[];
}

const FAULTS: Readonly<Record<string, readonly string[]>> = {
  openat: ['EIO', 'EMFILE', 'EACCES', 'ENOSPC'],
  write: ['EIO', 'ENOSPC'],
  pwrite64: ['EIO', 'ENOSPC'],
  fdatasync: ['EIO', 'ENOSPC'],
  fsync: ['EIO', 'ENOSPC'],
  rename: ['EIO', 'ENOSPC', 'EACCES'],
  unlink: ['EIO', 'EACCES'],
  mkdir: ['EIO', 'ENOSPC'],
  ftruncate: ['EIO'],
  read: ['EIO'],
  pread64: ['EIO'],
  mmap: ['ENOMEM'],
  fcntl: ['ENOLCK'],
};
/** What a life may say, whatever fails. A call that is refused may look like a store that may not be written, or is gone. */
const ALLOWED = /^DK_(IO|DISK_FULL|STORE_READ_ONLY|STORE_LOCKED|CORRUPT_INDEX|CORRUPT_PACK|NO_STORE)$/;
const LIFE_MS_MAX = 60_000;

const { values: options } = parseArgs({
  options: {
    /** Only one position in so many. */
    every: { type: 'string', default: '1' },
    call: { type: 'string', multiple: true },
    code: { type: 'string', multiple: true },
    encrypted: { type: 'boolean', default: false },
    /** What is done between commits: `prune`, or `condense`. */
    life: { type: 'string', default: 'prune' },
  },
});
const child = path.join(path.dirname(process.argv[1] as string), 'fault-child.mjs');
const scratch = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'dk-faults-'));
const engine = loadEngine();

/** strace takes whole paths only: all that a store of this life may have. */
function pathsOf(root: string): string[] {
  const names = [
    '',
    'packs',
    'meta',
    'cache',
    'quarantine',
    'meta/CURRENT',
    'meta/LOCK',
    'DIFFKEEPER',
    'DIFFKEEPER.copy',
    'KEYS',
    'KEYS.copy',
    'cache/meta-tables',
  ];
  for (let number = 1; number <= 60; number += 1) {
    const digits = String(number).padStart(6, '0');
    names.push(`meta/${digits}.log`, `meta/${digits}.ldb`, `meta/${digits}.dbtmp`, `meta/MANIFEST-${digits}`);
    // A prune writes packs of its own numbers.
    if (number < 12)
      names.push(
        `packs/00${digits}.dkp`,
        `packs/00${digits}.dkp.unfinished`,
        `packs/50${String(number - 1).padStart(6, '0')}.dkp`,
      );
  }
  return names.map((name) => path.join(root, name));
}

interface Life {
  readonly injected: boolean;
  readonly report: LifeReport | null;
  readonly trouble: string;
}

function live(base: string, fault: string): Life {
  const log = `${base}.strace`;
  const selected = pathsOf(path.join(base, STORE_NAME)).flatMap((name) => ['-P', name]);
  const call = fault.slice(0, fault.indexOf(':'));
  const inject = ['-e', `trace=${call}`, '-e', `inject=${fault}`, '-e', 'signal=none'];
  const words = [
    '-f',
    '--seccomp-bpf',
    '-qq',
    '-o',
    log,
    ...selected,
    ...inject,
    '--',
    process.execPath,
    child,
    base,
    options.encrypted ? 'encrypted' : 'plain',
    options.life,
  ];
  // One thread for files: strace counts the calls of each thread by themselves.
  const env = { ...process.env, UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '1' };
  const run = spawnSync('strace', words, { encoding: 'utf8', env, timeout: LIFE_MS_MAX, killSignal: 'SIGKILL' });
  if (run.error && !run.signal) throw run.error;
  const injected = readFileSync(log, 'latin1').includes('INJECTED');
  rmSync(log);
  if (run.status !== 0)
    return { injected, report: null, trouble: `ended with ${run.signal ?? run.status}: ${run.stderr}` };
  const report = JSON.parse(run.stdout) as LifeReport;
  const strange = report.errors.filter((code) => !ALLOWED.test(code));
  return { injected, report, trouble: strange.length > 0 ? `errors: ${strange.join(', ')}` : '' };
}

/** What is wrong after a life, or the empty string. */
async function check(base: string, { report, trouble }: Life, roots: Roots): Promise<string> {
  if (!report || trouble !== '') return trouble;
  const newest = Math.max(0, ...report.acknowledged.map(([sequence]) => sequence));
  const kept = report.acknowledged.filter(([sequence]) => sequence > report.released);
  const required = new Set(kept.map(([sequence]) => sequence));
  const promised = { opened: newest > 0, newest, required };
  return checkState(base, { engine, promised, roots, thorough: true, encrypted: options.encrypted }).then(
    () => '',
    (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
}

async function main(): Promise<number> {
  const base = (name: string) => {
    const directory = path.join(scratch, name);
    mkdirSync(directory);
    return directory;
  };
  const clean = live(base('clean'), 'openat:error=EIO:when=65000');
  if (!clean.report || clean.report.errors.length > 0) throw new Error(`a life without faults: ${clean.trouble}`);
  const roots = new Map(clean.report.acknowledged.map(([sequence, root]) => [sequence, new Set([root])]));
  const every = Number(options.every);
  let failed = 0;
  let lives = 0;
  for (const [call, codes] of Object.entries(FAULTS)) {
    if (options.call && !options.call.includes(call)) continue;
    for (const code of codes) {
      if (options.code && !options.code.includes(code)) continue;
      const told = new Map<string, number>();
      let position = 1;
      let count = 0;
      for (; ; position += every) {
        const place = base(`${call}-${code}-${position}`);
        const life = live(place, `${call}:error=${code}:when=${position}`);
        if (!life.injected && life.trouble === '') break;
        count += 1;
        for (const error of new Set(life.report?.errors ?? [])) told.set(error, (told.get(error) ?? 0) + 1);
        const trouble = await check(place, life, roots);
        rmSync(place, { recursive: true });
        if (trouble === '') continue;
        failed += 1;
        console.log(
          `\nFAILED ${call} ${code} at position ${position}:\n  ${trouble.split('\n').slice(0, 8).join('\n  ')}`,
        );
      }
      lives += count;
      const codesTold = [...told].map(([name, times]) => `${name} ${times}`).join(', ') || 'nothing';
      console.log(`${call.padEnd(10)} ${code.padEnd(7)} ${String(count).padStart(4)} positions, told: ${codesTold}`);
    }
  }
  console.log(`${lives} lives with a fault, ${failed} failed`);
  return failed;
}

let failed = 1;
try {
  failed = await main();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
