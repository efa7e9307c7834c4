/**
 * Somebody else in a target: swaps directories and a link to another place, as fast as a process can, until its stdin
 * ends; then says how often. Arguments: where the link leads, a directory for what was put aside, the directories.
 */
import { renameSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

const [outside, asideRoot, ...directories] = process.argv.slice(2);
let swaps = 0;
let steps = 0;
let stopped = false;

/** Whoever writes there meanwhile may be faster: then this step is left out. */
function tried(step) {
  try {
    step();
    return true;
  } catch {
    return false;
  }
}

function swap(directory) {
  // A name of its own each time: what could not be put back stays there, and would be in the way of all that follow.
  steps += 1;
  const aside = join(asideRoot, String(steps));
  tried(() => renameSync(directory, aside));
  if (tried(() => symlinkSync(outside, directory))) swaps += 1;
  tried(() => unlinkSync(directory));
  tried(() => renameSync(aside, directory));
}

function turn() {
  for (let count = 0; count < 20; count += 1) for (const directory of directories) swap(directory);
  if (stopped) process.stdout.write(String(swaps));
  else setImmediate(turn);
}

process.stdin.on('end', () => {
  stopped = true;
});
process.stdin.resume();
process.stdout.write('ready\n');
turn();
