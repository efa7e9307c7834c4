/** Bounded reading and growing writing of bytes. Integers are little-endian; varint is unsigned LEB128. */
import { DiffKeeperError, type ErrorCode } from '../core/core.js';

/** Grows as it is written to. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  get length(): number {
    return this.#length;
  }

  #reserve(bytes: number): number {
    const at = this.#length;
    const end = at + bytes;
    if (end > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(end, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    this.#length = end;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#buffer[at] = value;
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#reserve(8);
    this.#buffer.writeBigUInt64LE(BigInt.asUintN(64, value), at);
    return this;
  }

  i64(value: bigint): this {
    const at = this.#reserve(8);
    this.#buffer.writeBigInt64LE(value, at);
    return this;
  }

  f64(value: number): this {
    const at = this.#reserve(8);
    this.#buffer.writeDoubleLE(value, at);
    return this;
  }

  /** A whole number from 0 to 2^53 - 1. */
  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`varint must be 0 to 2^53-1, came ${value}`);
    let rest = value;
    while (rest > 127) {
      this.u8((rest % 128) | 128);
      rest = Math.floor(rest / 128);
    }
    return this.u8(rest);
  }

  /** A whole number from 0 to 2^64 - 1. */
  varint64(value: bigint): this {
    let rest = BigInt.asUintN(64, value);
    while (rest > 127n) {
      this.u8(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    return this.u8(Number(rest));
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.byteLength);
    this.#buffer.set(value, at);
    return this;
  }

  /** A copy-free view of what was written. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Starts again from nothing in the same memory: views handed out before are overwritten. */
  restart(): this {
    this.#length = 0;
    return this;
  }
}

/** What the last of eight bytes counts. */
const VARINT_SCALE_MAX = 2 ** 49;

/** Reads within bounds; anything beyond them is a typed error, never a read past the end. */
export class ByteReader {
  readonly #buffer: Buffer;
  readonly #code: ErrorCode;
  readonly #what: string;
  #at = 0;

  /** @param what named in errors, for example `version record` */
  constructor(bytes: Uint8Array, code: ErrorCode, what: string) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#code = code;
    this.#what = what;
  }

  get offset(): number {
    return this.#at;
  }

  get left(): number {
    return this.#buffer.length - this.#at;
  }

  fail(message: string): never {
    throw new DiffKeeperError(this.#code, `${this.#what}: ${message} at byte ${this.#at}`, { offset: this.#at });
  }

  #take(bytes: number): number {
    if (bytes > this.left) this.fail(`expected ${bytes} more bytes, ${this.left} are left`);
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  u8(): number {
    return this.#buffer[this.#take(1)] as number;
  }

  /** A byte of flags, of which only those in `known` may be set: a bit that means something new must not be lost. */
  flags(known: number): number {
    const value = this.u8();
    if ((value & ~known) !== 0) this.fail(`unknown flags ${value}`);
    return value;
  }

  u32(): number {
    return this.#buffer.readUInt32LE(this.#take(4));
  }

  u64(): bigint {
    return this.#buffer.readBigUInt64LE(this.#take(8));
  }

  i64(): bigint {
    return this.#buffer.readBigInt64LE(this.#take(8));
  }

  f64(): number {
    return this.#buffer.readDoubleLE(this.#take(8));
  }

  /** @param max largest value that makes sense here */
  varint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let index = 0; index < 8; index += 1) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (value > max) this.fail(`expected a number up to ${max}, came ${value}`);
        return value;
      }
      scale *= 128;
    }
    return this.fail('a number is longer than 8 bytes');
  }

  /** Fills `into` with whole numbers up to `max`, as `varint` reads them: one short loop for lists of thousands. */
  varints(into: Uint32Array | Float64Array, max: number): void {
    const buffer = this.#buffer;
    let at = this.#at;
    for (let index = 0; index < into.length; index += 1) {
      let value = 0;
      let byte = 128;
      for (let scale = 1; byte > 127; scale *= 128) {
        if (at >= buffer.length || scale > VARINT_SCALE_MAX) this.#at = at;
        if (at >= buffer.length) this.fail('a list of numbers is cut off');
        if (scale > VARINT_SCALE_MAX) this.fail('a number is longer than 8 bytes');
        byte = buffer[at] as number;
        at += 1;
        value += (byte & 127) * scale;
      }
      if (value > max) {
        this.#at = at;
        this.fail(`expected a number up to ${max}, came ${value}`);
      }
      into[index] = value;
    }
    this.#at = at;
  }

  varint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.u8();
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) {
        if (value >> 64n !== 0n) this.fail('a number is larger than 64 bits');
        return value;
      }
    }
    return this.fail('a number is longer than 10 bytes');
  }

  /** A view (not a copy) of the next bytes. */
  bytes(count: number): Buffer {
    const at = this.#take(count);
    return this.#buffer.subarray(at, at + count);
  }

  expectEnd(): void {
    if (this.left !== 0) this.fail(`${this.left} bytes follow the end`);
  }
}
