import { closeSync, openSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { UnlikeFiles } from '../../src/capture/context-worth.js';
import { pathFromText } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { digits, engines, letTheClockTick, MIB, StateFixture } from './state-fixture.js';

/** Level at which a sample is coded to see whether older bytes help; everything that is stored takes a higher one. */
const PROBE_LEVEL = 1;

let fixture: StateFixture | undefined;
afterEach(async () => {
  await fixture?.close();
  fixture = undefined;
});

async function overwrite(name: string, offset: number, bytes: Uint8Array): Promise<void> {
  await letTheClockTick();
  const fd = openSync(fixture?.path(name) ?? '', 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

describe.each(engines())('worth of older bytes (%s)', (_name, engine) => {
  let probes = 0;
  const counting: Engine = {
    ...engine,
    encodeBlobs: (batch) => {
      if (batch.level === PROBE_LEVEL) probes += 1;
      return engine.encodeBlobs(batch);
    },
  };

  async function captured(): Promise<{ readonly probes: number; readonly storedBytes: number }> {
    probes = 0;
    const report = await fixture?.capture();
    await fixture?.expectKept();
    return { probes, storedBytes: report?.storedBytes ?? 0 };
  }

  it('is not found out anew while a file is written once more, under whatever name', async () => {
    fixture = await StateFixture.create(counting, { level: 3 });
    fixture.write('log1', digits(2 * MIB, 1));
    await captured();
    await overwrite('log1', 0, digits(MIB / 4, 2));
    expect((await captured()).probes).toBe(1);
    await overwrite('log1', MIB / 4, digits(MIB / 4, 3));
    expect((await captured()).probes).toBe(0);
    fixture.rename('log1', 'log2');
    await captured();
    await overwrite('log2', MIB / 2, digits(MIB / 4, 4));
    const { probes: later, storedBytes } = await captured();
    expect(later).toBe(0);
    expect(storedBytes).toBeGreaterThan(MIB / 10);
    fixture.rename('log2', 'log3');
    await overwrite('log3', MIB, digits(MIB / 4, 5));
    expect((await captured()).probes).toBe(0);
  });

  it('is found out anew for a small change, and after 16 captures', async () => {
    fixture = await StateFixture.create(counting, { level: 3 });
    const first = digits(MIB + MIB / 2, 1);
    fixture.write('log', first);
    await captured();
    await overwrite('log', 0, digits(MIB / 8, 2));
    expect((await captured()).probes).toBe(1);
    // One digit in each of some pages: nearly all is as before.
    const changed = Buffer.from(first.subarray(MIB, MIB + 32_768));
    for (let at = 5; at < changed.length; at += 4096) changed[at] = 0x7a;
    await overwrite('log', MIB, changed);
    const small = await captured();
    expect(small.probes).toBe(1);
    expect(small.storedBytes).toBeLessThan(4000);
    let found = 0;
    for (let round = 1; round <= 18; round += 1) {
      await overwrite('log', 0, digits(MIB / 8, 2 + round));
      found += (await captured()).probes;
    }
    // The first one, since older bytes helped meanwhile; and one more.
    expect(found).toBe(2);
  });

  it('is not judged by the first place alone', async () => {
    fixture = await StateFixture.create(counting, { level: 3 });
    const first = digits(2 * MIB, 1);
    fixture.write('mixed', first);
    await captured();
    const changed = Buffer.from(first.subarray(MIB + MIB / 2));
    for (let at = 5; at < changed.length; at += 4096) changed[at] = 0x7a;
    for (const seed of [2, 3]) {
      await overwrite('mixed', 0, digits(MIB, seed));
      for (let at = 9; at < changed.length; at += 4096) changed[at] = 0x30 + seed;
      await overwrite('mixed', MIB + MIB / 2, changed);
      // Half of what is new at the beginning, and next to nothing of the rest.
      expect((await captured()).storedBytes).toBeLessThan(600_000);
    }
  });
});

describe('files whose older bytes do not help', () => {
  const name = (i: number) => pathFromText(`file ${i}`);
  const worth = { incompressible: false, bytesLeft: 1000 };

  it('are forgotten when that is no longer so, or is to be found out anew', () => {
    const files = new UnlikeFiles();
    files.note(name(1), name(1), worth);
    expect(files.of(name(1))).toEqual(worth);
    files.note(name(2), name(1), worth);
    expect(files.of(name(1))).toBeUndefined();
    expect(files.of(name(2))).toEqual(worth);
    files.note(name(2), name(2), { ...worth, bytesLeft: 0 });
    expect(files.of(name(2))).toBeUndefined();
    files.note(name(2), name(2), worth);
    files.note(name(2), name(2), undefined);
    expect(files.size).toBe(0);
  });

  it('are the newest 256', () => {
    const files = new UnlikeFiles();
    for (let i = 0; i < 300; i += 1) files.note(name(i), name(i), worth);
    expect(files.size).toBe(256);
    expect(files.of(name(43))).toBeUndefined();
    expect(files.of(name(44))).toEqual(worth);
  });
});
