/** What both directions of VCDIFF (RFC 3284) share: the default code table, the address cache, the checksum. */

export const VCDIFF_MAGIC: readonly number[] = [0xd6, 0xc3, 0xc4, 0x00];
/** Bits of the file indicator. */
export const VCDIFF_FILE = { secondary: 1, codeTable: 2, applicationHeader: 4 } as const;
/** Bits of the window indicator; the checksum is an extension of xdelta3. */
export const VCDIFF_WINDOW = { source: 1, target: 2, checksum: 4 } as const;

export type InstructionKind = 'add' | 'run' | 'copy';

/** Half of an instruction code. Size 0 means that the size follows in the instructions. */
export interface Instruction {
  readonly kind: InstructionKind;
  readonly size: number;
  /** Of a copy's address. */
  readonly mode: number;
}

const NEAR_SLOTS = 4;
const SAME_BLOCKS = 3;
export const FIRST_NEAR_MODE = 2;
export const FIRST_SAME_MODE = FIRST_NEAR_MODE + NEAR_SLOTS;
const MODES = FIRST_SAME_MODE + SAME_BLOCKS;

function makeCodes(): readonly (readonly Instruction[])[] {
  const codes: Instruction[][] = [];
  const add = (size: number): Instruction => ({ kind: 'add', size, mode: 0 });
  const copy = (size: number, mode: number): Instruction => ({ kind: 'copy', size, mode });
  codes.push([{ kind: 'run', size: 0, mode: 0 }]);
  for (let size = 0; size <= 17; size += 1) codes.push([add(size)]);
  for (let mode = 0; mode < MODES; mode += 1) {
    codes.push([copy(0, mode)]);
    for (let size = 4; size <= 18; size += 1) codes.push([copy(size, mode)]);
  }
  for (let mode = 0; mode < MODES; mode += 1) {
    const longest = mode < FIRST_SAME_MODE ? 6 : 4;
    for (let size = 1; size <= 4; size += 1) {
      for (let copied = 4; copied <= longest; copied += 1) codes.push([add(size), copy(copied, mode)]);
    }
  }
  for (let mode = 0; mode < MODES; mode += 1) codes.push([copy(4, mode), add(1)]);
  return codes;
}

/** Section 5.6 of the RFC. */
export const VCDIFF_CODES = makeCodes();

/** Addresses used before, section 5.1; starts over with every window. */
export class AddressCache {
  private readonly near = new Float64Array(NEAR_SLOTS);
  private readonly same = new Float64Array(SAME_BLOCKS * 256);
  private next = 0;

  nearOf(mode: number): number {
    return this.near[mode - FIRST_NEAR_MODE] as number;
  }

  sameOf(mode: number, byte: number): number {
    return this.same[(mode - FIRST_SAME_MODE) * 256 + byte] as number;
  }

  update(address: number): void {
    this.near[this.next] = address;
    this.next = (this.next + 1) % NEAR_SLOTS;
    this.same[address % this.same.length] = address;
  }
}

/** Adler-32 (RFC 1950). */
export function adler32(data: Uint8Array): number {
  let [a, b] = [1, 0];
  // So many bytes can be summed before 32 bits overflow.
  for (let at = 0; at < data.length; at += 3800) {
    const end = Math.min(at + 3800, data.length);
    for (let i = at; i < end; i += 1) {
      a += data[i] as number;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return b * 65536 + a;
}
