/** Large states leave the event loop free between pieces, and may be longer than one view of memory. */
import { describe, expect, it } from 'vitest';
import { StateEncoder } from '../../src/baseline/baseline.js';
import { looksRandom } from '../../src/baseline/byte-evidence.js';
import { copyAway, joinPieces, ownCopy } from '../../src/baseline/large-memory.js';
import { openSegments } from '../../src/baseline/state-input.js';
import { loadEngine } from '../../src/engine/load.js';
import { patternBytes } from '../engine/samples.js';
import { pair } from './codec-fixture.js';

const MIB = 1 << 20;
const engine = loadEngine();

/** Turns of the event loop while `work` runs. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let running = true;
  const count = (): void => {
    if (!running) return;
    turns += 1;
    setImmediate(count);
  };
  setImmediate(count);
  await work();
  running = false;
  return turns;
}

async function firstSegment(state: Parameters<typeof openSegments>[1], segmentBytes: number): Promise<Uint8Array> {
  const { segments, close } = await openSegments(engine, state, segmentBytes);
  for await (const segment of segments) {
    await close();
    return segment;
  }
  throw new Error('no segment');
}

describe('looking whether bytes are noise', () => {
  it('lets others have their turns while it looks for repeats', async () => {
    const noise = patternBytes(24 * MIB, 1);
    let found = false;
    const turns = await turnsDuring(async () => {
      found = await looksRandom(noise);
    });
    expect(found).toBe(true);
    expect(turns).toBeGreaterThanOrEqual(6);
    expect(await looksRandom(Buffer.concat([noise.subarray(0, MIB), noise.subarray(0, MIB)]))).toBe(false);
  });
});

describe('copies of much memory', () => {
  const large = Buffer.alloc(48 * MIB, 'x');
  const shared = new SharedArrayBuffer(48 * MIB);

  it.each([
    ['a chunk', () => firstSegment([large], 64 * MIB)],
    [
      'many chunks',
      () =>
        firstSegment(
          Array.from({ length: 48 }, () => large.subarray(0, MIB)),
          64 * MIB,
        ),
    ],
    ['shared memory', () => firstSegment(shared, 64 * MIB)],
    ['pieces of a message', () => joinPieces(engine, [large.subarray(0, 24 * MIB), large.subarray(0, 24 * MIB)])],
    ['a payload', () => ownCopy(engine, large)],
  ])('let others have their turns: %s', async (_name, work) => {
    // On a busy machine the loop may get no turn while another thread copies: what blocks it blocks it every time.
    let most = 0;
    for (let i = 0; i < 10 && most < 4; i += 1) most = Math.max(most, await turnsDuring(work));
    expect(most).toBeGreaterThanOrEqual(4);
  });

  it('are right, whatever the lengths', async () => {
    const bytes = patternBytes(20 * MIB + 7, 1);
    expect((await ownCopy(engine, bytes)).equals(bytes)).toBe(true);
    const into = Buffer.alloc(bytes.length + 5);
    await copyAway(engine, into, bytes, 5);
    expect(into.subarray(5).equals(bytes)).toBe(true);
    const cuts = [0, 1, 1, 9 * MIB, 20 * MIB, bytes.length];
    const pieces = cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end));
    expect((await joinPieces(engine, pieces)).equals(bytes)).toBe(true);
    expect(await joinPieces(engine, [])).toHaveLength(0);
  });
});

describe('a state that is gathered from chunks', () => {
  it.each([
    ['less than a turn', 3 * MIB],
    ['a turn and a little', 8 * MIB + 1],
    ['several segments', 70 * MIB + 11],
  ])('comes back: %s', async (_name, length) => {
    const both = pair({ segmentBytes: 32 * MIB, enabled: false });
    const state = Buffer.alloc(length);
    for (let at = 0; at < length; at += 5003) state.writeUInt32LE(at, Math.min(at, length - 4));
    async function* chunks(step: number): AsyncGenerator<Uint8Array> {
      const memory = Buffer.alloc(step);
      for (let at = 0; at < length; at += step) {
        const count = state.copy(memory, 0, at);
        yield memory.subarray(0, count);
      }
    }
    for (const step of [300_001, 20 * MIB]) {
      const message = await both.encoder.encode('k', chunks(step));
      expect((await both.decoder.decode(message.parts)).bytes.equals(state)).toBe(true);
    }
    await Promise.all([both.encoder.close(), both.decoder.close()]);
  });
});

describe('memory that is longer than a view may be', () => {
  it('is read segment by segment', async () => {
    const memory = new SharedArrayBuffer(5 * 2 ** 30);
    new Uint8Array(memory, 0, 4).set([1, 2, 3, 4]);
    expect([...(await firstSegment(memory, MIB)).subarray(0, 5)]).toEqual([1, 2, 3, 4, 0]);
    const encoder = new StateEncoder({ enabled: false, segmentBytes: 1 << 16 });
    const stream = encoder.encodeStream('k', memory);
    expect((await stream.next()).done).toBe(false);
    await stream.return(undefined as never);
    await encoder.close();
  });
});
