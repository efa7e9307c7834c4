/** Which large files are mapped before a freeze point. */
import { truncateSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { openCaptureSession } from '../../src/capture/capture.js';
import { HOLD_BYTES } from '../../src/capture/hold-memory.js';
import { type Engine, STAT } from '../../src/engine/engine.js';
import { engines, MIB, noise, StateFixture } from './state-fixture.js';

let fixture: StateFixture;
afterEach(() => fixture.close());

it.each(engines())(
  '%s: a file that has outgrown the memory for it is not mapped: all of it would be read',
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
    truncateSync(fixture.path('f'), HOLD_BYTES + MIB);
    await session.capture({ freeze });
    expect(mapped.length).toBe(1);
    await session.close();
    await fixture.expectKept();
  },
);
