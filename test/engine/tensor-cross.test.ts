/** Payloads of the `tensor` engine: each implementation reads the other's, vector levels agree, frozen ones decode. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import type { Effort, Engine } from '../../src/engine/engine.js';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import type { RawAddon } from '../../src/engine/raw-addon.js';
import { tensorPairs } from './conformance-tensor.js';

const native = loadEngine();
const twin = loadTwin();
const EFFORTS: readonly Effort[] = ['fast', 'balanced', 'max'];
const pairs = tensorPairs();

describe.each([
  [`${native.info.kind} to typescript`, native, twin],
  [`typescript to ${native.info.kind}`, twin, native],
] as [string, Engine, Engine][])('%s', (_name, from, to) => {
  it('patches tensor payloads', async () => {
    for (const { name, source, target, regions } of pairs) {
      for (const effort of EFFORTS) {
        const payload = await from.tensorDiff(source, target, effort, regions);
        expect((await to.tensorPatch(source, payload, target.length)).equals(target), `${name} ${effort}`).toBe(true);
      }
    }
  });
});

describe('vector levels', () => {
  it('give the same bytes', async () => {
    expect(native.info.kind).toBe('native');
    const raw = createRequire(import.meta.url)(native.info.path as string) as RawAddon;
    for (const { name, source, target, regions } of pairs) {
      const flat = Float64Array.from(
        regions.flatMap((region) => [region.begin, region.bytes, region.width, region.source ?? -1]),
      );
      const plain = await raw.tensorDiff(source, target, 'fast', flat, 'portable');
      for (const simd of ['sse2', 'avx2', 'avx512', 'neon']) {
        expect((await raw.tensorDiff(source, target, 'fast', flat, simd)).equals(plain), `${name} ${simd}`).toBe(true);
        expect((await raw.tensorPatch(source, plain, target.length, simd)).equals(target), `${name} ${simd}`).toBe(
          true,
        );
      }
    }
  });
});

interface Frozen {
  readonly pair: string;
  /** Of the target, so that a changed test sample is not taken for a changed format. */
  readonly sha256: string;
  readonly payload: string;
}

const file = new URL('tensor-golden.json', import.meta.url);
const { good, bad } = JSON.parse(await readFile(file, 'utf8')) as {
  readonly good: Readonly<Record<string, Frozen>>;
  readonly bad: Readonly<Record<string, Frozen>>;
};

function pairOf({ pair, sha256 }: Frozen) {
  const found = pairs.find(({ name }) => name === pair);
  if (found === undefined) throw new Error(`no pair ${pair}`);
  expect(createHash('sha256').update(found.target).digest('hex')).toBe(sha256);
  return found;
}

describe.each([native, twin])('frozen payloads, $info.kind', (engine) => {
  it.each(Object.entries(good))('good: %s', async (_name, frozen) => {
    const { source, target } = pairOf(frozen);
    const payload = Buffer.from(frozen.payload, 'base64');
    expect((await engine.tensorPatch(source, payload, target.length)).equals(target)).toBe(true);
  });

  it.each(Object.entries(bad))('bad: %s', async (_name, frozen) => {
    const { source, target } = pairOf(frozen);
    const payload = Buffer.from(frozen.payload, 'base64');
    await expect(engine.tensorPatch(source, payload, target.length)).rejects.toMatchObject({
      code: 'DK_CORRUPT_DELTA',
    });
  });
});
