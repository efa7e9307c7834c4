/** Paths that no store holds: left out and told, and in nobody's way. */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { watch } from '../../src/capture/capture.js';
import type { CaptureSkip, StateWatcher } from '../../src/capture/types.js';
import { type BytePath, LIMITS } from '../../src/core/core.js';
import { recover } from '../../src/recover/recover.js';
import { deepPath, readDeep, removeDeep, removeTree, writeDeep } from './deep-tree.js';
import { engines, StateFixture } from './state-fixture.js';

const NATIVE = engines()[0]?.[1] as never;
/** 4,019 bytes: what is in it may be too long or not. */
const LAST = deepPath(20);
const LONG_NAME = `long-${'y'.repeat(150)}`;
let fixture: StateFixture;
let watcher: StateWatcher | undefined;

afterEach(async () => {
  await watcher?.close();
  watcher = undefined;
  removeTree(fixture.state);
  removeTree(`${fixture.directory}/back`);
  await fixture.close();
});

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; !(await condition()); tries += 1) {
    if (tries > 1500) throw new Error(`waited in vain until ${what}`);
    await sleep(10);
  }
}

async function keptPaths(): Promise<BytePath[]> {
  const paths: BytePath[] = [];
  for await (const batch of fixture.store.entries()) for (const { path } of batch) if (path !== '') paths.push(path);
  return paths.sort();
}

const aboveAnd = (...more: string[]): string[] =>
  [...Array.from({ length: 20 }, (_, i) => deepPath(i + 1)), ...more].sort();
const tooLong = (path: string): CaptureSkip => ({
  path,
  kind: 'too-long',
  reason: 'its path is longer than 4,095 bytes, or a name in it than 255',
});

describe.each(engines())('a path that is too long, %s engine', (_, engine) => {
  /** A plain file, one at the end of what can be kept, and above it a file and a tree that cannot. */
  async function create(): Promise<void> {
    fixture = await StateFixture.create(engine);
    fixture.write('plain', 'plain');
    writeDeep(fixture.state, LAST, 'kept', 'kept');
    writeDeep(fixture.state, LAST, LONG_NAME, 'too long');
    writeDeep(fixture.state, deepPath(24), 'below', 'further down');
  }
  const longFile = `${LAST}/${LONG_NAME}`;
  const longTree = deepPath(21);

  it('is left out and told at each capture; everything else is kept and recovered', async () => {
    await create();
    const report = await fixture.capture();
    expect(report).toMatchObject({ added: 22 });
    const told = [tooLong(longTree), tooLong(longFile)];
    const sorted = (skipped: readonly CaptureSkip[]) => [...skipped].sort((a, b) => (a.path < b.path ? -1 : 1));
    expect(sorted(report.skipped)).toEqual(told);
    expect(await keptPaths()).toEqual(aboveAnd('plain', `${LAST}/kept`));
    const again = await fixture.capture();
    expect(again).toMatchObject({ checkpoint: null, removed: 0 });
    expect(sorted(again.skipped)).toEqual(told);
    await fixture.reopen();
    expect(sorted((await fixture.capture()).skipped)).toEqual(told);
    expect(fixture.session.leftOut).toMatchObject({ 'too-long': 2, unreadable: 0 });
    const target = `${fixture.directory}/back`;
    const back = await recover(fixture.store, target);
    expect(back).toMatchObject({ damaged: [], rootVerified: true });
    expect(readDeep(target, LAST, 'kept')).toBe('kept');
  });

  it('is left out of captures of what is marked and of freeze points, and is in the count until it is gone', async () => {
    await create();
    await fixture.capture();
    fixture.write('plain', 'anew');
    const marked = await fixture.capture({ marks: ['plain', longFile, `${longTree}/x`] });
    expect(marked).toMatchObject({ changed: 1, removed: 0 });
    expect(marked.skipped).toHaveLength(2);
    fixture.write('plain', 'once more');
    const freeze = async () => ({ rescan: [longFile], thaw: async () => 1 });
    const frozen = await fixture.capture({ freeze, rescan: [`${longTree}/x`] });
    expect(frozen).toMatchObject({ changed: 1, removed: 0 });
    expect(fixture.session.leftOut).toMatchObject({ 'too-long': 2 });
    removeDeep(fixture.state, LAST, LONG_NAME);
    expect(await fixture.capture({ marks: [longFile] })).toMatchObject({ removed: 0 });
    expect(fixture.session.leftOut).toMatchObject({ 'too-long': 1 });
    removeDeep(fixture.state, LAST, longTree.slice(LAST.length + 1));
    await fixture.capture();
    expect(fixture.session.leftOut).toMatchObject({ 'too-long': 0 });
    expect(await keptPaths()).toEqual(aboveAnd('plain', `${LAST}/kept`));
  });

  it('takes what was kept along when it comes about by a rename, and gives it back', async () => {
    fixture = await StateFixture.create(engine);
    writeDeep(fixture.state, LAST, 'kept', 'kept');
    fixture.write('moves/a/b', 'content');
    fixture.write('stays', 'content');
    await fixture.capture();
    const name = 'z'.repeat(76);
    mkdirSync(fixture.path('near'));
    const { length } = `${LAST}/${name}`;
    expect(length).toBeGreaterThan(LIMITS.pathBytes);
    writeDeep(fixture.state, LAST, 'other', 'other');
    renameSync(fixture.path('moves'), fixture.path('near/moves'));
    const moved = await fixture.capture();
    expect(moved).toMatchObject({ removed: 3, skipped: [] });
    writeDeep(fixture.state, `${LAST}/${name}`, 'b', 'content');
    rmSync(fixture.path('near'), { recursive: true });
    expect(await fixture.capture()).toMatchObject({ removed: 4, skipped: [tooLong(`${LAST}/${name}`)] });
    expect(await keptPaths()).toEqual(aboveAnd('stays', `${LAST}/kept`, `${LAST}/other`));
  });
});

