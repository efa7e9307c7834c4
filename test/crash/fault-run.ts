/**
 * Lets the n-th call of a kind on a file of the store fail, for every n that a life has, by strace's fault injection:
 * calls of LevelDB and of the addon fail like ours. Afterwards the life must have ended by itself, with errors of ours
 * only, and everything that was acknowledged must be there. A life without faults says which files and which kinds of
 * calls there are: a kind that nothing is known about is an error.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { parseArgs } from 'node:util';
import { loadEngine } from '../../src/engine/load.js';
import { checkState, type Roots } from './check-state.js';
import { FAULTS } from './fault-calls.js';
import { type FaultLife, LIVES, type LifeReport } from './fault-lives.js';
import { type Lived, liveTraced, liveWithFault, liveWithout } from './fault-process.js';
import { troubleOfTarget } from './recover-life.js';

/** What a life may say, whatever fails. A call that is refused may look like a store that may not be written, is gone, or cannot be told from the state directory. */
const ALLOWED = /^DK_(IO|DISK_FULL|STORE_READ_ONLY|STORE_LOCKED|CORRUPT_INDEX|CORRUPT_PACK|NO_STORE|STATE_DIR)$/;
/** And a recover: something is not right yet, and a further name of a file that is not there cannot be made. */
const ALLOWED_OF_RECOVER = /^DK_(PARTIAL|NOT_FOUND)$/;

const { values: options } = parseArgs({
  options: {
    /** Only one position in so many. */
    every: { type: 'string', default: '1' },
    /** The position to begin with: `--every=4 --first=2` is the second of four parts. */
    first: { type: 'string', default: '1' },
    call: { type: 'string', multiple: true },
    code: { type: 'string', multiple: true },
    /** Names of lives, `encrypted-` before those of encrypted stores. All of them by default. */
    life: { type: 'string', multiple: true },
  },
});
/** How what stands before is copied. */
const ALIKE = { recursive: true, preserveTimestamps: true, verbatimSymlinks: true };
const scratch = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'dk-faults-'));
const engine = loadEngine();

interface Chosen {
  readonly name: string;
  readonly life: FaultLife;
  readonly encrypted: boolean;
}

function chosenLives(): Chosen[] {
  const all = [false, true].flatMap((encrypted) =>
    LIVES.filter(({ only }) => only !== (encrypted ? 'plain' : 'encrypted')).map(
      (life): Chosen => ({ name: `${encrypted ? 'encrypted-' : ''}${life.name}`, life, encrypted }),
    ),
  );
  const unknown = options.life?.find((name) => !all.some((one) => one.name === name));
  if (unknown) throw new Error(`no life ${unknown}: there are ${all.map(({ name }) => name).join(', ')}`);
  return all.filter(({ name }) => options.life?.includes(name) ?? true);
}

interface Clean {
  readonly chosen: Chosen;
  /** What stands before. */
  readonly before: string;
  readonly promised: LifeReport;
  readonly roots: Roots;
  /** Below the directory of a life. */
  readonly names: readonly string[];
  readonly migrated: string | undefined;
}

/** A life without faults, in which nothing may fail. */
function liveCleanly(chosen: Chosen): Clean {
  const before = path.join(scratch, 'before');
  mkdirSync(before);
  const promised = liveWithout(chosen, before);
  const place = path.join(scratch, 'clean');
  cpSync(before, place, ALIKE);
  const { report, names } = liveTraced(chosen, place);
  const wrong = chosen.life.recovers ? troubleOfTarget(place) : '';
  if (wrong !== '') throw new Error(`a life without faults: ${wrong}`);
  rmSync(place, { recursive: true });
  for (const { errors } of [promised, report]) {
    if (errors.length > 0) throw new Error(`a life without faults: ${errors.join(', ')}`);
  }
  const roots = new Map<number, Set<string>>();
  for (const [sequence, root] of [...promised.acknowledged, ...report.acknowledged]) {
    roots.set(sequence, (roots.get(sequence) ?? new Set()).add(root));
  }
  const migrated = chosen.life.migrates ? report.acknowledged.at(-1)?.[1] : undefined;
  return { chosen, before, promised, roots, names, migrated };
}

