/** VCDIFF files made by hand, field by field, and what they must decode to or fail with. */
import { adler32Of } from './adler32-plain.js';

const MAGIC = [0xd6, 0xc3, 0xc4, 0x00];

/** A number as VCDIFF writes it. */
export function number(value: number): number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) bytes.unshift((rest % 128) | 128);
  return bytes;
}

interface WindowParts {
  readonly indicator?: number;
  /** Length and position of the segment. */
  readonly segment?: readonly [number, number];
  readonly targetBytes: number;
  readonly deltaIndicator?: number;
  readonly data?: readonly number[];
  readonly instructions?: readonly number[];
  readonly addresses?: readonly number[];
  readonly checksum?: number;
  /** Put in place of the right length of what follows. */
  readonly restBytes?: number;
}

export function vcdiffWindow(parts: WindowParts): number[] {
  const { segment, data = [], instructions = [], addresses = [], checksum } = parts;
  const sum = checksum === undefined ? [] : [24, 16, 8, 0].map((shift) => (checksum >>> shift) & 255);
  const rest = [
    ...number(parts.targetBytes),
    parts.deltaIndicator ?? 0,
    ...[data, instructions, addresses].flatMap((section) => number(section.length)),
    ...sum,
    ...data,
    ...instructions,
    ...addresses,
  ];
  const indicator = parts.indicator ?? (segment === undefined ? 0 : 1) | (checksum === undefined ? 0 : 4);
  return [indicator, ...(segment ?? []).flatMap(number), ...number(parts.restBytes ?? rest.length), ...rest];
}

export function vcdiffFile(windows: readonly number[][], indicator = 0, extra: readonly number[] = []): Buffer {
  return Buffer.from([...MAGIC, indicator, ...extra, ...windows.flat()]);
}

export interface DeltaCase {
  readonly name: string;
  readonly source: Buffer;
  readonly delta: Buffer;
  /** What it decodes to, or the code of its error. */
  readonly result: Buffer | string;
}

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const bytes = (value: string): number[] => [...text(value)];
const SOURCE = text('abcdefghijklmnopqrstuvwxyz');

const GOOD: readonly (readonly [string, Buffer, string])[] = [
  ['no window', vcdiffFile([]), ''],
  ['an empty window', vcdiffFile([vcdiffWindow({ targetBytes: 0 })]), ''],
  [
    'literals with own size',
    vcdiffFile([vcdiffWindow({ targetBytes: 3, data: bytes('xyz'), instructions: [4] })]),
    'xyz',
  ],
  [
    'literals with size apart',
    vcdiffFile([vcdiffWindow({ targetBytes: 3, data: bytes('xyz'), instructions: [1, 3] })]),
    'xyz',
  ],
  [
    'a run',
    vcdiffFile([vcdiffWindow({ targetBytes: 200, data: bytes('r'), instructions: [0, 0x81, 72] })]),
    'r'.repeat(200),
  ],
  [
    'a copy in each mode',
    // SELF 5; HERE 26+4-25 = 5 again; NEAR slot 0 + 2 = 7; SAME slot 7; RFC cache rules decide all but the first.
    vcdiffFile([
      vcdiffWindow({
        segment: [26, 0],
        targetBytes: 16,
        instructions: [20, 36, 52, 116],
        addresses: [5, 25, 2, 7],
      }),
    ]),
    'fghifghihijkhijk',
  ],
  [
    'all near slots and all same blocks',
    vcdiffFile([
      vcdiffWindow({
        segment: [26, 0],
        targetBytes: 44,
        // Near slots fill with 1, 2, 3, 4 and are asked in turn; then SAME of 1 and 22 (slot = address).
        instructions: [20, 20, 20, 20, 52, 68 + 16 * 0, 84, 100, 116, 116, 20],
        addresses: [1, 2, 3, 4, 10, 11, 12, 13, 11, 4, 22],
      }),
    ]),
    'bcdecdefdefgefghlmnonopqpqrsrstulmnoefghwxyz',
  ],
  [
    'pairs in one code',
    // 163: ADD 1 + COPY 4 mode 0; 174: ADD 4 + COPY 6 mode 0; 247: COPY 4 mode 0 + ADD 1.
    vcdiffFile([
      vcdiffWindow({
        segment: [26, 0],
        targetBytes: 20,
        data: bytes('1wxyz!'),
        instructions: [163, 174, 247],
        addresses: [0, 1, 2],
      }),
    ]),
    '1abcdwxyzbcdefgcdef!',
  ],
  [
    'a copy that repeats itself',
    vcdiffFile([vcdiffWindow({ targetBytes: 11, data: bytes('ab'), instructions: [3, 25], addresses: [0] })]),
    'abababababa',
  ],
  [
    'a copy from the segment into the target',
    vcdiffFile([
      vcdiffWindow({ segment: [3, 23], targetBytes: 8, data: bytes('12'), instructions: [3, 22], addresses: [1] }),
    ]),
    '12yz12yz',
  ],
  [
    'a segment of the target',
    vcdiffFile([
      vcdiffWindow({ targetBytes: 6, data: bytes('foobar'), instructions: [7] }),
      vcdiffWindow({ indicator: 2, segment: [4, 1], targetBytes: 4, instructions: [20], addresses: [0] }),
    ]),
    'foobaroo' + 'ba',
  ],
  [
    'a checksum',
    vcdiffFile([
      vcdiffWindow({ targetBytes: 3, data: bytes('xyz'), instructions: [4], checksum: adler32Of(text('xyz')) }),
    ]),
    'xyz',
  ],
  [
    'an application header',
    vcdiffFile([vcdiffWindow({ targetBytes: 1, data: [65], instructions: [2] })], 4, [2, 9, 9]),
    'A',
  ],
  [
    'a compressor that no window uses',
    vcdiffFile([vcdiffWindow({ targetBytes: 1, data: [65], instructions: [2] })], 1, [16]),
    'A',
  ],
];

