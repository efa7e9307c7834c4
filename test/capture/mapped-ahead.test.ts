/** Which large files are mapped before a freeze point. */
import { readdirSync, readlinkSync, rmSync, truncateSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { openCaptureSession } from '../../src/capture/capture.js';
import { MAPPED_BYTES } from '../../src/capture/mapped-ahead.js';
import { type Engine, STAT } from '../../src/engine/engine.js';
import { files } from '../native/tree-door.js';
import { engines, MIB, noise, StateFixture } from './state-fixture.js';

/** Files below the state directory that this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(`${fixture.state}/`) ? [path] : [];
    } catch {
      return [];
    }
  });
}

let fixture: StateFixture;
afterEach(() => {
  files.mapAnywhere(false);
  return fixture.close();
});

it.each(engines())(
  '%s: a file that has outgrown what is mapped at most is not mapped: all of it would be read',
  async (_, real) => {
    const mapped: number[] = [];
    const engine: Engine = {
      ...real,
      openFileScan: async (options) => {
        const scan = await real.openFileScan(options);
        const map = (): Promise<boolean> => {
          mapped.push(Number(scan.row[STAT.size]));
          return scan.map();
        };
        return { ...scan, map };
      },
    };
    fixture = await StateFixture.create(engine);
    fixture.write('f', noise(MIB, 1));
    const session = await openCaptureSession(fixture.store, fixture.state);
    const freeze = async () => ({ rescan: [], thaw: async () => 1 });
    await session.capture({ freeze });
    fixture.write('f', noise(MIB, 2));
    await session.capture({ freeze });
    expect(mapped.length).toBe(1);
    truncateSync(fixture.path('f'), MAPPED_BYTES + MIB);
    await session.capture({ freeze });
    expect(mapped.length).toBe(1);
    await session.close();
    await fixture.expectKept();
  },
);

it('a file that is taken again and again stays open, until it is gone, and no longer than the session', async () => {
  const native = engines().find(([kind]) => kind === 'native')?.[1];
  if (!native) return;
  files.mapAnywhere(true);
  let opened = 0;
  const engine: Engine = {
    ...native,
    openFileScan: (options) => {
      opened += 1;
      return native.openFileScan(options);
    },
  };
  fixture = await StateFixture.create(engine);
  const session = await openCaptureSession(fixture.store, fixture.state);
  const freeze = async () => ({ rescan: [], thaw: async () => 1 });
  for (let round = 1; round <= 6; round += 1) {
    for (const name of ['f', 'g']) fixture.write(name, noise(MIB + round * 70_000, round));
    await session.capture({ freeze });
    await fixture.expectKept();
  }
  // When they were new, and when they were mapped for the first time.
  expect(opened).toBe(4);
  expect(openFiles().length).toBe(2);
  rmSync(fixture.path('g'));
  await session.capture({ freeze });
  expect(openFiles().filter((path) => path !== fixture.path('f'))).toEqual([]);
  for (const round of [7, 8]) {
    fixture.write('f', noise(MIB, round));
    await session.capture({ freeze });
  }
  expect(openFiles()).toEqual([fixture.path('f')]);
  await session.close();
  expect(openFiles()).toEqual([]);
});
