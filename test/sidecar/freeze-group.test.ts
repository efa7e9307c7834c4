/** Control groups of other sidecars: those that were killed leave theirs behind, those that live keep theirs. */
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { FreezeGroup } from '../../src/sidecar/cgroup.js';

it('making a group removes those of the dead alone, also when one of the living is still empty', () => {
  const first = FreezeGroup.make();
  // Where no group may be made, signals stop the application: there is nothing to leave behind.
  if (first === undefined) return;
  const above = dirname(dirname(first.freezeFile));
  const living = join(above, `diffkeeper-${process.ppid}`);
  const dead = join(above, 'diffkeeper-4194305');
  try {
    mkdirSync(living);
    mkdirSync(dead);
    first.remove();
    const second = FreezeGroup.make();
    expect(second).toBeDefined();
    expect([existsSync(living), existsSync(dead)]).toEqual([true, false]);
    second?.remove();
  } finally {
    for (const directory of [living, dead]) if (existsSync(directory)) rmdirSync(directory);
  }
});