/** What is wrong after a life, or the empty string. */
async function check(base: string, { report, trouble }: Lived, clean: Clean): Promise<string> {
  const { chosen, roots, migrated } = clean;
  const { encrypted, life } = chosen;
  if (!report || trouble !== '') return trouble;
  const strange = report.errors.filter(
    (code) => !ALLOWED.test(code) && !(life.recovers && ALLOWED_OF_RECOVER.test(code)),
  );
  if (strange.length > 0) return `errors: ${strange.join(', ')}`;
  // One call fails once, in each thread: whatever is tried again is done in the end.
  if (report.undone.length > 0) return `not done in the end: ${report.undone.join(', ')} (${report.errors.join(', ')})`;
  const acknowledged = [...clean.promised.acknowledged, ...report.acknowledged];
  const newest = Math.max(0, ...acknowledged.map(([sequence]) => sequence));
  const kept = acknowledged.filter(([sequence]) => sequence > report.released);
  const promised = { opened: newest > 0, newest, required: new Set(kept.map(([sequence]) => sequence)) };
  const damaged = life.damaged === true;
  const wrong = life.recovers ? troubleOfTarget(base) : '';
  if (wrong !== '') return wrong;
  return checkState(base, { engine, promised, roots, thorough: true, encrypted, damaged, migrated }).then(
    () => '',
    (error: unknown) => (error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
}

interface Count {
  readonly lives: number;
  readonly failed: number;
}

/** One kind of call with one code, at all positions. */
async function failEach(clean: Clean, call: string, code: string): Promise<Count> {
  const told = new Map<string, number>();
  let failed = 0;
  let lives = 0;
  for (let position = Number(options.first); ; position += Number(options.every)) {
    const place = path.join(scratch, `${call}-${code}-${position}`);
    cpSync(clean.before, place, ALIKE);
    const life = liveWithFault(clean.chosen, place, clean.names, { call, code, position });
    const over = !life.injected && life.trouble === '';
    if (!over) lives += 1;
    for (const error of new Set(life.report?.errors ?? [])) told.set(error, (told.get(error) ?? 0) + 1);
    const trouble = over ? '' : await check(place, life, clean);
    rmSync(place, { recursive: true });
    if (over) break;
    if (trouble === '') continue;
    failed += 1;
    const shown = trouble.split('\n').slice(0, 8).join('\n  ');
    console.log(`\nFAILED ${clean.chosen.name}: ${call} ${code} at position ${position}:\n  ${shown}`);
  }
  const codes = [...told].map(([name, times]) => `${name} ${times}`).join(', ') || 'nothing';
  console.log(`${call.padEnd(10)} ${code.padEnd(7)} ${String(lives).padStart(4)} positions, told: ${codes}`);
  return { lives, failed };
}

async function failAll(chosen: Chosen): Promise<Count> {
  const began = Date.now();
  const clean = liveCleanly(chosen);
  console.log(`\n${chosen.name}: ${clean.names.length} files`);
  let lives = 0;
  let failed = 0;
  for (const [call, codes] of Object.entries(FAULTS)) {
    if (options.call && !options.call.includes(call)) continue;
    for (const code of codes) {
      if (options.code && !options.code.includes(code)) continue;
      const count = await failEach(clean, call, code);
      lives += count.lives;
      failed += count.failed;
    }
  }
  rmSync(clean.before, { recursive: true });
  const seconds = Math.round((Date.now() - began) / 1000);
  console.log(`${chosen.name}: ${lives} lives with a fault, ${failed} failed, ${seconds} s`);
  return { lives, failed };
}

async function main(): Promise<number> {
  let lives = 0;
  let failed = 0;
  for (const chosen of chosenLives()) {
    const count = await failAll(chosen);
    lives += count.lives;
    failed += count.failed;
  }
  console.log(`\n${lives} lives with a fault, ${failed} failed`);
  return failed;
}

let failed = 1;
try {
  failed = await main();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;
