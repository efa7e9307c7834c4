/** BSDIFF40 files: two frozen ones, and files made field by field with what they must decode to or fail with. */
import { encodeBzip2 } from '../../src/engine/twin-bzip2-encode.js';
import type { DeltaCase } from './vcdiff-cases.js';

const latin = (value: string): Buffer => Buffer.from(value, 'latin1');

const GOLDEN_SOURCE = latin('The quick brown fox jumps over the lazy dog. '.repeat(8) + '0123456789abcdef'.repeat(4));
const GOLDEN_TARGET = latin(
  `${'The quick brown cat jumps over the lazy dog. '.repeat(6)}A new sentence. ${'0123456789abcdeF'.repeat(4)}end`,
);
/** Made by bsdiff 4.3. */
const GOLDEN_BSDIFF =
  'QlNESUZGNDA4AAAAAAAAADgAAAAAAAAAYQEAAAAAAABCWmg5MUFZJlNZgNpbQgAAEUZAfAEgAABAQAAgADEGTECUyjZQn2WwwFWYp5j+LuSKcKEhAbS2' +
  'hEJaaDkxQVkmU1kx//0uAAAB0AHADAGAQAAQBiAAMQZMQIqaGafawegJRcGDkTRdyRThQkDH//S4QlpoOTFBWSZTWXMvFX8AAAEVgEAAIQAOAQyAIAAx' +
  'ADAhkGmgeaoT53kMAnxdyRThQkHMvFX8';
/** Made by the native engine. */
const GOLDEN_OURS =
  'QlNESUZGNDA0AAAAAAAAADgAAAAAAAAAYQEAAAAAAABCWmg5MUFZJlNZXpUCOAAADkYAfAkgAABAIAAhiBkIMmITkekmkA05Y8XckU4UJBelQI4AQlpo' +
  'OTFBWSZTWTH//S4AAAHQAcAMAYBAABAGIAAxBkxAipoZp9rB6AlFwYORNF3JFOFCQMf/9LhCWmg5MUFZJlNZcy8VfwAAARWAQAAhAA4BDIAgADEAMCGQ' +
  'aaB5qhPneQwCfF3JFOFCQcy8Vfw=';

function numbers(values: readonly number[]): Buffer {
  const out = Buffer.alloc(values.length * 8);
  values.forEach((value, i) => {
    const magnitude = BigInt(Math.abs(value));
    out.writeBigUInt64LE(value < 0 ? magnitude | (1n << 63n) : magnitude, i * 8);
  });
  return out;
}

interface FileParts {
  /** Numbers of the control stream. */
  readonly control: readonly number[];
  readonly differences?: Buffer;
  readonly extra?: string;
  readonly targetBytes: number;
  readonly controlBytes?: number;
  readonly differenceBytes?: number;
  readonly after?: string;
}

function bsdiffFile(parts: FileParts): Buffer {
  const control = encodeBzip2(numbers(parts.control));
  const differences = encodeBzip2(parts.differences ?? Buffer.alloc(0));
  const extra = encodeBzip2(latin(parts.extra ?? ''));
  const lengths = [
    parts.controlBytes ?? control.length,
    parts.differenceBytes ?? differences.length,
    parts.targetBytes,
  ];
  return Buffer.concat([latin('BSDIFF40'), numbers(lengths), control, differences, extra, latin(parts.after ?? '')]);
}

