/** At which level the new bytes of a large file are coded. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openCaptureSession } from '../../src/capture/capture.js';
import { LevelFiles } from '../../src/capture/context-worth.js';
import { pathFromText } from '../../src/core/core.js';
import type { Engine } from '../../src/engine/engine.js';
import { openStore } from '../../src/store/store.js';
import { digits, engines, letTheClockTick, MIB, noise, StateFixture } from './state-fixture.js';

let fixture: StateFixture | undefined;
afterEach(async () => {
  await fixture?.close();
  fixture = undefined;
});

/** Words of a small vocabulary: a higher level finds more of them again. */
function words(bytes: number, seed: number): Buffer {
  const random = noise(bytes, seed);
  const vocabulary = Array.from({ length: 2048 }, (_, i) => noise(3 + (i % 9), i + 1).toString('base64'));
  const text: string[] = [];
  for (let at = 0, length = 0; length < bytes; at += 2) {
    const word = `${vocabulary[random.readUInt16LE(at % (bytes - 2)) % vocabulary.length]} `;
    text.push(word);
    length += word.length;
  }
  return Buffer.from(text.join(''), 'latin1').subarray(0, bytes);
}

async function overwrite(offset: number, bytes: Uint8Array): Promise<void> {
  await letTheClockTick();
  const fd = openSync(fixture?.path('log') ?? '', 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** Bytes that were coded without others, by level. */
function watched(engine: Engine): { readonly engine: Engine; take(): Record<number, number> } {
  let coded: Record<number, number> = {};
  return {
    engine: {
      ...engine,
      encodeBlobs: (batch) => {
        for (const [i, length] of batch.targetLengths.entries()) {
          if (batch.contextLengths[i] === 0) coded[batch.level] = (coded[batch.level] ?? 0) + length;
        }
        return engine.encodeBlobs(batch);
      },
    },
    take: () => {
      const taken = coded;
      coded = {};
      return taken;
    },
  };
}

describe.each(engines())('the level of new bytes (%s)', (_, engine) => {
  it('is the lowest where that takes hardly more, as long as that is remembered', async () => {
    const seen = watched(engine);
    fixture = await StateFixture.create(seen.engine);
    fixture.write('log', digits(2 * MIB, 1));
    await fixture.capture();
    // Nothing is known of a first version.
    expect(seen.take()[1] ?? 0).toBe(0);
    for (let round = 0; round < 3; round += 1) {
      await overwrite(round * (MIB / 2), digits(MIB / 2, 2 + round));
      await fixture.capture();
      const { 1: quick = 0, 3: usual = 0 } = seen.take();
      expect(quick).toBeGreaterThanOrEqual(MIB / 2);
      // The sample, once; recipes are a few bytes.
      expect(usual).toBeLessThan(round === 0 ? MIB / 2 : MIB / 8);
      if (round === 0) expect(usual).toBeGreaterThanOrEqual(MIB / 4);
    }
    await fixture.expectKept();
  });

  it('is the usual one where that takes less', async () => {
    const seen = watched(engine);
    fixture = await StateFixture.create(seen.engine);
    fixture.write('log', noise(2 * MIB, 1));
    await fixture.capture();
    seen.take();
    for (let round = 0; round < 3; round += 1) {
      await overwrite(round * (MIB / 2), words(MIB / 2, 2 + round));
      await fixture.capture();
      const { 1: quick = 0, 3: usual = 0 } = seen.take();
      expect(quick).toBeLessThan(MIB / 2);
      if (round > 0) expect(quick).toBe(0);
      expect(usual).toBeGreaterThanOrEqual(MIB / 2);
    }
    await fixture.expectKept();
  });

  it('is the one that was asked for', async () => {
    const seen = watched(engine);
    fixture = await StateFixture.create(engine);
    const store = await openStore(join(fixture.directory, 'asked'), { create: true, engine: seen.engine, level: 3 });
    const session = await openCaptureSession(store, fixture.state, { deltaEngine: 'none' });
    fixture.write('log', digits(2 * MIB, 1));
    await session.capture();
    await overwrite(0, digits(MIB, 2));
    await session.capture();
    expect(seen.take()[1] ?? 0).toBe(0);
    await session.close();
    await store.close();
  });
});

it('what is known of a file goes with its name, and is forgotten after 16 captures', () => {
  const files = new LevelFiles();
  const [one, other] = [pathFromText('one'), pathFromText('other')];
  const worth = { quick: true, bytesLeft: 1000 };
  files.note(one, one, worth);
  files.note(other, one, worth);
  expect([files.of(one), files.of(other)]).toEqual([undefined, worth]);
  for (let capture = 3; capture <= 17; capture += 1) files.note(other, other, worth);
  expect(files.of(other)).toBeUndefined();
});
