/** A trial in a process of its own: the argument is JSON, one line of JSON comes back on stdout. */
import { spawnSync } from 'node:child_process';

/**
 * @param {string} program
 * @param {object} job
 * @returns {any}
 */
export function runTrial(program, job) {
  const words = ['--expose-gc', program, JSON.stringify(job)];
  const run = spawnSync(process.execPath, words, { encoding: 'utf8', maxBuffer: 1 << 26, timeout: 3_600_000 });
  if (run.status !== 0) throw new Error(`trial ${JSON.stringify(job)}: ${run.stderr || run.signal}`);
  return JSON.parse(run.stdout);
}

/**
 * In the trial: does what the job asks for and says what came of it.
 * @param {Record<string, (job: any) => Promise<object>>} kinds
 */
export async function answerTrial(kinds) {
  const job = JSON.parse(process.argv[2] ?? '{}');
  console.log(JSON.stringify(await kinds[job.kind]?.(job)));
}
