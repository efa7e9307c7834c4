/** Records that wait to be written to the open pack. */

const SMALL_RECORD_BYTES = 16 << 10;
const CHUNK_BYTES = 256 << 10;
const NO_ROOM = Buffer.alloc(0);

export class StagedRecords {
  #staged: Buffer[] = [];
  #bytes = 0;
  /** What is left of the chunk that small records were copied to last, also of one that has been taken. */
  #room: Buffer = NO_ROOM;
  /** The last of `#staged` ends where `#room` begins. */
  #open = false;

  get bytes(): number {
    return this.#bytes;
  }

  /** Small records are copied together: tens of thousands of them would cost more memory than their bytes. */
  add(record: Buffer): void {
    this.#bytes += record.length;
    if (record.length > SMALL_RECORD_BYTES) {
      this.#staged.push(record);
      this.#open = false;
      return;
    }
    if (record.length > this.#room.length) {
      this.#room = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      this.#open = false;
    }
    this.#room.set(record);
    const before = this.#open ? this.#staged.pop() : undefined;
    const { buffer, byteOffset } = before ?? this.#room;
    this.#staged.push(Buffer.from(buffer, byteOffset, (before?.length ?? 0) + record.length));
    this.#room = this.#room.subarray(record.length);
    this.#open = true;
  }

  /** All of them, in order; none is left. */
  take(): Buffer[] {
    const staged = this.#staged;
    this.#staged = [];
    this.#bytes = 0;
    this.#open = false;
    return staged;
  }
}
