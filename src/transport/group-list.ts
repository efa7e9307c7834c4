/**
 * A value for each group of a blob, in any order of arrival. Its memory is made in pieces when they are needed, since the
 * size is only somebody's word.
 */

/** Values in one piece of memory: those of 128 MiB. */
const SEGMENT_GROUPS = 2048;

export class GroupList {
  readonly #groups: number;
  readonly #valueBytes: number;
  readonly #segments = new Map<number, Buffer>();
  #kept = 0;

  /** @param valueBytes length of a value */
  constructor(groups: number, valueBytes: number) {
    this.#groups = groups;
    this.#valueBytes = valueBytes;
  }

  /** Whether every group has had its value. */
  get whole(): boolean {
    return this.#kept === this.#groups;
  }

  /** Keeps the values of `count` groups from `first` on, of which none has one yet. */
  keep(first: number, count: number, values: Buffer): void {
    const bytes = this.#valueBytes;
    for (let index = 0; index < count; index += 1) {
      const group = first + index;
      const segment = this.#segment(Math.floor(group / SEGMENT_GROUPS));
      values.copy(segment, (group % SEGMENT_GROUPS) * bytes, index * bytes, (index + 1) * bytes);
    }
    this.#kept += count;
  }

  #segment(number: number): Buffer {
    let segment = this.#segments.get(number);
    if (segment === undefined) {
      const left = this.#groups - number * SEGMENT_GROUPS;
      segment = Buffer.alloc(Math.min(left, SEGMENT_GROUPS) * this.#valueBytes);
      this.#segments.set(number, segment);
    }
    return segment;
  }

  /** The pieces of the list in order; all of it when it is whole. */
  parts(): Buffer[] {
    const parts: Buffer[] = [];
    for (let number = 0; number * SEGMENT_GROUPS < this.#groups; number += 1) {
      const segment = this.#segments.get(number);
      if (segment !== undefined) parts.push(segment);
    }
    return parts;
  }
}
