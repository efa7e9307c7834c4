/** Reads one value after the other, for the second reader of messages. Bytes that end too soon or stay over are errors. */
export class Cursor {
  at = 0;
  constructor(readonly bytes: Buffer) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  take(count: number): Buffer {
    if (count > this.left) throw new Error('bytes end too soon');
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  rest(): Buffer {
    return this.take(this.left);
  }

  u8(): number {
    return this.take(1).readUInt8();
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.u8();
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new Error('a number is too large');
    return value;
  }

  /** 0, -1, 1, -2 are 0, 1, 2, 3. */
  zigzag(): number {
    const folded = this.varint();
    return folded % 2 === 1 ? -(folded + 1) / 2 : folded / 2;
  }

  text(): string {
    const length = this.varint();
    if (length < 1 || length > 1024) throw new Error(`a name of ${length} bytes`);
    return new TextDecoder('utf-8', { fatal: true }).decode(this.take(length));
  }

  end(): void {
    if (this.left !== 0) throw new Error(`${this.left} bytes stay over`);
  }
}
