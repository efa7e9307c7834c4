/**
 * Reads BSDIFF40 files (docs/format-bsdiff.md). Lengths are checked against the
 * bytes there are, the triples as a whole before the target is made; source
 * positions outside the source count as zeros.
 */
import { DiffKeeperError } from '../core/core.js';
import { decodeBzip2 } from './twin-bzip2-decode.js';

/** Shared with the encoder. */
export const BSDIFF_MAGIC = 'BSDIFF40';
export const BSDIFF_HEADER_BYTES = 32;
export const BSDIFF_TRIPLE_BYTES = 24;

const IDLE_TRIPLES_MAX = 16;
/** Positions beyond this are nonsense, and sums of two stay exact. */
const POSITION_MAX = 2 ** 51;
/** A bzip2 block of at least 24 bytes makes at most this many. */
const BLOCK_BYTES_MAX = (900_000 / 5) * 259;
const BLOCK_CODED_MIN = 24;

function damaged(what: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `BSDIFF40: ${what}`);
}

/** Eight bytes of magnitude and sign. */
function readNumber(bytes: Buffer, at: number): number {
  const value = bytes.readUIntLE(at, 6) + (bytes.readUInt16LE(at + 6) & 0x7fff) * 2 ** 48;
  if (value > POSITION_MAX) throw damaged('a number out of range');
  return (bytes[at + 7] as number) & 0x80 ? -value : value;
}

/** Hands out a decoded stream in the pieces that are asked for. */
class StreamReader {
  private readonly pieces: Generator<Uint8Array>;
  private held: Buffer = Buffer.alloc(0);

  constructor(coded: Uint8Array) {
    this.pieces = decodeBzip2(coded);
  }

  /** Fills `out` as far as the stream goes; returns how many bytes it got. */
  read(out: Buffer): number {
    let got = 0;
    while (got < out.length) {
      if (this.held.length === 0) {
        const next = this.pieces.next();
        if (next.done) break;
        this.held = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
        continue;
      }
      const taken = this.held.copy(out, got);
      this.held = this.held.subarray(taken);
      got += taken;
    }
    return got;
  }

  /** The whole stream, which must be exactly this long. */
  static readAll(coded: Uint8Array, length: number): Buffer {
    if (length > decodedBytesMax(coded.length)) throw damaged('a stream that cannot hold what it must');
    const reader = new StreamReader(coded);
    const out = Buffer.alloc(length);
    if (reader.read(out) < length || reader.read(Buffer.alloc(1)) > 0) throw damaged('a stream of the wrong length');
    return out;
  }
}

function decodedBytesMax(coded: number): number {
  return (Math.floor(coded / BLOCK_CODED_MIN) + 1) * BLOCK_BYTES_MAX;
}

interface Triple {
  readonly add: number;
  readonly copy: number;
  /** Source position of the bytes that are added to. */
  readonly position: number;
}

/** The triples, one at a time and checked; together they make exactly `targetBytes`. */
function* readTriples(control: Uint8Array, targetBytes: number): Generator<Triple> {
  const reader = new StreamReader(control);
  const bytes = Buffer.alloc(BSDIFF_TRIPLE_BYTES);
  let left = targetBytes;
  let position = 0;
  let idle = 0;
  for (;;) {
    const got = reader.read(bytes);
    if (got === 0) break;
    if (got < BSDIFF_TRIPLE_BYTES) throw damaged('a triple cut off');
    const add = readNumber(bytes, 0);
    const copy = readNumber(bytes, 8);
    if (add < 0 || copy < 0 || add + copy > left) throw damaged('triples that leave the target');
    left -= add + copy;
    idle = add + copy === 0 ? idle + 1 : 0;
    if (idle > IDLE_TRIPLES_MAX) throw damaged('triples that make nothing');
    yield { add, copy, position };
    position += add + readNumber(bytes, 16);
    if (Math.abs(position) > POSITION_MAX) throw damaged('a source position out of range');
  }
  if (left !== 0) throw damaged('triples that do not make the target');
}

function addSource(target: Buffer, at: number, source: Uint8Array, { add, position }: Triple): void {
  const first = Math.max(0, -position);
  const last = Math.min(add, source.length - position);
  for (let i = first; i < last; i += 1) target[at + i] = (target[at + i] as number) + (source[position + i] as number);
}

/** The target that a BSDIFF40 file makes. Throws DK_CORRUPT_DELTA, DK_LIMIT. */
export function bsdiffPatchNow(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Buffer {
  const bytes = Buffer.from(delta.buffer, delta.byteOffset, delta.byteLength);
  if (bytes.length < BSDIFF_HEADER_BYTES || bytes.toString('latin1', 0, 8) !== BSDIFF_MAGIC) {
    throw damaged('no such header');
  }
  const [controlBytes, differenceBytes, targetBytes] = [8, 16, 24].map((at) => readNumber(bytes, at)) as [
    number,
    number,
    number,
  ];
  const room = bytes.length - BSDIFF_HEADER_BYTES;
  if (controlBytes < 0 || differenceBytes < 0 || targetBytes < 0 || controlBytes + differenceBytes > room) {
    throw damaged('lengths that leave the file');
  }
  const differencesAt = BSDIFF_HEADER_BYTES + controlBytes;
  const extraAt = differencesAt + differenceBytes;
  const control = bytes.subarray(BSDIFF_HEADER_BYTES, differencesAt);
  if (targetBytes > decodedBytesMax(differenceBytes) + decodedBytesMax(bytes.length - extraAt)) {
    throw damaged('a target longer than the streams can hold');
  }
  if (targetBytes > targetBytesMax) {
    throw new DiffKeeperError(
      'DK_LIMIT',
      `BSDIFF40: the delta makes ${targetBytes} bytes; at most ${targetBytesMax} are allowed`,
      { expected: targetBytesMax, actual: targetBytes },
    );
  }
  let added = 0;
  for (const { add } of readTriples(control, targetBytes)) added += add;
  const differences = StreamReader.readAll(bytes.subarray(differencesAt, extraAt), added);
  const extra = StreamReader.readAll(bytes.subarray(extraAt), targetBytes - added);
  const target = Buffer.allocUnsafe(targetBytes);
  let [at, differenceAt, copied] = [0, 0, 0];
  for (const triple of readTriples(control, targetBytes)) {
    differences.copy(target, at, differenceAt, differenceAt + triple.add);
    addSource(target, at, source, triple);
    extra.copy(target, at + triple.add, copied, copied + triple.copy);
    differenceAt += triple.add;
    copied += triple.copy;
    at += triple.add + triple.copy;
  }
  return target;
}
