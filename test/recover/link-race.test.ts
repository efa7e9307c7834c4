/** Links that are planted and taken away again while a recover runs: nothing is written, changed or removed behind them. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { isDiffKeeperError } from '../../src/core/core.js';
import { loadNative } from '../../src/engine/load.js';
import { recover } from '../../src/recover/recover.js';
import { files } from '../native/tree-door.js';
import { Fixture, listTree, noise, type Tree } from './tree-fixture.js';

/** Longer on a machine that has other things to do: so many recovers and swaps belong to a race. */
const RACE_MS = 800;
const RECOVERS_MIN = 4;
const SMALL_FILES = 60;

let fixture: Fixture;
let outside = '';
beforeEach(async () => {
  fixture = await Fixture.create(loadNative());
  outside = join(fixture.directory, 'outside');
});
afterEach(async () => {
  files.useComponentWalk(false);
  await fixture.remove();
});

/** Two states in which every file differs, so that each recover of the other one writes and removes in each directory. */
function tree(round: number): Tree {
  const entries: Record<string, Tree[string]> = {
    'd/deep': { type: 'directory', mode: 0o750 + round },
    'd/large': { content: noise((1 << 20) + 1 + round, `large ${round}`) },
    'd/link': { type: 'symlink', content: `to ${round}` },
    [`d/linked-${round}`]: { content: `linked ${round}`, linkId: 5n },
    'd/deep/linked': { content: `linked ${round}`, linkId: 5n },
    [`d/linked-${1 - round}`]: null,
  };
  for (let file = 0; file < SMALL_FILES; file += 1) {
    const directory = file % 2 === 0 ? 'd' : 'd/deep';
    entries[`${directory}/f${file}`] = { content: `content ${file} of ${round}`, mode: 0o640 + round };
    entries[`${directory}/only-${round}-${file}`] = { content: `in ${round} alone` };
    entries[`${directory}/only-${1 - round}-${file}`] = null;
  }
  return { ...entries, d: { type: 'directory' } };
}

/** Everything that a recover could have changed out there: what lies where its own files lie, to be replaced or removed. */
function fillOutside(): void {
  mkdirSync(join(outside, 'deep'), { recursive: true });
  for (const state of [tree(0), tree(1)]) {
    for (const path of Object.keys(state)) {
      if (path !== 'd' && path !== 'd/deep') writeFileSync(join(outside, path.slice(2)), `theirs: ${path}`);
    }
  }
}

function seenOutside(): string[] {
  return ['', ...listTree(outside)].map((name) => {
    const stat = lstatSync(join(outside, name), { bigint: true });
    const content = stat.isFile() ? readFileSync(join(outside, name), 'utf8') : '';
    return `${name} ${stat.mode} ${stat.nlink} ${stat.ino} ${stat.mtimeNs} ${stat.ctimeNs} ${content}`;
  });
}

async function startSwapper(directories: readonly string[]): Promise<ChildProcessWithoutNullStreams> {
  const aside = join(fixture.directory, 'aside');
  mkdirSync(aside);
  const script = fileURLToPath(new URL('link-swapper.mjs', import.meta.url));
  const swapper = spawn(process.execPath, [script, outside, aside, ...directories]);
  await once(swapper.stdout, 'data');
  return swapper;
}

/** How often the link was there. */
async function stopSwapper(swapper: ChildProcessWithoutNullStreams): Promise<number> {
  swapper.stdin.end();
  const [text] = await once(swapper.stdout, 'data');
  await once(swapper, 'close');
  return Number(text);
}

it.each([
  ['the kernel', false],
  ['its parents, one by one', true],
])(
  'directories that somebody swaps for links: each place is found by %s',
  async (_title, walk) => {
    for (const round of [0, 1]) await fixture.commit(tree(round));
    await recover(fixture.store, fixture.target, { at: 1 });
    fillOutside();
    const before = seenOutside();
    files.useComponentWalk(walk);
    const swapper = await startSwapper(['d', 'd/deep'].map((name) => join(fixture.target, name)));
    const startMs = performance.now();
    const strange: unknown[] = [];
    let refused = 0;
    let recovers = 0;
    const isShort = (): boolean => performance.now() - startMs < RACE_MS || recovers < RECOVERS_MIN || refused === 0;
    for (; isShort(); recovers += 1) {
      try {
        const { damaged } = await recover(fixture.store, fixture.target, { at: (recovers % 2) + 1 });
        refused += damaged.length;
      } catch (error) {
        // It gave up as a whole, and says so.
        if (!isDiffKeeperError(error)) strange.push(error);
        refused += 1;
      }
    }
    const swaps = await stopSwapper(swapper);
    expect(seenOutside()).toEqual(before);
    expect(strange).toEqual([]);
    // They did meet.
    expect(swaps).toBeGreaterThan(100);
    expect(refused).toBeGreaterThan(0);
    const last = await recover(fixture.store, fixture.target, { at: 2 });
    expect(last.damaged).toEqual([]);
    fixture.expectTree(tree(1));
  },
  30_000,
);
