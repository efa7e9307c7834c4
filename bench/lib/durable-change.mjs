/** One durable change of a small state, again and again: its time, and the calls that make bytes durable. */
import { setTimeout as sleep } from 'node:timers/promises';
import { changeSmallState } from './small-state.mjs';
import { runStep, timeSteps } from './timed-run.mjs';
import { syncCallsIn, traced, WatchSession } from './watch-session.mjs';
import { settleDisk } from './workspace.mjs';

/**
 * @typedef {import('./bench-types.js').Place} Place
 * @typedef {import('./bench-types.js').Sample} Sample
 * @typedef {import('./bench-types.js').Tool} Tool
 */

const CHANGES_PER_TRIAL = 10;
const TRACED_CHANGES = 5;
/** Between changes, so that each is one of its own. */
const PAUSE_MS = 300;

/**
 * How often a change is made for each tool in a trial, and how often once more with its calls counted.
 * @param {boolean} quick
 */
export const durableCounts = (quick) =>
  quick ? { timed: 3, counted: 1 } : { timed: CHANGES_PER_TRIAL, counted: TRACED_CHANGES };

/**
 * Changes under a running sidecar. It ends by SIGKILL right after the last acknowledgement: what was acknowledged must
 * be there.
 * @param {Place} place
 * @param {number} trial
 * @param {number} count
 */
export async function sidecarSamples(place, trial, count) {
  const session = new WatchSession(place);
  await session.acknowledged();
  /** @type {Sample[]} */
  const samples = [];
  for (let turn = 0; turn < count; turn += 1) {
    await sleep(PAUSE_MS);
    settleDisk(place.state);
    const start = changeSmallState(place.state);
    const { atMs, elapsedMs } = await session.acknowledged();
    const wallMs = atMs - start;
    const memory = { cpuMs: 0, rssBytes: session.peakBytes };
    samples.push({
      tool: 'diffkeeper',
      trial,
      version: 0,
      step: 'durable',
      wallMs,
      waitMs: wallMs - elapsedMs,
      ...memory,
    });
  }
  await session.stop('SIGKILL');
  return samples;
}

/**
 * @param {Place} place
 * @param {number} count
 */
export async function sidecarSyncCalls(place, count) {
  const file = `${place.store}.calls`;
  const session = new WatchSession(place, file);
  // The sidecar found the state captured already: the first change says when it watches.
  await sleep(2000);
  changeSmallState(place.state);
  await session.acknowledged();
  const counts = [];
  for (let turn = 0; turn < count; turn += 1) {
    await sleep(PAUSE_MS);
    const before = syncCallsIn(file);
    changeSmallState(place.state);
    await session.acknowledged();
    await sleep(PAUSE_MS);
    counts.push(syncCallsIn(file) - before);
  }
  await session.stop('SIGTERM');
  return counts;
}

/**
 * @param {Tool} tool
 * @param {Place} place
 * @param {number} trial
 * @param {number} count
 */
export async function backupSamples(tool, place, trial, count) {
  for (const step of [...tool.prepare(place), ...tool.capture(place, 1)]) await runStep(step, place.env);
  /** @type {Sample[]} */
  const samples = [];
  for (let turn = 0; turn < count; turn += 1) {
    changeSmallState(place.state);
    settleDisk(place.state);
    const cost = await timeSteps(tool.capture(place, 2 + turn), place.env);
    samples.push({ tool: tool.name, trial, version: 0, step: 'durable', ...cost });
  }
  return samples;
}

/**
 * @param {Tool} tool
 * @param {Place} place
 * @param {number} count
 */
export async function backupSyncCalls(tool, place, count) {
  const counts = [];
  for (let turn = 0; turn < count; turn += 1) {
    changeSmallState(place.state);
    const file = `${place.store}.calls-${turn}`;
    for (const step of tool.capture(place, 100 + turn)) await runStep(traced(step, file), place.env);
    counts.push(syncCallsIn(file));
  }
  return counts;
}
