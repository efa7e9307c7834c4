/**
 * Reads VCDIFF files (docs/format-vcdiff.md): first all headers and instruction
 * sizes, then the work, with every address checked as it comes.
 */
import { DiffKeeperError } from '../core/core.js';
import {
  AddressCache,
  adler32,
  FIRST_SAME_MODE,
  type InstructionKind,
  VCDIFF_CODES,
  VCDIFF_FILE,
  VCDIFF_MAGIC,
  VCDIFF_WINDOW,
} from './twin-vcdiff-format.js';

function damaged(what: string): DiffKeeperError {
  return new DiffKeeperError('DK_CORRUPT_DELTA', `VCDIFF: ${what}`);
}

class Input {
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  byte(): number {
    const value = this.bytes[this.at];
    if (value === undefined) throw damaged('cut off');
    this.at += 1;
    return value;
  }

  number(): number {
    let value = 0;
    for (;;) {
      const byte = this.byte();
      value = value * 128 + (byte & 127);
      if (!Number.isSafeInteger(value)) throw damaged('a number out of range');
      if (byte < 128) return value;
    }
  }

  take(length: number): Uint8Array {
    if (length > this.left) throw damaged('cut off');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
}

interface Window {
  readonly indicator: number;
  readonly segmentBytes: number;
  readonly segmentAt: number;
  readonly targetBytes: number;
  readonly checksum: number;
  readonly data: Uint8Array;
  readonly instructions: Uint8Array;
  readonly addresses: Uint8Array;
}

function readFileHeader(input: Input): void {
  for (const magic of VCDIFF_MAGIC) if (input.byte() !== magic) throw damaged('no such header');
  const indicator = input.byte();
  if (indicator > 7) throw damaged('an unknown file indicator');
  // That a compressor is named does not mean that a window uses it.
  if (indicator & VCDIFF_FILE.secondary) input.byte();
  if (indicator & VCDIFF_FILE.codeTable) {
    throw new DiffKeeperError('DK_UNSUPPORTED', 'VCDIFF: the file brings a code table of its own');
  }
  if (indicator & VCDIFF_FILE.applicationHeader) input.take(input.number());
}

function readWindow(input: Input): Window {
  const indicator = input.byte();
  const segment = indicator & (VCDIFF_WINDOW.source | VCDIFF_WINDOW.target);
  if (indicator > 7 || segment === 3) throw damaged('an unknown window indicator');
  const segmentBytes = segment === 0 ? 0 : input.number();
  const segmentAt = segment === 0 ? 0 : input.number();
  const body = new Input(input.take(input.number()));
  const targetBytes = body.number();
  const compressed = body.byte();
  if (compressed > 7) throw damaged('an unknown delta indicator');
  if (compressed !== 0) {
    throw new DiffKeeperError(
      'DK_UNSUPPORTED',
      'VCDIFF: the file uses secondary compression (write it with xdelta3 -S none)',
    );
  }
  const [dataBytes, instructionBytes, addressBytes] = [body.number(), body.number(), body.number()];
  const sum: Iterable<number> = indicator & VCDIFF_WINDOW.checksum ? body.take(4) : [];
  const checksum = [...sum].reduce((value, byte) => value * 256 + byte, 0);
  const data = body.take(dataBytes);
  const instructions = body.take(instructionBytes);
  const addresses = body.take(addressBytes);
  if (body.left > 0) throw damaged('a window longer than its parts');
  return { indicator, segmentBytes, segmentAt, targetBytes, checksum, data, instructions, addresses };
}

function* readInstructions(bytes: Uint8Array): Generator<{ kind: InstructionKind; size: number; mode: number }> {
  const input = new Input(bytes);
  while (input.left > 0) {
    for (const { kind, size, mode } of VCDIFF_CODES[input.byte()] ?? []) {
      yield { kind, size: size === 0 ? input.number() : size, mode };
    }
  }
}

function checkSizes(window: Window): void {
  let left = window.targetBytes;
  for (const { size } of readInstructions(window.instructions)) {
    if (size > left) throw damaged('instructions that leave the window');
    left -= size;
  }
  if (left > 0) throw damaged('instructions that do not make the window');
}

function readAddress(input: Input, cache: AddressCache, mode: number, here: number): number {
  let address: number;
  if (mode >= FIRST_SAME_MODE) address = cache.sameOf(mode, input.byte());
  else if (mode === 0) address = input.number();
  else if (mode === 1) address = here - input.number();
  else address = cache.nearOf(mode) + input.number();
  if (address < 0 || address >= here) throw damaged('an address that is not there yet');
  cache.update(address);
  return address;
}

/** Copies from the segment, then from the window itself, which may be what is just being written. */
function copyBytes(
  window: Window,
  segment: Uint8Array,
  out: Buffer,
  made: number,
  address: number,
  size: number,
): void {
  const first = Math.max(0, Math.min(size, window.segmentBytes - address));
  out.set(segment.subarray(address, address + first), made);
  const from = address + first - window.segmentBytes;
  let done = first;
  while (done < size) {
    const piece = Math.min(size - done, made + done - from);
    out.copyWithin(made + done, from, from + piece);
    done += piece;
  }
}

function makeWindow(window: Window, segment: Uint8Array, out: Buffer): void {
  const data = new Input(window.data);
  const addresses = new Input(window.addresses);
  const cache = new AddressCache();
  let made = 0;
  for (const { kind, size, mode } of readInstructions(window.instructions)) {
    if (kind === 'add') out.set(data.take(size), made);
    else if (kind === 'run') out.fill(data.byte(), made, made + size);
    else {
      const address = readAddress(addresses, cache, mode, window.segmentBytes + made);
      copyBytes(window, segment, out, made, address, size);
    }
    made += size;
  }
  if (data.left > 0 || addresses.left > 0) throw damaged('bytes that nothing uses');
  if (window.indicator & VCDIFF_WINDOW.checksum && adler32(out) !== window.checksum) {
    throw damaged('a checksum does not match: the delta is damaged or the source is another one');
  }
}

function segmentOf(window: Window, source: Uint8Array, done: Buffer): Uint8Array {
  const from = window.indicator & VCDIFF_WINDOW.target ? done : source;
  if (window.segmentAt + window.segmentBytes > from.length && window.indicator & 3) {
    throw damaged('a segment that is not there');
  }
  return from.subarray(window.segmentAt, window.segmentAt + window.segmentBytes);
}

/** The target that a VCDIFF file makes. Throws DK_CORRUPT_DELTA, DK_UNSUPPORTED, DK_LIMIT. */
export function vcdiffPatchNow(source: Uint8Array, delta: Uint8Array, targetBytesMax: number): Buffer {
  const input = new Input(delta);
  readFileHeader(input);
  const windows: Window[] = [];
  let total = 0;
  while (input.left > 0) {
    const window = readWindow(input);
    checkSizes(window);
    windows.push(window);
    total += window.targetBytes;
  }
  if (total > targetBytesMax) {
    throw new DiffKeeperError(
      'DK_LIMIT',
      `VCDIFF: the delta makes ${total} bytes; at most ${targetBytesMax} are allowed`,
      { expected: targetBytesMax, actual: total },
    );
  }
  const target = Buffer.alloc(total);
  let done = 0;
  for (const window of windows) {
    const segment = segmentOf(window, source, target.subarray(0, done));
    makeWindow(window, segment, target.subarray(done, done + window.targetBytes));
    done += window.targetBytes;
  }
  return target;
}
