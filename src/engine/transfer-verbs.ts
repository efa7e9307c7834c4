/** What the transport uses of an engine: hashing in any order, and what the kernel knows about a connection. */
import { checkBytes, checkInteger, checkSeed } from './check-arguments.js';
import { GROUP_BYTES, groupValue, rootFromGroups } from './twin-blake3.js';
import { yieldTurn } from './twin-hash.js';
import { xxh3Wide } from './twin-xxh3-wide.js';

/** Columns of the figures of a socket. */
export const SOCKET_FIGURES = {
  /** Smoothed round trip, ms. */
  rttMs: 0,
  /** Smallest round trip seen, ms. */
  minRttMs: 1,
  /** Segments sent again since the connection began. */
  retransmits: 2,
  /** Segments sent since the connection began, those sent again included. */
  segments: 3,
  /** What the kernel measured last, bytes per second; 0 when it has no figure. */
  deliveryRate: 4,
  /** 1 when that figure was limited by what we gave it to send, not by the network. */
  applicationLimited: 5,
  /** Congestion window, bytes. */
  windowBytes: 6,
  /** Bytes in its send queue that have not been sent. */
  unsentBytes: 7,
  /** Segments sent that the other side's kernel has not acknowledged. */
  unackedSegments: 8,
  /** Bytes that it has acknowledged since the connection began. */
  ackedBytes: 9,
} as const;

/** What is set on a socket; what is absent stays as it is. */
export interface SocketTuning {
  /** Congestion control, for example `bbr`. A name that the kernel does not have is ignored. */
  readonly congestion?: string;
  /** Unsent bytes above which a socket counts as full. */
  readonly unsentBytes?: number;
  /** How long sent data may stay unacknowledged before the connection counts as dead. */
  readonly userTimeoutMs?: number;
  readonly sendBufferBytes?: number;
  readonly receiveBufferBytes?: number;
}

export interface TransferVerbs {
  /**
   * BLAKE3 chaining values (32 bytes each) of consecutive whole groups of 64 KiB; `firstGroup` counts from the start of
   * the whole input, so that the parts of it can be hashed in any order.
   */
  groupValues(data: Uint8Array, firstGroup: number): Promise<Buffer>;
  /** The same on the calling thread: about 0.16 ms for 1 MiB. */
  groupValuesSync(data: Uint8Array, firstGroup: number): Buffer;
  /**
   * BLAKE3 digest of the whole input from the values of its leading groups and the bytes behind them: 1 to 65,536, or
   * none when there are no groups either.
   */
  rootOfGroups(groups: Uint8Array, tail: Uint8Array): Buffer;
  /**
   * XXH3-128 of every group of 64 KiB of `data` and of what is left behind the last whole one: 16 bytes each in canonical
   * order, none for no data. On the calling thread. `seed`: 0 to 2^64 - 1. It finds damage; it proves nothing to somebody who
   * is out to deceive.
   */
  xxh3Groups(data: Uint8Array, seed: bigint): Buffer;
  /** XXH3-128 of all of `data`: 16 bytes in canonical order. */
  xxh3Wide(data: Uint8Array, seed: bigint): Buffer;
  /** Figures in the columns of `SOCKET_FIGURES`; undefined where the system or the engine has none. */
  socketFigures(fd: number): Float64Array | undefined;
  /** Sets what the system knows of it; false when it refused something, which is no failure. */
  tuneSocket(fd: number, tuning: SocketTuning): boolean;
}

const SETTING_MAX = 2 ** 31 - 1;
/** Hashed in one turn of the event loop. */
const TURN_BYTES = 16 * GROUP_BYTES;

/** The verbs in plain TypeScript: no figures, nothing to set. */
export const twinTransfers: TransferVerbs = {
  async groupValues(data, firstGroup) {
    const values: Buffer[] = [];
    for (let at = 0; at < data.length; at += TURN_BYTES) {
      const some = data.subarray(at, at + TURN_BYTES);
      values.push(twinTransfers.groupValuesSync(some, firstGroup + at / GROUP_BYTES));
      await yieldTurn();
    }
    return Buffer.concat(values);
  },
  groupValuesSync(data, firstGroup) {
    const values = Buffer.alloc((data.length / GROUP_BYTES) * 32);
    for (let at = 0, index = 0; at < data.length; at += GROUP_BYTES, index += 1) {
      values.set(groupValue(data.subarray(at, at + GROUP_BYTES), firstGroup + index), index * 32);
    }
    return values;
  },
  rootOfGroups: (groups, tail) => rootFromGroups(groups, groups.length / 32, tail),
  xxh3Groups(data, seed) {
    const values = Buffer.alloc(Math.ceil(data.length / GROUP_BYTES) * 16);
    for (let at = 0, index = 0; at < data.length; at += GROUP_BYTES, index += 1) {
      values.set(xxh3Wide(data.subarray(at, at + GROUP_BYTES), seed), index * 16);
    }
    return values;
  },
  xxh3Wide,
  socketFigures: () => undefined,
  tuneSocket: () => false,
};

function checkTail(groups: Uint8Array, tail: Uint8Array): void {
  if (groups.length % 32 !== 0) throw new RangeError('groups must be 32 bytes each');
  if (tail.length > GROUP_BYTES) throw new RangeError(`tail must have at most ${GROUP_BYTES} bytes`);
  if (tail.length === 0 && groups.length > 0) throw new RangeError('the last group must come as tail');
}

function checkGroups(data: Uint8Array, firstGroup: number): void {
  checkBytes(data, 'data');
  if (data.length % GROUP_BYTES !== 0) throw new RangeError('data must be whole groups of 65536 bytes');
  checkInteger(firstGroup, 'firstGroup', 0, 2 ** 36);
}

/** The verbs with their arguments checked. */
export function guardTransfers(inner: TransferVerbs): TransferVerbs {
  return {
    async groupValues(data, firstGroup) {
      checkGroups(data, firstGroup);
      return inner.groupValues(data, firstGroup);
    },
    groupValuesSync(data, firstGroup) {
      checkGroups(data, firstGroup);
      return inner.groupValuesSync(data, firstGroup);
    },
    rootOfGroups(groups, tail) {
      checkBytes(groups, 'groups');
      checkBytes(tail, 'tail');
      checkTail(groups, tail);
      return inner.rootOfGroups(groups, tail);
    },
    xxh3Groups(data, seed) {
      checkBytes(data, 'data');
      checkSeed(seed);
      return inner.xxh3Groups(data, seed);
    },
    xxh3Wide(data, seed) {
      checkBytes(data, 'data');
      checkSeed(seed);
      return inner.xxh3Wide(data, seed);
    },
    socketFigures(fd) {
      checkInteger(fd, 'fd', 0, SETTING_MAX);
      return inner.socketFigures(fd);
    },
    tuneSocket(fd, tuning) {
      checkInteger(fd, 'fd', 0, SETTING_MAX);
      for (const name of ['unsentBytes', 'userTimeoutMs', 'sendBufferBytes', 'receiveBufferBytes'] as const) {
        checkInteger(tuning[name] ?? 0, name, 0, SETTING_MAX);
      }
      return inner.tuneSocket(fd, tuning);
    },
  };
}
