/** A directory in which nothing changed: what does looking cost? */
import { fileURLToPath } from 'node:url';
import { runStep } from '../lib/timed-run.mjs';
import { VersionTrials, versionCount } from '../lib/version-trials.mjs';
import { makeSmallFiles } from './small-files.mjs';

const FILES = 10_000;
const VERSIONS = 6;
const WARM_TURNS = 10;
const WARM = fileURLToPath(new URL('../lib/warm-capture.mjs', import.meta.url));

/** @param {number} scale */
const fileCount = (scale) => Math.max(20, Math.round(FILES * scale));

/** @type {NonNullable<import('../lib/bench-types.js').VersionPlan['after']>} */
async function warmCaptures(_context, trial, places) {
  const place = places.get('diffkeeper');
  if (place === undefined) return [];
  const step = { command: process.execPath, args: [WARM, place.state, place.store, String(WARM_TURNS)] };
  const found = JSON.parse(await runStep(step, place.env));
  const common = { tool: /** @type {const} */ ('diffkeeper'), trial, version: 0, cpuMs: 0, rssBytes: found.rssBytes };
  /** @type {import('../lib/bench-types.js').Sample[]} */
  const samples = [];
  for (const wallMs of found.session) samples.push({ ...common, step: 'warm-session', wallMs });
  for (const wallMs of found.capture) samples.push({ ...common, step: 'warm-capture', wallMs });
  return samples;
}

/** @type {import('../lib/bench-types.js').Scenario} */
export const noop = {
  name: 'noop',
  title: 'Nothing changed',
  laterName: 'capture of an unchanged directory',
  describe: (scale, quick) =>
    `${fileCount(scale)} files as in "Many small files", captured once and then ${versionCount(VERSIONS, quick) - 1} times without any change.`,
  needsBytes: (scale, trials) => trials * scale * 3e9,
  run: (context) =>
    new VersionTrials(
      {
        name: 'noop',
        versions: VERSIONS,
        make: (state, scale) => makeSmallFiles(state, fileCount(scale)),
        change: () => {},
        unchanging: true,
        removeAfterTrial: false,
        after: warmCaptures,
      },
      context,
    ).run(),
};
