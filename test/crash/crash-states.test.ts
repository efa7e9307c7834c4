/**
 * A small share of what `npm run crash:states` does, and the proof that it can fail: with the syncs of the trace
 * forgotten, what was acknowledged gets lost.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('../../scripts/crash-states.mjs', import.meta.url));

function crashStates(...words: string[]): { readonly output: string; readonly status: number | null } {
  const run = spawnSync(process.execPath, [script, ...words], { encoding: 'utf8' });
  return { output: `${run.stdout}${run.stderr}`, status: run.status };
}

it('every state that a crash may leave opens with all that was acknowledged', () => {
  const names = [
    'capture',
    'packs',
    'prune',
    'condense',
    'recovery',
    'repair',
    'encrypted-capture',
    'encrypted-prune',
    'encrypted-rotate',
  ];
  const workloads = names.map((name) => `--workload=${name}`);
  const { output, status } = crashStates('--states=2000', '--cases=1', '--seed=5', ...workloads);
  expect(output).toMatch(/20\d\d states, \d+ of them different, 0 failed/);
  expect(status).toBe(0);
}, 180_000);

it('a store that did not sync would be found out', () => {
  const { output, status } = crashStates('--states=3000', '--workload=capture', '--without-syncs');
  expect(output).toMatch(/FAILED capture\.trace state \d+/);
  expect(output).toMatch(/is not a DiffKeeper store|was acknowledged/);
  expect(output).toMatch(/lost: \d+ (write|create|rename|mkdir)/);
  expect(status).toBe(1);
}, 180_000);
