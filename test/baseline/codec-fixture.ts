/** What the tests of the state encoder share. */
import type { EncodedState, StateDecoderOptions, StateEncoderOptions } from '../../src/baseline/baseline.js';
import { StateDecoder, StateEncoder } from '../../src/baseline/baseline.js';
import type { StateHead } from '../../src/baseline/state-message.js';
import type { Clock } from '../../src/core/core.js';
import { editedBytes, patternBytes, textBytes } from '../engine/samples.js';

/** Time that only moves when it is told to. */
export class TestClock implements Clock {
  steady = 1000;
  wall = 1_700_000_000_000;

  nowMs(): number {
    return this.wall;
  }

  steadyMs(): number {
    return this.steady;
  }

  pass(ms: number): void {
    this.steady += ms;
    this.wall += ms;
  }
}

export interface Pair {
  readonly clock: TestClock;
  readonly encoder: StateEncoder;
  readonly decoder: StateDecoder;
}

export function pair(encoding: StateEncoderOptions = {}, decoding: StateDecoderOptions = {}): Pair {
  const clock = new TestClock();
  return {
    clock,
    encoder: new StateEncoder({ clock, ...encoding }),
    decoder: new StateDecoder({ clock, ...decoding }),
  };
}

/** A head, and a segment of ten bytes as they are, for messages that are made by hand. */
export const HEAD: StateHead = {
  key: 'k',
  keyClass: 'k',
  digestKind: 'blake3',
  plain: false,
  timestampMs: 5,
  baselineId: 1,
  source: undefined,
  segmentBytes: 1 << 16,
  stateBytes: 10,
  digests: false,
};
export const SEGMENT = {
  engine: 0,
  targetBytes: 10,
  sourceOffset: 0,
  sourceBytes: 0,
  dictionaryId: 0,
  digest: undefined,
};

/** Encodes, decodes and says whether the same bytes came back. */
export async function trip(
  { encoder, decoder }: Pair,
  key: string,
  state: Uint8Array,
): Promise<{ readonly message: EncodedState; readonly same: boolean }> {
  const message = await encoder.encode(key, state);
  const { bytes } = await decoder.decode(message.toBuffer());
  return { message, same: bytes.equals(state) };
}

/** Growing, shrinking, empty, one byte, and at the ends of segments of so many bytes. */
export function statesOfEverySize(segmentBytes: number): Buffer[] {
  const base = patternBytes(3 * segmentBytes + 5, 1);
  return [
    base,
    editedBytes(base, 2),
    base.subarray(0, 1000),
    Buffer.alloc(0),
    Buffer.from('x'),
    base.subarray(0, segmentBytes),
    base.subarray(0, segmentBytes + 1),
    base.subarray(0, 2 * segmentBytes),
    Buffer.concat([base, base]),
    Buffer.alloc(4 * segmentBytes),
    textBytes(200_000, 3),
  ];
}
