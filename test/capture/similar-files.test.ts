/** Small files that resemble others of another name. */
import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { digits, engines, noise, StateFixture } from './state-fixture.js';

const KIB = 1024;
const SIZES = [8, 60, 250];
/** Versions and a checkpoint of three files, and three records of some hundred bytes at most. */
const FEW_BYTES = 3 * 500;

let fixture: StateFixture;
afterEach(() => fixture.close());

const shifted = (bytes: Buffer, by: number) => Buffer.concat([noise(by, 77 + by), bytes]);

function edited(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = 1000; at < copy.length; at += copy.length / 5) copy.write('edit', Math.floor(at));
  return copy;
}

function writeAll(prefix: string, change: (bytes: Buffer) => Buffer): void {
  for (const size of SIZES) {
    fixture.write(`${prefix}/noise-${size}`, change(noise(size * KIB, size)));
    fixture.write(`${prefix}/text-${size}`, change(digits(size * KIB, size + 1)));
  }
}

async function depths(): Promise<readonly number[]> {
  return (await fixture.store.stats()).depths;
}

describe.each(engines())('small files with the %s engine', (_, engine) => {
  it('that are shifted or slightly edited copies take some bytes: at once, later, and in another process', async () => {
    fixture = await StateFixture.create(engine);
    writeAll('first', (bytes) => bytes);
    const alone = (await fixture.capture()).storedBytes;
    fixture.write('other', noise(30_000, 999));
    expect((await fixture.capture()).storedBytes).toBeGreaterThan(30_000);
    expect(await depths()).toEqual([7]);

    writeAll('later', (bytes) => shifted(bytes, 14));
    expect((await fixture.capture()).storedBytes).toBeLessThan(2 * FEW_BYTES);
    expect(await depths()).toEqual([7, 6]);
    writeAll('edited', edited);
    expect((await fixture.capture()).storedBytes).toBeLessThan(2 * FEW_BYTES);
    await fixture.reopen();
    writeAll('cut', (bytes) => bytes.subarray(200));
    expect((await fixture.capture()).storedBytes).toBeLessThan(2 * FEW_BYTES);
    expect(await depths()).toEqual([7, 18]);
    await fixture.expectKept();

    const again = await StateFixture.create(engine);
    await fixture.close();
    fixture = again;
    for (const prefix of ['x', 'y', 'z']) writeAll(prefix, (bytes) => shifted(bytes, prefix.charCodeAt(0) - 110));
    expect((await fixture.capture()).storedBytes).toBeLessThan(alone + 4 * FEW_BYTES);
    await fixture.expectKept();
  });

  it('are coded against others also when they take the place of what they do not resemble', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('one', noise(50 * KIB, 1));
    fixture.write('two', noise(50 * KIB, 2));
    await fixture.capture();
    fixture.write('two', shifted(noise(50 * KIB, 1), 9));
    expect((await fixture.capture()).storedBytes).toBeLessThan(500);
    fixture.write('two', noise(50 * KIB, 3));
    await fixture.capture();
    // What has replaced something else is found as well.
    fixture.write('three', shifted(noise(50 * KIB, 3), 9));
    expect((await fixture.capture()).storedBytes).toBeLessThan(500);
    expect(await depths()).toEqual([3, 2]);
    await fixture.expectKept();
  });

  it('have later versions that are coded as ever, and are read when what they resemble has gone', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('one', noise(50 * KIB, 1));
    await fixture.capture();
    fixture.write('two', shifted(noise(50 * KIB, 1), 9));
    await fixture.capture();
    rmSync(fixture.path('one'));
    let bytes = shifted(noise(50 * KIB, 1), 9);
    for (let round = 0; round < 12; round += 1) {
      bytes = Buffer.concat([bytes, noise(40, round + 50)]);
      fixture.write('two', bytes);
      expect((await fixture.capture()).storedBytes).toBeLessThan(1000);
    }
    expect((await depths()).length).toBeLessThanOrEqual(11);
    await fixture.store.prune({ keepLast: 1 });
    await fixture.expectKept();
    expect((await fixture.store.verify()).damage).toEqual([]);
  });
});

it('nothing is looked for where deltas are not wanted', async () => {
  const [[, engine] = []] = engines();
  if (!engine) throw new Error('there is no engine');
  fixture = await StateFixture.create(engine, { deltaEngine: 'none' });
  writeAll('first', (bytes) => bytes);
  writeAll('same', (bytes) => shifted(bytes, 14));
  await fixture.capture();
  expect(await depths()).toEqual([12]);
});
