import { existsSync, readdirSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { openCaptureSession, watch } from '../../src/capture/capture.js';
import type { StateWatcher, WatchState } from '../../src/capture/types.js';
import { describeTrouble } from '../../src/capture/watch-settings.js';
import { DiffKeeperError } from '../../src/core/core.js';
import type { Version } from '../../src/format/format.js';
import type { Store, Transaction } from '../../src/store/store.js';
import { engines, MIB, noise, SCHEMAS, StateFixture } from './state-fixture.js';

const ENGINE = engines()[0]?.[1] as never;
let fixture: StateFixture;
afterEach(async () => {
  await fixture?.close();
});

/** The object with some methods replaced; the others run on the object itself, whose fields are private. */
function withMethods<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(object, key) {
      if (key in replaced) return Reflect.get(replaced, key);
      const value: unknown = Reflect.get(object, key, object);
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}

/** A store whose disk is full while `full()` says so, at this step of a transaction. */
function fullStore(store: Store, step: 'storeBlobs' | 'commit', full: () => boolean): Store {
  const fail = (): void => {
    if (full()) throw new DiffKeeperError('DK_DISK_FULL', 'no space left on device');
  };
  return withMethods(store, {
    begin: () => {
      const tx = store.begin();
      return withMethods<Transaction>(tx, {
        [step]: async (argument: never) => {
          fail();
          return tx[step](argument);
        },
      });
    },
  });
}

async function becomes(watcher: StateWatcher, state: WatchState): Promise<void> {
  while (watcher.state !== state) await sleep(5);
}

const STEPS = SCHEMAS.flatMap((schema) => (['storeBlobs', 'commit'] as const).map((step) => ({ step, schema })));
describe.each(STEPS)('a disk that is full at $step, schema $schema', ({ step, schema }) => {
  it('fails the capture, which the next one makes good', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    let full = true;
    const session = await openCaptureSession(
      fullStore(fixture.store, step, () => full),
      fixture.state,
    );
    fixture.write('small', 'content');
    fixture.write('large', noise(MIB, 1));
    await expect(session.capture()).rejects.toMatchObject({ code: 'DK_DISK_FULL' });
    expect(fixture.store.newest).toBeNull();
    full = false;
    expect(await session.capture()).toMatchObject({ added: 2 });
    full = true;
    fixture.write('large', noise(MIB, 2));
    rmSync(fixture.path('small'));
    await expect(session.capture()).rejects.toMatchObject({ code: 'DK_DISK_FULL' });
    full = false;
    expect(await session.capture()).toMatchObject(fixture.counts({ added: 0, changed: 1, removed: 1 }, { changed: 1 }));
    await session.close();
    await fixture.expectKept();
  });

  it('makes a watcher degraded until there is room again', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    let full = false;
    const store = fullStore(fixture.store, step, () => full);
    const watcher = await watch(store, fixture.state, { rescanMs: 600_000, settleMs: 10 });
    const states: string[] = [];
    watcher.on('state', (state, reason) => states.push(`${state} ${reason}`.trim()));
    await becomes(watcher, 'watching');
    full = true;
    fixture.write('a', 'kept in the end');
    await becomes(watcher, 'degraded');
    full = false;
    await becomes(watcher, 'watching');
    expect(states).toEqual(['watching', 'degraded capture failed, trying again: no space left on device', 'watching']);
    await watcher.close({ finalCapture: false });
    await fixture.expectKept();
  });
});

describe.each(SCHEMAS)('capture under trouble, schema %s', (schema) => {
  it('works without a cache directory that can be written', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('large', noise(MIB, 1));
    await fixture.capture();
    rmSync(fixture.store.cachePath, { recursive: true });
    fixture.write('large', noise(MIB, 2));
    expect((await fixture.capture()).changed).toBe(1);
    await fixture.reopen();
    expect(await fixture.capture()).toMatchObject({ changed: 0, checkpoint: null });
    await fixture.expectKept();
  });

  it('starts over when somebody else wrote a checkpoint', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', '1');
    await fixture.capture();
    const tx = fixture.store.begin();
    tx.put({
      ...((await fixture.head('a')) as Version),
      size: 0,
      digest: digestOfNothing(),
      recipe: { kind: 'empty' },
    });
    await tx.commit();
    expect(await fixture.capture()).toMatchObject({ changed: 1 });
    await fixture.expectKept();
  });

  it('keeps no index that does not know everything', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', '1');
    await fixture.capture({ marks: ['a'] });
    await fixture.reopen();
    expect(readdirSync(fixture.store.cachePath)).toContain('stat.idx');
    const session = await openCaptureSession(fixture.store, fixture.state, { ignore: ['a'] });
    await expect(session.capture({ signal: AbortSignal.abort() })).rejects.toThrow();
    rmSync(`${fixture.store.cachePath}/stat.idx`);
    await session.close();
    expect(existsSync(`${fixture.store.cachePath}/stat.idx`)).toBe(false);
  });

  function digestOfNothing(): Buffer {
    return fixture.engine.digest(fixture.store.hashAlgo, Buffer.alloc(0));
  }
});

it('the setting that limits watches is named', () => {
  const error = Object.assign(new Error('System limit reached'), { code: 'ENOSPC' });
  expect(describeTrouble(error)).toContain('fs.inotify.max_user_watches');
  expect(describeTrouble(new Error('strange'))).toContain('strange');
});

describe.each(SCHEMAS)('metadata of schema %s that could not be opened again after a failed write', (schema) => {
  it('are opened by the next capture', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('a', 'first');
    let broken = true;
    let refusals = 1;
    const store = new Proxy(fixture.store, {
      get(target, key) {
        if (key === 'needsReopen') return broken;
        const value: unknown = Reflect.get(target, key, target);
        if (key === 'begin' && broken) throw new DiffKeeperError('DK_IO', 'the last metadata write failed');
        if (key !== 'reopen') return typeof value === 'function' ? value.bind(target) : value;
        return async () => {
          refusals -= 1;
          if (refusals >= 0) throw new DiffKeeperError('DK_DISK_FULL', 'no space left on device');
          await target.reopen();
          broken = false;
        };
      },
    });
    const session = await openCaptureSession(store, fixture.state);
    await expect(session.capture()).rejects.toMatchObject({ code: 'DK_DISK_FULL' });
    expect((await session.capture()).added).toBe(1);
    await session.close();
    await fixture.expectKept();
  });
});
