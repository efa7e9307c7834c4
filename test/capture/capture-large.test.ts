import { closeSync, ftruncateSync, openSync, readdirSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { CaptureOptions } from '../../src/capture/types.js';
import type { Version } from '../../src/format/format.js';
import { engines, keepings, letTheClockTick, MIB, noise, SCHEMAS, StateFixture } from './state-fixture.js';

const ENGINE = engines()[0]?.[1] as never;
let fixture: StateFixture;
afterEach(async () => {
  await fixture?.close();
});

/** Overwrites bytes in place. */
function patch(name: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(fixture.path(name), 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

describe.each(keepings())('capture of large files (%s)', (_name, { engine, schema }) => {
  it('stores about the changed pages of a change in place', async () => {
    fixture = await StateFixture.create(engine, { schema });
    fixture.write('big', noise(6 * MIB, 1));
    const first = await fixture.capture();
    fixture.expectStored(first, 6.1 * MIB);
    await fixture.expectKept();
    for (let i = 0; i < 20; i += 1) patch('big', 300_000 * i + 77, noise(100, 50 + i));
    const second = await fixture.capture();
    expect(second).toMatchObject({ added: 0, changed: 1 });
    fixture.expectStored(second, 12_000);
    await fixture.expectKept();
    expect(await fixture.capture()).toMatchObject({ checkpoint: null });
  });

  it('compares a file that has another name now with what it was, also when names were exchanged', async () => {
    fixture = await StateFixture.create(engine, { schema });
    for (const [seed, name] of ['log1', 'log2', 'log3'].entries()) fixture.write(name, noise(2 * MIB, 60 + seed));
    await fixture.capture();
    for (let round = 1; round <= 3; round += 1) {
      // The oldest segment becomes the newest, and the others change places.
      fixture.rename(`log${round}`, `log${round + 3}`);
      fixture.rename(`log${round + 1}`, 'other');
      fixture.rename(`log${round + 2}`, `log${round + 1}`);
      fixture.rename('other', `log${round + 2}`);
      for (const [i, name] of [1, 2, 3].map((n) => `log${round + n}`).entries()) {
        patch(name, 700_000 * round, noise(3000, 70 + 3 * round + i));
      }
      await letTheClockTick();
      fixture.expectStored(await fixture.capture(), 40_000);
      await fixture.expectKept();
    }
  });

  it('finds the old pieces again behind an insertion', async () => {
    fixture = await StateFixture.create(engine, { schema });
    const bytes = noise(8 * MIB, 2);
    fixture.write('big', bytes);
    await fixture.capture();
    fixture.write('big', Buffer.concat([bytes.subarray(0, 3 * MIB), Buffer.from('inserted'), bytes.subarray(3 * MIB)]));
    const report = await fixture.capture();
    fixture.expectStored(report, 1.5 * MIB);
    await fixture.expectKept();
  });

  it('follows growing, shrinking, emptying and becoming small', async () => {
    fixture = await StateFixture.create(engine, { schema });
    const bytes = noise(3 * MIB, 3);
    fixture.write('big', bytes.subarray(0, 2 * MIB + 123));
    await fixture.capture();
    fixture.write('big', bytes);
    fixture.expectStored(await fixture.capture(), MIB + 10_000);
    await fixture.expectKept();
    truncateSync(fixture.path('big'), MIB + 5);
    fixture.expectStored(await fixture.capture(), 10_000);
    await fixture.expectKept();
    truncateSync(fixture.path('big'), 1000);
    fixture.expectStored(await fixture.capture(), 3000);
    await fixture.expectKept();
    fixture.write('big', bytes);
    fixture.expectStored(await fixture.capture(), 1.2 * MIB);
    await fixture.expectKept();
    truncateSync(fixture.path('big'), 0);
    await fixture.capture();
    await fixture.expectKept();
  });
});

describe.each(engines())('capture of large files in schema 2 (%s)', (_name, engine) => {
  it('keeps the holes of a sparse file', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('sparse', '');
    const fd = openSync(fixture.path('sparse'), 'r+');
    writeSync(fd, noise(5000, 4), 0, 5000, 9 * MIB + 1);
    ftruncateSync(fd, 20 * MIB);
    closeSync(fd);
    const report = await fixture.capture();
    expect(report.storedBytes).toBeLessThan(20_000);
    expect((await fixture.head('sparse'))?.sparse).toBe(true);
    await fixture.expectKept();
    patch('sparse', 2 * MIB, noise(10_000, 5));
    expect((await fixture.capture()).storedBytes).toBeLessThan(16_000);
    await fixture.expectKept();
    patch('sparse', 9 * MIB, Buffer.alloc(8192));
    expect((await fixture.capture()).storedBytes).toBeLessThan(4000);
    await fixture.expectKept();
  });

  it('writes only attributes when only attributes changed', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('big', noise(MIB, 6));
    await fixture.capture();
    const before = await fixture.head('big');
    await letTheClockTick();
    fixture.write('big', noise(MIB, 6));
    const report = await fixture.capture();
    expect(report.changed).toBe(1);
    expect(report.storedBytes).toBeLessThan(1500);
    expect((await fixture.head('big'))?.recipe).toEqual(before?.recipe);
  });

  it('is right, and as small, after the page tables were lost', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('big', noise(5 * MIB, 7));
    await fixture.capture();
    patch('big', 2 * MIB, noise(50, 8));
    await fixture.capture();
    await fixture.reopen('pages');
    patch('big', 4 * MIB + 9, noise(50, 9));
    expect((await fixture.capture()).storedBytes).toBeLessThan(6000);
    await fixture.expectKept();
    await fixture.reopen();
    const pages = join(fixture.store.cachePath, 'pages');
    expect(readdirSync(pages)).toHaveLength(1);
    rmSync(join(fixture.store.cachePath, 'stat.idx'));
    await letTheClockTick();
    expect(await fixture.capture()).toMatchObject({ checkpoint: null });
    rmSync(fixture.path('big'));
    await fixture.capture();
    expect(readdirSync(pages)).toHaveLength(0);
  });

  it('keeps many versions readable under random page writes', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('db', noise(3 * MIB, 10));
    await fixture.capture();
    for (let round = 0; round < 14; round += 1) {
      for (let i = 0; i < 6; i += 1)
        patch('db', ((round * 7919 + i * 104_729) % 760) * 4096, noise(4096, round * 10 + i));
      await fixture.capture();
    }
    await fixture.expectKept();
    expect((await fixture.store.verify()).damage).toEqual([]);
  });
});

