/** One trial of one workload: ours and the older path by turns, and what others make of the same states. */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../lib/tools.mjs';
import { openFirst, openPair } from './coded-states.mjs';
import { OlderProcess } from './older-system.mjs';
import { olderDelta, xbzrleBytes, zstdAlone, zstdPatch } from './peers.mjs';
import { takeTurns, turn } from './taken-turns.mjs';
import { BLOCK, timedBlock } from './timed-calls.mjs';
import { WORKLOADS } from './workloads.mjs';

const { loadEngine } = await import(pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href);

/**
 * The older path written again with C zstd, and blocks of ours beside it.
 * @param {import('./coded-states.mjs').CodedState} own
 * @param {() => Promise<Buffer>} call
 */
async function rewrittenTurns(own, call) {
  let bytes = 0;
  const older = async () => {
    bytes = (await call()).length;
  };
  await older();
  const turns = [];
  for (const olderFirst of [false, true]) {
    turns.push(
      await turn(
        { own: () => timedBlock(() => own.encode(), BLOCK), older: () => timedBlock(older, BLOCK) },
        olderFirst,
      ),
    );
  }
  return { bytes, turns };
}

/**
 * @param {{ name: string, rounds: number, ms: number, peers: boolean, directory: string, older: import('./older-system.mjs').OlderBuild }} job
 *   `peers`: whether the sizes of others are wanted, which are the same in each trial
 */
export async function workload({ name, rounds, ms, peers, directory, older: build }) {
  const { make, full = false, level = 3 } = /** @type {typeof WORKLOADS[string]} */ (WORKLOADS[name]);
  const { source, target, bound } = make();
  const engine = loadEngine();
  const own = full ? await openFirst(target, level) : await openPair(source, target);
  const states = full ? { target } : { source, target };
  const older = 'program' in build ? new OlderProcess(build.program, { directory, ...states, level }) : undefined;
  try {
    const { turns, olderFacts } = await takeTurns(own, older, { rounds, ms });
    const rewritten = await rewrittenTurns(own, () =>
      full ? engine.compress(target, { level }) : olderDelta(engine, source, target),
    );
    return {
      own: own.facts(),
      bound,
      turns,
      rewritten,
      olderOwn: olderFacts ?? build,
      ...(peers && {
        xbzrle: full ? undefined : xbzrleBytes(source, target),
        zstd: full ? zstdAlone(directory, target, level) : zstdPatch(directory, source, target),
      }),
    };
  } finally {
    await older?.close();
    await own.close();
  }
}
