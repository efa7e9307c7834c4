/** Payloads of the `align` engine as the first release wrote them: they must decode for ever, in both engines. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { loadEngine, loadTwin } from '../../src/engine/load.js';
import { alignPairs } from './conformance-align.js';

const vectors = JSON.parse(await readFile(new URL('align-golden.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>;
const pairs = new Map(alignPairs().map(([name, source, target]) => [name, { source, target }]));

describe.each([loadEngine(), loadTwin()])('frozen payloads, $info.kind', (engine) => {
  it.each(Object.entries(vectors))('%s', async (name, base64) => {
    const pair = pairs.get(name.replace(/^\w+: /, ''));
    if (pair === undefined) throw new Error(`no pair for ${name}`);
    const payload = Buffer.from(base64, 'base64');
    expect((await engine.alignPatch(pair.source, payload, pair.target.length)).equals(pair.target)).toBe(true);
    const other = Buffer.concat([pair.source, Buffer.alloc(1)]).subarray(1);
    const wrong = await engine
      .alignPatch(other, payload, pair.target.length)
      .catch((error: { code?: string }) => error);
    // A wrong source is for the container's digest to find; here it must only do no harm.
    if (!Buffer.isBuffer(wrong)) expect(wrong).toMatchObject({ code: 'DK_CORRUPT_DELTA' });
  });
});
