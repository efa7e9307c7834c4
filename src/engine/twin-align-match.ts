/** Which parts of the target are, nearly or exactly, parts of the source: the twin's way of finding out. */

/** Part of the target on one diagonal of the source; bytes inside may differ. */
export interface Copy {
  readonly target: number;
  readonly source: number;
  readonly length: number;
}

const BLOCK = 32;
const CHUNK = 4096;
/** Longest index of the source, entries. */
const SLOTS_MAX = 1 << 24;
const FACTOR = 0x01000193;

/** FACTOR to the power of BLOCK - 1, modulo 2^32. */
function topFactor(): number {
  let power = 1;
  for (let i = 1; i < BLOCK; i += 1) power = Math.imul(power, FACTOR);
  return power;
}
const TOP = topFactor();

function hashAt(bytes: Uint8Array, at: number): number {
  let hash = 0;
  for (let i = at; i < at + BLOCK; i += 1) hash = (Math.imul(hash, FACTOR) + (bytes[i] as number)) | 0;
  return hash;
}

const mixed = (hash: number, shift: number): number => Math.imul(hash ^ (hash >>> 15), 0x9e3779b1) >>> shift;

class Finder {
  readonly copies: Copy[] = [];
  private end = 0;
  private readonly shift: number;
  private readonly slots: Int32Array;

  constructor(
    private readonly source: Uint8Array,
    private readonly target: Uint8Array,
  ) {
    let bits = 8;
    while (1 << bits < Math.min(SLOTS_MAX, (source.length / BLOCK) * 2)) bits += 1;
    this.shift = 32 - bits;
    this.slots = new Int32Array(1 << bits);
    for (let at = 0; at + BLOCK <= source.length; at += BLOCK) {
      const slot = mixed(hashAt(source, at), this.shift);
      if (this.slots[slot] === 0) this.slots[slot] = at / BLOCK + 1;
    }
  }

  /** Equal bytes from two positions on. */
  private equalRun(target: number, source: number): number {
    const limit = Math.min(this.target.length - target, this.source.length - source);
    let at = 0;
    while (at + CHUNK <= limit) {
      const ours = this.target.subarray(target + at, target + at + CHUNK);
      if (Buffer.compare(ours, this.source.subarray(source + at, source + at + CHUNK)) !== 0) break;
      at += CHUNK;
    }
    while (at < limit && this.target[target + at] === this.source[source + at]) at += 1;
    return at;
  }

  /** Bytes behind an equal run that belong to it all the same: blocks that are at least half equal. */
  private extend(target: number, source: number): number {
    const limit = Math.min(this.target.length - target, this.source.length - source);
    let at = 0;
    let kept = 0;
    while (at + BLOCK <= limit) {
      let equal = 0;
      for (let i = at; i < at + BLOCK; i += 1) equal += this.target[target + i] === this.source[source + i] ? 1 : 0;
      if (equal * 2 < BLOCK) break;
      at += BLOCK;
      at += this.equalRun(target + at, source + at);
      kept = at;
    }
    while (kept > 0 && this.target[target + kept - 1] !== this.source[source + kept - 1]) kept -= 1;
    return kept;
  }

  /** Makes a copy of an equal place when it is long enough. */
  private take(target: number, source: number, lengthMin: number): boolean {
    const ahead = this.equalRun(target, source);
    let back = 0;
    const limit = Math.min(target - this.end, source);
    while (back < limit && this.target[target - back - 1] === this.source[source - back - 1]) back += 1;
    if (ahead + back < lengthMin) return false;
    const length = back + ahead + this.extend(target + ahead, source + ahead);
    this.copies.push({ target: target - back, source: source - back, length });
    this.end = target - back + length;
    return true;
  }

  /** Takes what is mostly equal on the same diagonal without a whole equal block. */
  private takeAlike(target: number, source: number): boolean {
    const length = this.extend(target, source);
    if (length < 2 * BLOCK) return false;
    this.copies.push({ target, source, length });
    this.end = target + length;
    return true;
  }

  run(): void {
    const { source, target } = this;
    let at = 0;
    let diagonal = 0;
    let hash = 0;
    let hashed = -2;
    while (at + BLOCK <= target.length) {
      hash =
        hashed === at - 1
          ? (Math.imul(hash - Math.imul(target[at - 1] as number, TOP), FACTOR) + (target[at + BLOCK - 1] as number)) |
            0
          : hashAt(target, at);
      hashed = at;
      const straight = at + diagonal;
      const block = ((this.slots[mixed(hash, this.shift)] as number) - 1) * BLOCK;
      const found =
        (straight >= 0 &&
          straight < source.length &&
          target[at] === source[straight] &&
          this.take(at, straight, BLOCK)) ||
        (straight >= 0 && at === this.end && this.takeAlike(at, straight)) ||
        (block >= 0 && target[at] === source[block] && this.take(at, block, BLOCK));
      if (!found) {
        at += 1;
        continue;
      }
      const last = this.copies[this.copies.length - 1] as Copy;
      diagonal = last.source - last.target;
      at = this.end;
    }
  }
}

/** Copies in order of the target, not overlapping there. */
export function findCopies(source: Uint8Array, target: Uint8Array): Copy[] {
  if (source.length < BLOCK || target.length < BLOCK) return [];
  const finder = new Finder(source, target);
  finder.run();
  return finder.copies;
}
