/** Memory of large results that is used again: never seen with what others left in it, bounded, given back. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addon, addonPath, noise } from './addon-door.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const MIB = 1 << 20;
const SECRET = 0xa5;
const LIMIT = 64 * MIB;

/** Collects garbage until it is so, which finalizers may take some turns for. */
async function collectedUntil(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 100 && !holds(); i += 1) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return holds();
}

/** At once, so that none is made in the memory of another. */
async function makeSecrets(count: number, bytes: number): Promise<void> {
  const secret = Buffer.alloc(bytes, SECRET);
  await Promise.all(Array.from({ length: count }, async () => void (await addon.copyBytes(secret))));
}

/** Leaves memory of results behind that is full of a secret, of `count` of them at least: some more are made, since a few may be held a while. */
async function leaveSecrets(count: number, bytes: number): Promise<void> {
  await makeSecrets(count + 6, bytes);
  expect(await collectedUntil(() => addon.spareMemory() >= count * bytes)).toBe(true);
}

describe('memory that is used again', () => {
  beforeEach(() => addon.holdSpareMemory(LIMIT));
  afterEach(() => {
    addon.releaseSpareMemory();
    expect(addon.spareMemory()).toBe(0);
  });

  it('comes back when results are collected, and serves the next ones', async () => {
    await leaveSecrets(3, MIB);
    const before = addon.spareMemory();
    const copy = await addon.copyBytes(Buffer.alloc(MIB, 1));
    expect(before - addon.spareMemory()).toBeGreaterThanOrEqual(MIB);
    expect(copy.equals(Buffer.alloc(MIB, 1))).toBe(true);
  });

  const source = noise(MIB, 1);
  const target = Buffer.concat([source.subarray(0, MIB - 5000), noise(3000, 2)]);
  const text = Buffer.alloc(MIB - 777, 'text');
  it.each<[string, Buffer, () => Promise<Buffer>]>([
    ['copyBytes', text, () => addon.copyBytes(text)],
    ['groupDigest', text, async () => (await addon.groupDigest(text, true)).copy as Buffer],
    ['decompress', text, async () => addon.decompress(await addon.compress(text), { decodedBytes: text.length })],
    [
      'sparsePatch',
      target,
      async () => {
        const { payload } = await addon.sparseDiff(source, target, 3);
        return (await addon.sparsePatch(source, payload, target.length)).data;
      },
    ],
    ['xorPatch', target, async () => addon.xorPatch(source, await addon.xorDiff(source, target, 3), target.length)],
    [
      'alignPatch',
      target,
      async () => addon.alignPatch(source, await addon.alignDiff(source, target, 'fast'), target.length),
    ],
  ])('%s shows nothing of what was in it', async (_name, wanted, make) => {
    await leaveSecrets(8, MIB);
    const made = await make();
    expect(made.equals(wanted)).toBe(true);
    // All that JavaScript can reach: the array buffer ends where the result does.
    expect(made.buffer.byteLength).toBe(wanted.length);
  });

  it('shows nothing of it behind a frame that came out shorter than its room', async () => {
    const secret = Buffer.alloc(64, SECRET);
    for (const bytes of [noise(MIB, 3), Buffer.concat([noise(MIB / 2 + 9, 4), Buffer.alloc(MIB / 2)]), text]) {
      await leaveSecrets(8, MIB + 8192);
      const frame = await addon.compress(bytes);
      if (frame.length >= 8192) expect(frame.buffer.byteLength).toBe(frame.length);
      expect(Buffer.from(frame.buffer).includes(secret)).toBe(false);
      expect((await addon.decompress(frame, { decodedBytes: bytes.length })).equals(bytes)).toBe(true);
    }
  });

  it('comes back from a call that failed', async () => {
    await leaveSecrets(2, MIB);
    const before = addon.spareMemory();
    const call = addon.sparsePatch(source, Buffer.from([5, 0, 1, 9, 1, 2, 3, 4, 5]), MIB);
    await expect(call).rejects.toMatchObject({ code: 'DK_CORRUPT_DELTA' });
    expect(addon.spareMemory()).toBe(before);
  });

  it('is bounded, lengths that are not wanted any more going first', async () => {
    await leaveSecrets(5, 4 * MIB);
    await leaveSecrets(50, MIB);
    await makeSecrets(80, MIB);
    collect();
    expect(addon.spareMemory()).toBeLessThanOrEqual(LIMIT);
    addon.holdSpareMemory(8 * MIB);
    expect(addon.spareMemory()).toBeLessThanOrEqual(8 * MIB);
    addon.releaseSpareMemory();
  });

  it('goes back to the system when it lies idle', async () => {
    await leaveSecrets(2, MIB);
    addon.trimSpareMemory(60_000);
    expect(addon.spareMemory()).toBeGreaterThan(0);
    addon.trimSpareMemory(0);
    expect(addon.spareMemory()).toBe(0);
  });
});

describe('environments that hold memory', () => {
  it('release it when they end, in the middle of calls, too', async () => {
    const code = `
      const { parentPort, workerData } = require('node:worker_threads');
      const addon = require(workerData);
      addon.holdSpareMemory(1 << 26);
      const data = Buffer.alloc(3 << 20, 7);
      const again = () => addon.copyBytes(data).then(again);
      for (let i = 0; i < 6; i += 1) again();
      setTimeout(() => parentPort.postMessage('ready'), 100);`;
    for (let round = 0; round < 3; round += 1) {
      const worker = new Worker(code, { eval: true, workerData: addonPath });
      await new Promise((resolve) => worker.once('message', resolve));
      await worker.terminate();
    }
    expect(await collectedUntil(() => addon.spareMemory() === 0)).toBe(true);
    await addon.copyBytes(noise(MIB, 5));
    collect();
    expect(addon.spareMemory()).toBe(0);
  });

  it('count: memory is kept until the last one lets go, and letting go too often is nothing', async () => {
    addon.holdSpareMemory(LIMIT);
    addon.holdSpareMemory(LIMIT);
    await leaveSecrets(2, MIB);
    addon.releaseSpareMemory();
    expect(addon.spareMemory()).toBeGreaterThan(0);
    addon.releaseSpareMemory();
    expect(addon.spareMemory()).toBe(0);
    addon.releaseSpareMemory();
    addon.holdSpareMemory(LIMIT);
    await leaveSecrets(1, MIB);
    addon.releaseSpareMemory();
  });
});