const one = { targetBytes: 1, data: [65], instructions: [2] };
const copy = { segment: [26, 0] as const, targetBytes: 4, instructions: [20], addresses: [0] };
const CORRUPT = 'DK_CORRUPT_DELTA';

const BAD: readonly (readonly [string, Buffer, string])[] = [
  ['nothing', Buffer.alloc(0), CORRUPT],
  ['another magic', Buffer.from([0xd6, 0xc3, 0xc4, 0x53, 0]), CORRUPT],
  ['an unknown file indicator', vcdiffFile([vcdiffWindow(one)], 8), CORRUPT],
  ['a code table', vcdiffFile([vcdiffWindow(one)], 2, [1, 0]), 'DK_UNSUPPORTED'],
  ['an application header beyond the end', vcdiffFile([], 4, [3, 1]), CORRUPT],
  ['an unknown window indicator', vcdiffFile([vcdiffWindow({ ...one, indicator: 8 })]), CORRUPT],
  ['both segments', vcdiffFile([vcdiffWindow({ ...copy, indicator: 3 })]), CORRUPT],
  ['a compressed data section', vcdiffFile([vcdiffWindow({ ...one, deltaIndicator: 1 })], 1, [2]), 'DK_UNSUPPORTED'],
  ['an unknown delta indicator', vcdiffFile([vcdiffWindow({ ...one, deltaIndicator: 8 })]), CORRUPT],
  ['bytes after the window', vcdiffFile([vcdiffWindow(one), [0]]), CORRUPT],
  ['a rest too long', vcdiffFile([vcdiffWindow({ ...one, restBytes: 8 }), [0]]), CORRUPT],
  ['a rest too short', vcdiffFile([vcdiffWindow({ ...one, restBytes: 6 })]), CORRUPT],
  ['a number without end', vcdiffFile([[0, ...Array(20).fill(0xff)]]), CORRUPT],
  ['a target longer than its instructions', vcdiffFile([vcdiffWindow({ ...one, targetBytes: 2 })]), CORRUPT],
  ['a target of 2^50 bytes without instructions', vcdiffFile([vcdiffWindow({ targetBytes: 2 ** 50 })]), CORRUPT],
  ['instructions beyond the target', vcdiffFile([vcdiffWindow({ ...one, targetBytes: 0 })]), CORRUPT],
  ['an instruction without its size', vcdiffFile([vcdiffWindow({ ...one, instructions: [2, 1] })]), CORRUPT],
  ['data missing', vcdiffFile([vcdiffWindow({ ...one, data: [] })]), CORRUPT],
  ['data left over', vcdiffFile([vcdiffWindow({ ...one, data: [65, 66] })]), CORRUPT],
  ['an address missing', vcdiffFile([vcdiffWindow({ ...copy, addresses: [] })]), CORRUPT],
  ['an address left over', vcdiffFile([vcdiffWindow({ ...copy, addresses: [0, 0] })]), CORRUPT],
  ['an address that is not there yet', vcdiffFile([vcdiffWindow({ ...copy, addresses: [26] })]), CORRUPT],
  [
    'a distance beyond the start',
    vcdiffFile([vcdiffWindow({ ...copy, instructions: [36], addresses: [27] })]),
    CORRUPT,
  ],
  ['a distance of nothing', vcdiffFile([vcdiffWindow({ ...copy, instructions: [36], addresses: [0] })]), CORRUPT],
  ['a huge address', vcdiffFile([vcdiffWindow({ ...copy, addresses: [...Array(8).fill(0xff), 0x7f] })]), CORRUPT],
  ['a segment beyond the source', vcdiffFile([vcdiffWindow({ ...copy, segment: [26, 1] })]), CORRUPT],
  ['a huge segment position', vcdiffFile([vcdiffWindow({ ...copy, segment: [4, 2 ** 52] })]), CORRUPT],
  ['a segment beyond the target', vcdiffFile([vcdiffWindow({ ...copy, indicator: 2, segment: [4, 0] })]), CORRUPT],
  ['a wrong checksum', vcdiffFile([vcdiffWindow({ ...one, checksum: 1 })]), CORRUPT],
  [
    'a target beyond the limit',
    vcdiffFile([vcdiffWindow({ targetBytes: 1 << 21, data: [0], instructions: [0, ...number(1 << 21)] })]),
    'DK_LIMIT',
  ],
];

/** The caller's limit under which the cases hold. */
export const CASE_BYTES_MAX = 1 << 20;

export const VCDIFF_CASES: readonly DeltaCase[] = [
  ...GOOD.map(([name, delta, result]) => ({ name, source: SOURCE, delta, result: text(result) })),
  ...BAD.map(([name, delta, result]) => ({ name, source: SOURCE, delta, result })),
];
