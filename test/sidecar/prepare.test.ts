/** Before the application starts: what must be true when the marker of a recover goes. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { capture, LeftOutWarnings } from '../../src/capture/capture.js';
import { silentLogger } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine } from '../../src/engine/load.js';
import { prepareState } from '../../src/sidecar/prepare.js';
import { openStore, type Store } from '../../src/store/store.js';

let directory = '';
let store: Store;
let synced: { readonly directory: string; readonly marker: boolean; readonly files: string[] }[] = [];
let failure: Error | undefined;
const state = (): string => join(directory, 'state');
const marker = (): string | undefined => readdirSync(store.path).find((name) => name.startsWith('recovering-'));

/** The engine, with a look at the state when the file system is synced. */
function watchedEngine(): Engine {
  const engine = loadEngine();
  return {
    ...engine,
    syncFileSystem: async (place) => {
      synced.push({ directory: place, marker: marker() !== undefined, files: readdirSync(state()).sort() });
      if (failure) throw failure;
      return engine.syncFileSystem(place);
    },
  };
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dk-prepare-'));
  synced = [];
  failure = undefined;
  store = await openStore(join(directory, 'keep'), { create: true, engine: watchedEngine() });
  mkdirSync(state());
  for (const name of ['a', 'b']) writeFileSync(join(state(), name), name);
  await capture(store, state());
  rmSync(state(), { recursive: true });
});
afterEach(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const prepare = async (): Promise<void> => {
  await prepareState({
    store,
    stateDir: state(),
    mode: 'auto',
    allowDamaged: false,
    setuid: false,
    warm: false,
    capture: { ignore: [] },
    logger: silentLogger,
    warnings: new LeftOutWarnings(silentLogger),
    signal: new AbortController().signal,
    lock: async () => ({ release: () => {} }),
    onRecovered: () => {},
  });
};

describe('a recover before the start', () => {
  it('is durable before its marker goes', async () => {
    await prepare();
    expect(synced).toEqual([{ directory: state(), marker: true, files: ['a', 'b'] }]);
    expect(marker()).toBeUndefined();
  });

  it('keeps its marker when it could not be made durable, and is done again', async () => {
    failure = Object.assign(new Error('no room after all'), { code: 'ENOSPC' });
    await expect(prepare()).rejects.toMatchObject({ code: 'DK_DISK_FULL' });
    expect(marker()).toBeDefined();
    rmSync(join(state(), 'b'));
    failure = undefined;
    await prepare();
    expect(existsSync(join(state(), 'b'))).toBe(true);
    expect(marker()).toBeUndefined();
  });

  it('is made durable file by file where the system has no call for all', async () => {
    const engine = store.engine as { syncFileSystem: Engine['syncFileSystem'] };
    engine.syncFileSystem = async () => false;
    mkdirSync(state());
    await prepare();
    expect(readdirSync(state()).sort()).toEqual(['a', 'b']);
    expect(marker()).toBeUndefined();
  });
});
