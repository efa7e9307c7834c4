/** Many pieces of one open file in one crossing. */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import { checkBytes, checkInteger } from './check-arguments.js';
import { negativeErrno } from './twin-beneath.js';

/** Runs of a file, and where each belongs. */
export interface FilePieces {
  /** Pairs of offset and length, bytes. */
  readonly runs: Float64Array;
  /** Where each run begins in the room that is read to, bytes. */
  readonly places: Float64Array;
}

export interface RunVerbs {
  /**
   * Reads runs of a file (pairs of offset and length, bytes) to `into`, each behind the room of those before it. Gives,
   * per run, the bytes read (fewer than asked where the file ends) or a negative errno. `into` and the descriptor must
   * be left alone until it resolves.
   */
  readRuns(fd: number, runs: Float64Array, into: Uint8Array): Promise<Float64Array>;
  /** The same with runs that go anywhere in `into`. */
  readPieces(fd: number, pieces: FilePieces, into: Uint8Array): Promise<Float64Array>;
  /** Tells the system that these runs will be read soon; no-op where it has no such call. */
  prefetchRuns(fd: number, runs: Float64Array): Promise<void>;
}

const readFd = promisify(read);
const RUNS_BYTES_MAX = 2 ** 31;

async function readRun(fd: number, offset: number, into: Uint8Array): Promise<number> {
  let done = 0;
  try {
    while (done < into.length) {
      const { bytesRead } = await readFd(fd, into, done, into.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
  } catch (error) {
    return negativeErrno(error);
  }
  return done;
}

/** The verbs in plain TypeScript. */
export const twinRuns: RunVerbs = {
  readRuns(fd, runs, into) {
    const places = new Float64Array(runs.length / 2);
    for (let i = 1; i < places.length; i += 1) places[i] = (places[i - 1] as number) + (runs[2 * i - 1] as number);
    return twinRuns.readPieces(fd, { runs, places }, into);
  },
  async readPieces(fd, { runs, places }, into) {
    const done = new Float64Array(places.length);
    for (let i = 0; i < done.length; i += 1) {
      const at = places[i] as number;
      done[i] = await readRun(fd, runs[2 * i] as number, into.subarray(at, at + (runs[2 * i + 1] as number)));
    }
    return done;
  },
  async prefetchRuns() {},
};

/** A function of its own, as thousands of places are common: short, it is soon compiled well. */
function checkPlaces(runs: Float64Array, places: Float64Array, bytes: number): void {
  for (let i = 0; i < places.length; i += 1) {
    checkInteger(places[i], 'place of a run', 0, bytes - (runs[2 * i + 1] as number));
  }
}

function checkRuns(fd: number, runs: unknown): number {
  checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
  if (!(runs instanceof Float64Array)) throw new TypeError('runs must be a Float64Array');
  if (runs.length % 2 !== 0) throw new RangeError('runs must be pairs of offset and length');
  let total = 0;
  for (let i = 0; i < runs.length; i += 2) {
    checkInteger(runs[i], 'offset of a run', 0, Number.MAX_SAFE_INTEGER);
    checkInteger(runs[i + 1], 'length of a run', 0, RUNS_BYTES_MAX);
    total += runs[i + 1] as number;
  }
  return total;
}

/** The verbs with their arguments checked. */
export function guardRuns(inner: RunVerbs): RunVerbs {
  return {
    async readRuns(fd, runs, into) {
      checkBytes(into, 'into');
      const total = checkRuns(fd, runs);
      if (total > into.length) throw new RangeError(`into must have ${total} bytes, it has ${into.length}`);
      return inner.readRuns(fd, runs, into);
    },
    async readPieces(fd, { runs, places }, into) {
      checkBytes(into, 'into');
      checkRuns(fd, runs);
      if (!(places instanceof Float64Array)) throw new TypeError('places must be a Float64Array');
      if (places.length !== runs.length / 2) throw new RangeError('places must be one for each run');
      checkPlaces(runs, places, into.length);
      return inner.readPieces(fd, { runs, places }, into);
    },
    async prefetchRuns(fd, runs) {
      checkRuns(fd, runs);
      return inner.prefetchRuns(fd, runs);
    },
  };
}
