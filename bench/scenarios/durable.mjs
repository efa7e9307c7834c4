/** One small change, until it is durable: through the running sidecar, and by a backup of each peer. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { askedSamples } from '../lib/asked-change.mjs';
import {
  backupSamples,
  backupSyncCalls,
  durableCounts,
  sidecarSamples,
  sidecarSyncCalls,
} from '../lib/durable-change.mjs';
import { attempt, openOutcomes, turned } from '../lib/outcomes.mjs';
import { FILES, makeSmallState } from '../lib/small-state.mjs';
import { runStep } from '../lib/timed-run.mjs';
import { differences, manifestOf, usageOf } from '../lib/tree-manifest.mjs';
import { toolEnvironment } from '../lib/workspace.mjs';

/**
 * @typedef {import('../lib/bench-types.js').Place} Place
 * @typedef {import('../lib/bench-types.js').Sample} Sample
 * @typedef {import('../lib/bench-types.js').Tool} Tool
 */

/** Tools that promise that what they took is durable. */
const COMPARED = new Set(['diffkeeper', 'restic', 'borg']);

/**
 * @param {Tool} tool
 * @param {Place} place
 */
async function verify(tool, place) {
  const target = `${place.store}-back`;
  mkdirSync(target);
  for (const step of tool.recover(place, null, target)) await runStep(step, place.env);
  const found = differences(manifestOf(place.state), manifestOf(target, tool.leaves));
  if (found.length > 0) throw new Error(`what came back differs: ${found.join('; ')}`);
}

/**
 * @param {Tool} tool
 * @param {Place} place
 * @param {number} trial
 * @param {boolean} quick
 */
async function oneTool(tool, place, trial, quick) {
  const { timed, counted } = durableCounts(quick);
  const sidecar = tool.name === 'diffkeeper';
  const samples = await (sidecar ? sidecarSamples(place, trial, timed) : backupSamples(tool, place, trial, timed));
  if (sidecar) samples.push(...(await askedSamples(place, trial, timed)));
  await verify(tool, place);
  if (trial > 1 || !existsSync('/usr/bin/strace')) return { samples };
  return {
    samples,
    syncCalls: await (sidecar ? sidecarSyncCalls(place, counted) : backupSyncCalls(tool, place, counted)),
  };
}

/** @param {import('../lib/bench-types.js').RunContext} context */
async function run({ tools, trials, quick, workspace, say }) {
  const outcomes = openOutcomes(tools);
  /** @type {Sample[]} */
  const samples = [];
  let state = { files: 0, bytes: 0, largestBytes: 0 };
  for (const { name } of tools) {
    if (!COMPARED.has(name))
      Object.assign(outcomes[name] ?? {}, { status: 'not-applicable', reason: 'makes nothing durable' });
  }
  for (let trial = 1; trial <= trials; trial += 1) {
    for (const tool of turned(tools, trial)) {
      const outcome = outcomes[tool.name];
      await attempt(outcome, async () => {
        say(`durable: trial ${trial}, ${tool.name}`);
        const folder = workspace.place('durable', `trial-${trial}`, tool.name);
        const place = {
          state: join(folder, 'state'),
          store: join(folder, 'store'),
          env: toolEnvironment(workspace, folder),
        };
        makeSmallState(place.state);
        const { files, bytes, largestBytes } = usageOf(place.state);
        state = { files, bytes, largestBytes };
        const { samples: found, syncCalls } = await oneTool(tool, place, trial, quick);
        samples.push(...found);
        Object.assign(outcome ?? {}, { verifiedTrees: trial, ...(syncCalls ? { syncCalls } : {}) });
      });
    }
  }
  return { state, tools: outcomes, samples };
}

/** @type {import('../lib/bench-types.js').Scenario} */
export const durable = {
  name: 'durable',
  title: 'One durable change of 10 KB',
  laterName: 'one file of 10 KB rewritten',
  describe: (_scale, quick) =>
    `${FILES} files of 10 KB, of which one is rewritten at a time, ${durableCounts(quick).timed} times a trial: under a running \`diffkeeper watch\` ` +
    'until its acknowledgement arrives (it waits until a file was quiet for 50 ms), beside an application under `diffkeeper -- command` when a checkpoint is asked for ' +
    'over the control socket right after the write, and by a whole backup for the others.',
  needsBytes: () => 1e8,
  run,
};