describe('watching beside a path that is too long', () => {
  it('goes on, hears of what is near it, and counts it', async () => {
    fixture = await StateFixture.create(NATIVE);
    writeDeep(fixture.state, LAST, 'kept', 'kept');
    const states: string[] = [];
    const warned: object[] = [];
    const logger = {
      debug: () => {},
      info: () => {},
      warn: (facts: object) => void warned.push(facts),
      error: () => {},
    };
    watcher = await watch(fixture.store, fixture.state, { rescanMs: 600_000, settleMs: 20, logger });
    watcher.on('state', (state, reason) => states.push(`${state} ${reason}`));
    await until(() => watcher?.state === 'watching', 'it watches');
    writeDeep(fixture.state, LAST, LONG_NAME, 'too long');
    await until(() => watcher?.leftOut['too-long'] === 1, 'the file is left out');
    writeDeep(fixture.state, deepPath(24), 'below', 'further down');
    await until(() => watcher?.leftOut['too-long'] === 2, 'the tree is left out');
    writeDeep(fixture.state, LAST, 'after', 'after');
    await until(async () => (await fixture.head(`${LAST}/after`)) !== undefined, 'what is beside it is kept');
    removeDeep(fixture.state, LAST, LONG_NAME);
    await until(() => watcher?.leftOut['too-long'] === 1, 'the file is gone');
    await watcher.flush();
    expect(warned).toEqual(
      [tooLong(`${LAST}/${LONG_NAME}`), tooLong(deepPath(21))].map(({ path, reason }) => ({ path, reason })),
    );
    expect(states).toEqual(['watching ']);
    expect(watcher.missedChanges).toBe(0);
  });

  it('keeps what is in directories that the kernel cannot be asked for from the root of the file system', async () => {
    fixture = await StateFixture.create(NATIVE);
    // Short enough for the store; with the path of the state directory before it, too long for the kernel.
    const beyond = `${LAST}/${'d'.repeat(4085 - LAST.length)}`;
    expect(`${fixture.state}/${beyond}`.length).toBeGreaterThan(4095);
    writeDeep(fixture.state, `${beyond}/e`, 'f', 'first');
    await fixture.capture();
    expect(await fixture.head(`${beyond}/e/f`)).toMatchObject({ size: 5 });
    // The index knows it all: nothing is found that could be watched.
    await fixture.reopen();
    const states: string[] = [];
    watcher = await watch(fixture.store, fixture.state, { rescanMs: 600_000, settleMs: 20 });
    watcher.on('state', (state, reason) => states.push(`${state} ${reason}`));
    await until(() => watcher?.state === 'watching', 'it watches');
    writeDeep(fixture.state, `${beyond}/e`, 'f', 'second one');
    await until(async () => (await fixture.head(`${beyond}/e/f`))?.size === 10, 'the change is kept');
    expect(states).toEqual(['watching ']);
    expect(watcher.leftOut).toMatchObject({ 'too-long': 0, unreadable: 0 });
  });

  it('the other engine leaves these out, and loses nothing that is kept of them', async () => {
    fixture = await StateFixture.create(engines().at(-1)?.[1] as never);
    const beyond = `${LAST}/${'d'.repeat(4085 - LAST.length)}`;
    writeDeep(fixture.state, beyond, 'f', 'first');
    fixture.write('plain', 'plain');
    const report = await fixture.capture();
    expect(report.skipped).toEqual([
      { path: beyond, kind: 'too-long', reason: 'its path is too long for the system (ENAMETOOLONG)' },
    ]);
    expect(await keptPaths()).toEqual(aboveAnd('plain'));
    expect(await fixture.capture()).toMatchObject({ checkpoint: null, removed: 0 });
  });
});