const GOOD: readonly (readonly [string, FileParts, string])[] = [
  ['nothing', { control: [], targetBytes: 0 }, ''],
  ['extra bytes', { control: [0, 3, 0], extra: 'xyz', targetBytes: 3 }, 'xyz'],
  [
    'a sum and a seek',
    { control: [2, 1, 3, 2, 0, 0], differences: Buffer.from([0, 1, 0, 255]), extra: '-', targetBytes: 5 },
    'ac-ff',
  ],
  ['a seek backwards', { control: [3, 0, -2, 2, 0, 0], differences: Buffer.alloc(5), targetBytes: 5 }, 'abcbc'],
  [
    'source bytes before the start',
    { control: [0, 0, -2, 4, 0, 0], differences: latin('xy\0\0'), targetBytes: 4 },
    'xyab',
  ],
  [
    'source bytes after the end',
    { control: [0, 0, 24, 4, 0, 0], differences: latin('\0\0xy'), targetBytes: 4 },
    'yzxy',
  ],
  ['minus zero', { control: [1, 0, -0], differences: Buffer.alloc(1), targetBytes: 1 }, 'a'],
  ['sixteen idle triples', { control: [...Array(48).fill(0), 0, 1, 0], extra: 'x', targetBytes: 1 }, 'x'],
];

const one: FileParts = { control: [0, 1, 0], extra: 'x', targetBytes: 1 };
const BAD: readonly (readonly [string, FileParts])[] = [
  ['an idle triple too many', { ...one, control: [...Array(51).fill(0), 0, 1, 0] }],
  ['a negative sum', { ...one, control: [-1, 2, 0] }],
  ['a negative copy', { ...one, control: [2, -1, 0], differences: Buffer.alloc(2) }],
  ['a triple cut off', { ...one, control: [0, 1] }],
  ['triples that make too little', { ...one, targetBytes: 2 }],
  ['triples that make too much', { ...one, targetBytes: 0 }],
  ['a triple after the end', { ...one, control: [0, 1, 0, 0, 1, 0], extra: 'xx' }],
  ['a huge seek', { ...one, control: [0, 0, Number.MAX_SAFE_INTEGER * 512, 0, 1, 0] }],
  ['a huge copy', { ...one, control: [0, Number.MAX_SAFE_INTEGER, 0] }],
  ['too few extra bytes', { ...one, extra: '' }],
  ['too many extra bytes', { ...one, extra: 'xy' }],
  ['too few differences', { control: [2, 0, 0], differences: Buffer.alloc(1), targetBytes: 2 }],
  ['too many differences', { ...one, differences: Buffer.alloc(1) }],
  ['bytes after the end', { ...one, after: 'x' }],
  ['a control length beyond the file', { ...one, controlBytes: 2 ** 40 }],
  ['a negative control length', { ...one, controlBytes: -1 }],
  ['a difference length beyond the file', { ...one, differenceBytes: 2 ** 50 }],
  ['a control length too short', { ...one, controlBytes: 30 }],
  ['a target of 2^50 bytes', { ...one, targetBytes: 2 ** 50 }],
  ['a negative target length', { ...one, targetBytes: -1 }],
];

const SOURCE = latin('abcdefghijklmnopqrstuvwxyz');

export const BSDIFF_CASES: readonly DeltaCase[] = [
  { name: 'bsdiff 4.3', source: GOLDEN_SOURCE, delta: Buffer.from(GOLDEN_BSDIFF, 'base64'), result: GOLDEN_TARGET },
  { name: 'native', source: GOLDEN_SOURCE, delta: Buffer.from(GOLDEN_OURS, 'base64'), result: GOLDEN_TARGET },
  ...GOOD.map(([name, parts, result]) => ({ name, source: SOURCE, delta: bsdiffFile(parts), result: latin(result) })),
  ...BAD.map(([name, parts]) => ({ name, source: SOURCE, delta: bsdiffFile(parts), result: 'DK_CORRUPT_DELTA' })),
  { name: 'another magic', source: SOURCE, delta: Buffer.alloc(100), result: 'DK_CORRUPT_DELTA' },
  { name: 'no bytes', source: SOURCE, delta: Buffer.alloc(0), result: 'DK_CORRUPT_DELTA' },
  {
    name: 'a target beyond the limit',
    source: SOURCE,
    delta: bsdiffFile({ control: [0, (1 << 20) + 1, 0], extra: 'z'.repeat((1 << 20) + 1), targetBytes: (1 << 20) + 1 }),
    result: 'DK_LIMIT',
  },
];
