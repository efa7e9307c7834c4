/** Stores through shared mappings: to a page that is dirty already they move no time and raise no event. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { watch } from '../../src/capture/capture.js';
import type { FreezePoint, StateWatcher, WatchOptions } from '../../src/capture/types.js';
import type { Engine } from '../../src/engine/engine.js';
import { Mapper } from './mapper.js';
import { engines, letTheClockTick, MIB, noise, SCHEMAS, StateFixture } from './state-fixture.js';

const REAL = engines()[0]?.[1] as Engine;
let fixture: StateFixture;
let mapper: Mapper;
let watcher: StateWatcher | undefined;

afterEach(async () => {
  await mapper.end();
  await watcher?.close({ finalCapture: false });
  watcher = undefined;
  await fixture.close();
});

/** A freeze point that finds these files mapped. */
function freezePoint(...rescan: string[]): FreezePoint {
  return { rescan, thaw: async () => 1 };
}

/** `db` of so many bytes, with one dirty page that is old enough for its time to be believed. */
async function mapped(bytes: number): Promise<void> {
  fixture.write('db', noise(bytes, 1));
  await mapper.order('map db');
  await mapper.order('store db 0 first');
  await letTheClockTick();
}

async function contentOf(name: string): Promise<string> {
  const head = await fixture.head(name);
  return head === undefined ? '' : (await fixture.store.reader(head).read(0, 16)).toString('latin1');
}

describe.each(SCHEMAS)('stores through a mapping, schema %s', (schema) => {
  beforeEach(async () => {
    fixture = await StateFixture.create(REAL, { schema });
    mapper = new Mapper(fixture.state);
  });

  it.each([65_536, 3 * MIB])(
    'are taken after the last capture that knew of it, when it is gone: %i bytes',
    async (size) => {
      await mapped(size);
      await fixture.capture({ freeze: async () => freezePoint('db') });
      await mapper.order('store db 7 second');
      await mapper.order('unmap db');
      await fixture.capture({ freeze: async () => freezePoint() });
      await fixture.expectKept();
      await mapper.order('map db');
      await mapper.order('store db 0 third');
      await letTheClockTick();
      await fixture.capture({ freeze: async () => freezePoint('db') });
      await mapper.order('store db 7 fourth');
      // The last capture, when nobody is left who could be stopped.
      await fixture.capture({ rescan: [] });
      await fixture.expectKept();
      expect((await fixture.capture({ rescan: [] })).readBytes).toBe(0);
    },
  );

  it('are taken by the capture after one that failed', async () => {
    await mapped(65_536);
    await fixture.capture();
    await mapper.order('store db 7 second');
    const fails = async () => ({ rescan: ['db'], thaw: () => Promise.reject(new Error('somebody let it go on')) });
    await expect(fixture.capture({ freeze: fails })).rejects.toThrow('go on');
    await fixture.capture({ marks: [], freeze: async () => freezePoint() });
    await fixture.expectKept();
  });

  it('are taken at the standstill, not before it', async () => {
    await mapped(8 * MIB);
    // Still for long enough to be read before the freeze point.
    await sleep(1300);
    const freeze = async () => {
      await mapper.order('store db 7 second');
      return freezePoint('db');
    };
    await fixture.capture({ freeze });
    await fixture.expectKept();
  });
});

describe('a watcher', () => {
  beforeEach(async () => {
    fixture = await StateFixture.create(REAL);
    mapper = new Mapper(fixture.state);
  });

  async function startWatch(options: WatchOptions): Promise<void> {
    watcher = await watch(fixture.store, fixture.state, options);
    while (watcher.state !== 'watching') await sleep(5);
  }

  it('comes back to mapped files although nothing is heard of them', async () => {
    await mapped(65_536);
    await startWatch({
      freeze: async () => freezePoint('db'),
      settleMs: 50,
      maxLagMs: 100,
      rescanMs: 600_000,
    });
    for (const text of ['second', 'third', 'fourth']) {
      await mapper.order(`store db 0 ${text}`);
      while (!(await contentOf('db')).startsWith(text)) await sleep(10);
    }
  }, 30_000);

  it('reads mapped files at full scans, and at the last capture those of the scan before', async () => {
    await mapped(65_536);
    let ended = false;
    await startWatch({ mapped: () => (ended ? [] : ['db']), rescanMs: 600_000 });
    await mapper.order('store db 0 second');
    await watcher?.flush();
    expect(await contentOf('db')).toMatch(/^second/);
    await mapper.order('store db 0 third');
    ended = true;
    await watcher?.close();
    expect(await contentOf('db')).toMatch(/^third/);
    expect(watcher?.missedChanges).toBe(0);
  }, 30_000);
});
