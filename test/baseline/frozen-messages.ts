/** Messages of each version that decode for ever, and are written for ever where their version still is. */
import type { StateEncoderOptions } from '../../src/baseline/baseline.js';

export const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => ((i * i) >> 7) & 255));
export const changed = Buffer.from(bytes);
changed[0] = 85;
const [B, T, S] = [
  '24861029dcaac2306bba897355825680e5901010201693023220166f5372b75e',
  '64ec05642939bb9ee8a8f9c0a5d94b1c',
  '41855c811de7162f11ee6fcaea12f5b4b458825d8c422c0d39d27b12a1927713',
];

/** A full message of `bytes`, in hex before and behind them, and the delta to `changed`. */
export type Pair = readonly [before: string, behind: string, delta: string];
export const PAIRS: Readonly<Record<string, Pair>> = {
  'version 1, blake3': [
    '444b53310118060004766d2d3102766d80d095ffbc3181e2cfaa0610ac02010600ac0200ac02',
    `032aac02${B}9e91b302534e6669`,
    `444b53310138050004766d2d3102766d80d095ffbc3181e2cfaa06${B}10ac02010806ac0200ac0200080100040001000155032aac022b4667ae97a8428dc6aa3394191d473a6396730324c01c623f564c33d48a31097c645166e9e1ad56`,
  ],
  'version 1, sha256': [
    '444b53310118060104766d2d3102766d80d095ffbc3181e2cfaa0610ac02010600ac0200ac02',
    `032aac02${S}7bd22370c200b97d`,
    `444b53310138050104766d2d3102766d80d095ffbc3181e2cfaa06${S}10ac02010806ac0200ac0200080100040001000155032aac0278c9de4f3da56639054d6181d5cce2b8c7868f933904299cadfd052d729f55cd509a60492123b8f0`,
  ],
  'version 2': [
    '444b53310218060204766d2d3102766d80d095ffbc3181e2cfaa0610ac02010600ac0200ac02',
    `031aac02${T}014883076631cf73`,
    `444b53310228050204766d2d3102766d80d095ffbc3181e2cfaa06${T}10ac02010806ac0200ac0200080100040001000155031aac0213a55a3e86a04b5aac45bc53a14a958061dabab4abe24335`,
  ],
  'version 2, previous': [
    '444b53310218060204766d2d3102766d80d095ffbc3181e2cfaa0610ac02010600ac0200ac02',
    `031aac02${T}014883076631cf73`,
    `444b5331022d070204766d2d3102766d80d095ffbc3182e2cfaa0681e2cfaa06${T}10ac02010806ac0200ac0200080100040001000155031aac0213a55a3e86a04b5aac45bc53a14a9580bced7eadb1868fae`,
  ],
};
/** Those that are written now, with what asks for them. */
export const WRITTEN: Readonly<Record<string, readonly [StateEncoderOptions, Pair]>> = {
  'version 3': [
    {},
    [
      '444b5331031302020004766d2d3180d095ffbc3102ac02ac02',
      `${T}b0a1f1966f0dff77`,
      `444b5331032201020604766d2d3180d095ffbc3102${T}ac0208010004000100015513a55a3e86a04b5aac45bc53a14a9580070b11d9cbe296bd`,
    ],
  ],
  'version 3, previous': [
    { reference: 'previous' },
    [
      '444b5331031302020004766d2d3180d095ffbc3102ac02ac02',
      `${T}b0a1f1966f0dff77`,
      `444b5331032303020604766d2d3180d095ffbc310402${T}ac0208010004000100015513a55a3e86a04b5aac45bc53a14a9580f0227e82a50f6a3b`,
    ],
  ],
  'version 3, blake3': [
    { digest: 'blake3' },
    [
      '444b5331031302000004766d2d3180d095ffbc3102ac02ac02',
      `${B}acfb5830f05413d1`,
      `444b5331033241000604766d2d3180d095ffbc3102${B}ac020801000400010001552b4667ae97a8428dc6aa3394191d473a6396730324c01c623f564c33d48a3109db43f6b11b40f549`,
    ],
  ],
};
/** Full messages by themselves: engine, state, key, message. */
export const SINGLES: readonly (readonly [string, Buffer, string])[] = [
  [
    'repeat',
    Buffer.alloc(4096, 'state '),
    '444b5331031102020903612d6380d095ffbc31048020070c737461746520d404a5bcb3fe29c9b5f1b0477e3f92dc66ff10c28201cc78',
  ],
  [
    'raw',
    Buffer.alloc(0),
    '444b5331031002020003612d6380d095ffbc310800004b356dcbcaa852f8152dc3996a4089a3488c7b572095dfcb',
  ],
  [
    'raw',
    Buffer.from('plain'),
    '444b5331030d082a00016b80d095ffbc310505706c61696e608d83486a0212c40d7bdf868c740d1d369241a0657f9c16',
  ],
];

export const fullOf = ([before, behind]: Pair): Buffer =>
  Buffer.concat([Buffer.from(before, 'hex'), bytes, Buffer.from(behind, 'hex')]);
export const deltaOf = ([, , delta]: Pair): Buffer => Buffer.from(delta, 'hex');
