/** Files that one engine writes and the other reads, and files of the real programs read by the twin. */
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import { nextRelease, realBsdiff, realBspatch, realXdelta, realXdeltaDecode } from '../native/delta-peers.js';
import { filePairs } from './conformance-vcdiff.js';
import { editedBytes, patternBytes, textBytes } from './samples.js';

const twin = loadTwin();
const other = loadEngine();
const LIMIT = 1 << 24;
const PAIRS: [string, Engine, Engine][] = [
  [`${other.info.kind} to typescript`, other, twin],
  [`typescript to ${other.info.kind}`, twin, other],
];

describe.each(PAIRS)('delta files, %s', (_, from, to) => {
  it.each(filePairs())('%s', async (_name, source, target) => {
    expect((await to.bsdiffPatch(source, await from.bsdiffDiff(source, target), LIMIT)).equals(target)).toBe(true);
    for (const checksum of [true, false]) {
      const delta = await from.vcdiffDiff(source, target, checksum);
      expect((await to.vcdiffPatch(source, delta, LIMIT)).equals(target)).toBe(true);
    }
  });
});

describe('the twin and the real programs', () => {
  const text = textBytes(120_000, 3);
  const noise = patternBytes(150_000, 5);
  const made: [string, Buffer, Buffer][] = [
    ['text', text, editedBytes(text, 1)],
    ['an executable', noise, nextRelease(noise, 2)],
    ['zeros', Buffer.alloc(20_000), Buffer.alloc(30_000)],
  ];

  it.each(made)('%s', async (_, source, target) => {
    expect(realBspatch(source, await twin.bsdiffDiff(source, target)).equals(target)).toBe(true);
    expect((await twin.bsdiffPatch(source, realBsdiff(source, target), LIMIT)).equals(target)).toBe(true);
    expect(realXdeltaDecode(source, await twin.vcdiffDiff(source, target, true)).equals(target)).toBe(true);
    for (const options of [['-9'], ['-n', '-A'], ['-W', '16384']]) {
      const theirs = realXdelta(source, target, ['-S', 'none', ...options]);
      expect((await twin.vcdiffPatch(source, theirs, LIMIT)).equals(target)).toBe(true);
    }
  });

  it('names secondary compression', async () => {
    const theirs = realXdelta(text, textBytes(120_000, 4), ['-S', 'lzma']);
    await expect(twin.vcdiffPatch(text, theirs, LIMIT)).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
  });
});