describe('what deltas store of large files', () => {
  it.each<CaptureOptions['deltaEngine']>(['zstd', 'xor'])('restricts deltas to %s', async (deltaEngine) => {
    fixture = await StateFixture.create(ENGINE, { ...(deltaEngine && { deltaEngine }) });
    fixture.write('big', noise(2 * MIB, 1));
    fixture.write('small', noise(10_000, 2));
    await fixture.capture();
    patch('big', MIB, noise(20, 3));
    patch('small', 5000, noise(20, 4));
    expect((await fixture.capture()).storedBytes).toBeLessThan(2500);
    await fixture.expectKept();
  });

  it('stores what changed on its own without deltas, and what did not change once', async () => {
    fixture = await StateFixture.create(ENGINE, { deltaEngine: 'none' });
    fixture.write('big', noise(6 * MIB, 1));
    fixture.write('small', noise(50_000, 2));
    await fixture.capture();
    for (let round = 0; round < 3; round += 1) {
      for (let i = 0; i < 8; i += 1) patch('big', i * 700_000, noise(4096, 10 * round + i));
      patch('small', 5000, noise(20, round));
      const { storedBytes } = await fixture.capture();
      // Eight to sixteen pages and the whole small file: neither a delta nor the large file once more.
      expect(storedBytes).toBeGreaterThan(80_000);
      expect(storedBytes).toBeLessThan(150_000);
    }
    const digests = new Set<Buffer>();
    for (const name of ['big', 'small']) {
      const head = (await fixture.head(name)) as Version;
      for (const { digest } of await fixture.store.reader(head).extents(0, head.size)) if (digest) digests.add(digest);
    }
    const infos = await fixture.store.blobInfos([...digests]);
    expect(new Set(infos.map((info) => info?.depth))).toEqual(new Set([0]));
    await fixture.expectKept();
  });
});

describe.each(SCHEMAS)('large files in schema %s', (schema) => {
  it('leaves out a file that never holds still, unless it must be taken', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('busy', noise(40 * MIB, 1));
    fixture.write('calm', 'x');
    const writer = setInterval(() => patch('busy', 39 * MIB, noise(64, Date.now())), 1);
    try {
      const report = await fixture.capture();
      expect(report.skipped).toEqual([
        { path: 'busy', kind: 'unsettled', reason: 'it kept changing while it was read' },
      ]);
      expect(report.added).toBe(1);
      const forced = await fixture.capture({ takeUnsettled: true });
      expect(forced).toMatchObject({ added: 1, skipped: [], unsettled: ['busy'] });
    } finally {
      clearInterval(writer);
    }
    await letTheClockTick();
    await fixture.capture();
    await fixture.expectKept();
  });

  it('finds writes through a mapping only when told to look', async () => {
    fixture = await StateFixture.create(ENGINE, { schema });
    fixture.write('mapped', noise(MIB, 1));
    await letTheClockTick();
    await fixture.capture();
    expect((await fixture.capture({ rescan: ['mapped'] })).readBytes).toBe(MIB);
    expect((await fixture.capture({ marks: [], rescan: ['mapped'] })).readBytes).toBe(MIB);
    expect((await fixture.capture()).readBytes).toBe(0);
  });
});
