/** Verification and repair: what is damaged is named and put aside, and later captures mend what they can. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RECORD } from '../../src/format/format.js';
import { flipRecord } from './flip-record.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();

describe('verify', () => {
  it('makes every root anew and follows the chain of checkpoints', async () => {
    const store = await fixture.open();
    for (let version = 1; version <= 5; version += 1) {
      await commitFiles(store, { a: noise(3000, version), [`d${version}`]: noise(100, version), d1: null });
    }
    await store.prune({ keepLast: 3 });
    await commitFiles(store, { a: noise(3000, 6) });
    expect(await store.verify()).toMatchObject({ checkpoints: 4, roots: 4, damage: [] });
  });

  it('decodes a share of the blobs when asked to', async () => {
    const store = await fixture.open();
    const files = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`f${index}`, noise(50, index)]));
    await commitFiles(store, files);
    const { blobs, blobsRead } = await store.verify({ sample: 0.2 });
    expect(blobs).toBe(200);
    expect(blobsRead).toBeGreaterThan(10);
    expect(blobsRead).toBeLessThan(90);
    expect((await store.verify()).blobsRead).toBe(200);
    for (const sample of [0, 1.1, Number.NaN]) {
      await expect(store.verify({ sample })).rejects.toThrow(RangeError);
    }
  });

  it('notices a checkpoint that is missing in the chain', async () => {
    const store = await fixture.open();
    for (let version = 1; version <= 3; version += 1) await commitFiles(store, { a: noise(30, version) });
    await store.close();
    const bytes = await readFile(fixture.pack(1));
    const records: Buffer[] = [];
    for (let at = 64; at < bytes.length; ) {
      const length = 60 + bytes.readUInt32LE(at + 8) + bytes.readUInt32LE(at + 16);
      records.push(bytes.subarray(at, at + length));
      at += length;
    }
    // The second commit is cut out of the pack, so that all that is left is whole.
    const ends = records.flatMap((record, index) => (record[4] === RECORD.checkpoint ? [index] : []));
    const left = [...records.slice(0, (ends[0] as number) + 1), ...records.slice((ends[1] as number) + 1)];
    await writeFile(fixture.pack(1), Buffer.concat([bytes.subarray(0, 64), ...left]));
    const again = await fixture.open();
    await again.rebuildIndex();
    const { damage } = await again.verify();
    expect(damage.map(({ kind, where }) => `${kind} ${where}`)).toContain('checkpoint checkpoint 3');
  });
});

describe('repair', () => {
  it('names the versions that damage reaches, puts it aside, and a capture mends it', async () => {
    const store = await fixture.open();
    await commitFiles(store, { hit: noise(5000, 1), well: noise(5000, 2) });
    await commitFiles(store, { copy: noise(5000, 1) });
    await store.close();
    await flipRecord(fixture.pack(1), RECORD.blob);
    const again = await fixture.open();
    const report = await again.rebuildIndex({ check: true });
    const affected = report.damage.flatMap((one) => one.affected.map((two) => `${two.path} ${two.sequence}`));
    expect(affected.sort()).toEqual(['copy 2', 'hit 1']);
    const files = (report.quarantined ?? []).map((file) => path.basename(file));
    expect(files.some((file) => file.startsWith('damaged-00000001.dkp-64'))).toBe(true);
    expect(files.some((file) => file.startsWith('repair-'))).toBe(true);
    expect((await readdir(again.quarantinePath)).sort()).toEqual(expect.arrayContaining(files.sort()));
    expect(await codeOf(() => contentOf(again, 'hit'))).toBe('DK_CORRUPT_PACK');
    expect((await contentOf(again, 'well'))?.equals(noise(5000, 2))).toBe(true);
    // The same bytes come by again: they are stored, and the older versions are whole once more.
    await commitFiles(again, { third: noise(5000, 1) });
    for (const name of ['hit', 'copy', 'third'])
      expect((await contentOf(again, name))?.equals(noise(5000, 1))).toBe(true);
  });

  it('of a sound store says so and puts nothing aside', async () => {
    const store = await fixture.open();
    await commitFiles(store, { a: noise(5000, 1) });
    const report = await store.rebuildIndex({ check: true });
    expect(report).toMatchObject({ checkpoints: 1, damage: [], droppedBlobs: 0, quarantined: [] });
    expect(await readdir(store.quarantinePath)).toEqual([]);
  });
});
