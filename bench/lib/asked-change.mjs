/** A durable change that the application asks for: `POST /checkpoint` on the control socket of the running sidecar. */
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { changeSmallState } from './small-state.mjs';
import { killGroup, startProgram } from './timed-run.mjs';
import { CLI } from './tools.mjs';
import { settleDisk } from './workspace.mjs';

/**
 * @typedef {import('./bench-types.js').Place} Place
 * @typedef {import('./bench-types.js').Sample} Sample
 */

const PATIENCE_MS = 30_000;
/** Between changes, so that each is one of its own. */
const PAUSE_MS = 300;

/**
 * Resolves when the sidecar says that the state is durable.
 * @param {string} socketPath
 * @returns {Promise<void>}
 */
function checkpointNow(socketPath) {
  return new Promise((resolve, reject) => {
    const question = request({ socketPath, method: 'POST', path: '/checkpoint', timeout: PATIENCE_MS }, (answer) => {
      answer.resume();
      answer.once('end', () => {
        if (answer.statusCode === 200) resolve();
        else reject(new Error(`POST /checkpoint gave ${answer.statusCode}`));
      });
    });
    question.once('timeout', () => question.destroy(new Error('POST /checkpoint gave no answer')));
    question.once('error', reject);
    question.end();
  });
}

/**
 * Changes beside an application under `diffkeeper -- command`, each followed by the question. It ends by SIGKILL right
 * after the last answer: what was answered must be there.
 * @param {Place} place
 * @param {number} trial
 * @param {number} count
 */
export async function askedSamples(place, trial, count) {
  const args = [CLI, `--state-dir=${place.state}`, `--store=${place.store}`, '--', 'sleep', '3600'];
  const child = startProgram(process.execPath, args, { env: place.env, stdio: 'ignore' });
  /** @type {Promise<void>} */
  const closed = new Promise((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  const socket = join(place.store, 'control.sock');
  /** @type {Sample[]} */
  const samples = [];
  try {
    for (const endMs = performance.now() + PATIENCE_MS; !existsSync(socket); await sleep(20)) {
      if (performance.now() > endMs || child.exitCode !== null) throw new Error('the sidecar did not come up');
    }
    await checkpointNow(socket);
    for (let turn = 0; turn < count; turn += 1) {
      await sleep(PAUSE_MS);
      settleDisk(place.state);
      const start = changeSmallState(place.state);
      await checkpointNow(socket);
      const wallMs = performance.now() - start;
      samples.push({ tool: 'diffkeeper', trial, version: 0, step: 'asked', wallMs, cpuMs: 0, rssBytes: 0 });
    }
  } finally {
    killGroup(child, 'SIGKILL');
    await closed;
  }
  return samples;
}
