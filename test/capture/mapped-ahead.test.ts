/** Which large files are mapped before a freeze point. */
import { readdirSync, readlinkSync, rmSync, truncateSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { openCaptureSession } from '../../src/capture/capture.js';
import { MappedAhead, mappedBytesMax } from '../../src/capture/mapped-ahead.js';
import { PageTables } from '../../src/capture/page-tables.js';
import { type BytePath, pathFromText } from '../../src/core/core.js';
import { type Engine, STAT } from '../../src/engine/engine.js';
import { files } from '../native/tree-door.js';
import { engines, MIB, noise, StateFixture } from './state-fixture.js';

const NO_TABLES = { pages: Buffer.alloc(0), groups: Buffer.alloc(0), sourceBytes: 0 };

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

it.each(engines())('%s: no more is mapped than was said, also of a file that has grown meanwhile', async (_, real) => {
  const mapped: number[] = [];
  const engine: Engine = {
    ...real,
    openFileScan: async (options) => {
      const scan = await real.openFileScan(options);
      const map = async (): Promise<boolean> => {
        mapped.push(Number(scan.row[STAT.size]));
        return true;
      };
      return { ...scan, map };
    },
  };
  fixture = await StateFixture.create(engine);
  const { store, state: root } = fixture;
  const place = { store, root, engine, tables: new PageTables(store, () => 0) };
  const ahead = new MappedAhead(3 * MIB);
  const rows = new Map<BytePath, BigInt64Array>();
  const look = async (name: string): Promise<BytePath> => {
    const path = pathFromText(name);
    const scan = await real.openFileScan({ ...NO_TABLES, root, path, algo: store.hashAlgo, seed: store.seed });
    rows.set(path, scan.row);
    await scan.close();
    return path;
  };
  const open = async (...paths: BytePath[]): Promise<number[]> => {
    mapped.length = 0;
    await ahead.open(place, paths, (path) => rows.get(path));
    await ahead.end([]);
    return [...mapped];
  };
  fixture.write('f', noise(MIB, 1));
  fixture.write('g', noise(2 * MIB, 2));
  fixture.write('h', noise(MIB, 3));
  const [f, g, h] = [await look('f'), await look('g'), await look('h')];
  expect(await open(f, g, h)).toEqual([MIB, 2 * MIB]);
  truncateSync(fixture.path('f'), 4 * MIB);
  expect(await open(f, g, h)).toEqual([2 * MIB, MIB]);
  await ahead.close();
});

it('what may be mapped is a share of the memory, of the control group where that has less', () => {
  const GIB = 1 << 30;
  expect(mappedBytesMax(4 * GIB, 0)).toBe(GIB / 2);
  expect(mappedBytesMax(64 * GIB, 4 * GIB)).toBe(GIB / 2);
  // No limit is told as one that nothing has.
  expect(mappedBytesMax(4 * GIB, 2 ** 63)).toBe(GIB / 2);
  expect([mappedBytesMax(64 * GIB, 0), mappedBytesMax(GIB, GIB)]).toEqual([GIB, 256 * MIB]);
  expect(mappedBytesMax()).toBeGreaterThanOrEqual(256 * MIB);
});

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

it.each(engines())('%s: what takes long to be worked up does not stay open either', async (_, real) => {
  let open = 0;
  const engine: Engine = {
    ...real,
    openFileScan: async (options) => {
      const scan = await real.openFileScan(options);
      open += 1;
      const close = async (): Promise<void> => {
        open -= 1;
        await scan.close();
      };
      return { ...scan, map: async () => true, close };
    },
  };
  fixture = await StateFixture.create(engine);
  const { store, state: root } = fixture;
  fixture.write('f', noise(MIB, 1));
  const path = pathFromText('f');
  const scan = await real.openFileScan({ ...NO_TABLES, root, path, algo: store.hashAlgo, seed: store.seed });
  await scan.close();
  const { row } = scan;
  const ahead = new MappedAhead();
  await ahead.open({ store, root, engine, tables: new PageTables(store, () => 0) }, [path], () => row);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const taken = ahead.take({ path, row });
    await ahead.end([path]);
    await vi.advanceTimersByTimeAsync(60_000);
    await taken?.scan.close();
    expect(open).toBe(1);
    await vi.advanceTimersByTimeAsync(60_000);
  } finally {
    vi.useRealTimers();
  }
  await vi.waitFor(() => expect(open).toBe(0));
  await ahead.close();
});
