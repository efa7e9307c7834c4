/** Sockets in the store, which open after the application's start, or by themselves when that takes long. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/core/core.js';
import { ControlPanel } from '../../src/sidecar/control-panel.js';
import { Doors } from '../../src/sidecar/doors.js';
import { Figures } from '../../src/sidecar/figures.js';
import { openStore, type Store } from '../../src/store/store.js';

let place = '';
let store: Store;
let panel: ControlPanel;
let doors: Doors | undefined;

const isOpen = (): boolean => existsSync(join(place, 'control.sock')) && existsSync(join(place, 'read.sock'));
const isShut = (): boolean => !existsSync(join(place, 'control.sock')) && !existsSync(join(place, 'read.sock'));

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'dk-doors-'));
  store = await openStore(place, { create: true });
  const options = { stateDir: join(place, 'data'), store, exec: false } as const;
  panel = new ControlPanel({ options, store, figures: new Figures(), logger: silentLogger });
});
afterEach(async () => {
  await doors?.close();
  await panel.close();
  await store.close();
  await rm(place, { recursive: true, force: true });
});

describe('doors', () => {
  it('open when they are told to, once', async () => {
    doors = new Doors(store, panel, silentLogger);
    // In the same turn: on a busy machine a later look could find them open by themselves.
    expect(isShut()).toBe(true);
    await Promise.all([doors.open(), doors.open()]);
    expect(isOpen()).toBe(true);
    expect(() => panel.status()).not.toThrow();
  });

  it('open by themselves while the application is not started yet', async () => {
    doors = new Doors(store, panel, silentLogger);
    for (let turn = 0; turn < 500 && !isOpen(); turn += 1) await sleep(20);
    expect(isOpen()).toBe(true);
  }, 20_000);

  it('stay shut once closed', async () => {
    doors = new Doors(store, panel, silentLogger);
    await doors.close();
    await doors.open();
    expect(isShut()).toBe(true);
  });
});
