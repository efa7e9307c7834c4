/** Records that wait to be written to the open pack. */

const SMALL_RECORD_BYTES = 16 << 10;
const CHUNK_BYTES = 256 << 10;
const NO_ROOM = Buffer.alloc(0);

export class StagedRecords {
  #staged: Buffer[] = [];
  #bytes = 0;
  /** What is left of the chunk at the end of `#staged`. */
  #room: Buffer = NO_ROOM;

  get bytes(): number {
    return this.#bytes;
  }

  /** Small records are copied together: tens of thousands of them would cost more memory than their bytes. */
  add(record: Buffer): void {
    this.#bytes += record.length;
    if (record.length > SMALL_RECORD_BYTES) {
      this.#staged.push(record);
      this.#room = NO_ROOM;
      return;
    }
    if (record.length > this.#room.length) {
      this.#room = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#staged.push(this.#room.subarray(0, 0));
    }
    const chunk = this.#staged[this.#staged.length - 1] as Buffer;
    this.#room.set(record);
    this.#room = this.#room.subarray(record.length);
    this.#staged[this.#staged.length - 1] = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length + record.length);
  }

  /** All of them, in order; none is left. */
  take(): Buffer[] {
    const staged = this.#staged;
    this.#staged = [];
    this.#bytes = 0;
    this.#room = NO_ROOM;
    return staged;
  }
}
