/** Blobs out of packs together with the chains of deltas that they are made of. */
import { checkAlgo, checkBytes, checkInteger } from './check-arguments.js';
import type { HashAlgo } from './engine.js';

/** Where the record of a short blob stands, and what it is to become. */
export interface ChainPlace {
  /** First byte of the record in its file. */
  readonly offset: number;
  readonly recordBytes: number;
  /** So many bytes up to the end of the record are read, and what it is coded against is looked for among them. */
  readonly windowBytes: number;
  /** 32 bytes. */
  readonly digest: Uint8Array;
  readonly decodedBytes: number;
}

/** Where records of blobs stand, in columns. */
export interface RecordPlaces {
  /** Descriptors of the files; -1 for one of which nothing is to be read. */
  readonly fds: Int32Array;
  /** Per record a triple: number of its file in `fds`, first byte, bytes of the record, at most 2 MiB. */
  readonly places: Float64Array;
  /** Per record the digest of its blob, 32 bytes. */
  readonly placeDigests: Uint8Array;
}

/** As far as chains were followed. */
export interface FollowedChains {
  /** Whole records, one behind the other, each once: those that were asked for, and those that these stand on. */
  readonly records: Buffer;
  /** Digests of what these stand on besides, 32 bytes each, each once. */
  readonly missing: Buffer;
}

export interface ChainBatch extends RecordPlaces {
  /** As `followChains` gave them. */
  readonly records: readonly Uint8Array[];
  /** Of the blobs that are wanted, 32 bytes each. Each must be among the records or the places. */
  readonly digests: Uint8Array;
  readonly decodedLengths: Uint32Array;
  /** Where the blobs go, one behind the other. Not to be touched until the call resolves. */
  readonly target: Uint8Array;
  readonly algo: HashAlgo;
}

export interface ChainVerbs {
  /**
   * Reads a short blob out of a pack together with the chain of deltas that it is made of, and decodes it: the bytes,
   * verified by their digest. Null for everything that keeps it from that, whatever it is: a link that does not stand whole
   * within the window, another kind of context, bytes that do not decode or have another digest, a disk that gives nothing.
   * The blob is to be read link by link then, which the TypeScript engine always asks for.
   */
  readChain(fd: number, place: ChainPlace, algo: HashAlgo): Promise<Buffer | null>;
  /**
   * Reads records of blobs, at most 16 MiB of them, with up to 2 MiB of what stands before them, and looks there for what they
   * are coded against, and so on. What is not whole, or coded against anything but the whole of one other blob, is left out
   * without a word, as all is by the TypeScript engine.
   */
  followChains(places: RecordPlaces): Promise<FollowedChains>;
  /**
   * Decodes blobs whose chains were followed to their ends; `places` says where the records stand that are coded against
   * nothing and have not been read. Gives 0 for each blob whose bytes are in the target and have its digest, and another
   * number for those of which nothing in the target is to be used, whatever the reason: these are to be read link by link,
   * which the TypeScript engine asks for of all.
   */
  decodeChains(batch: ChainBatch): Promise<Uint8Array>;
}

const NONE = Buffer.alloc(0);
/** Bytes of a window of `readChain` and of what a link decodes to, at most. */
const CHAIN_BYTES_MAX = 1 << 20;
const RECORDS_BYTES_MAX = 16 << 20;
const RECORD_BYTES_MAX = 2 << 20;
/** Everything ends below 2^53. */
const OFFSET_MAX = 2 ** 52;

/** The verbs in plain TypeScript. */
export const twinChains: ChainVerbs = {
  async readChain() {
    return null;
  },
  async followChains() {
    return { records: NONE, missing: NONE };
  },
  async decodeChains({ decodedLengths }) {
    return new Uint8Array(decodedLengths.length).fill(1);
  },
};

/** Gives how many bytes the records have. */
function checkPlaces({ fds, places, placeDigests }: RecordPlaces): number {
  if (!(fds instanceof Int32Array)) throw new TypeError('fds must be an Int32Array');
  if (!(places instanceof Float64Array)) throw new TypeError('places must be a Float64Array');
  checkBytes(placeDigests, 'placeDigests');
  if (places.length % 3 !== 0 || placeDigests.length * 3 !== places.length * 32) {
    throw new RangeError('places must be triples, each with a digest');
  }
  let total = 0;
  for (let at = 0; at < places.length; at += 3) {
    checkInteger(places[at], 'file of a record', 0, fds.length - 1);
    checkInteger(places[at + 1], 'offset of a record', 0, OFFSET_MAX);
    checkInteger(places[at + 2], 'length of a record', 1, RECORD_BYTES_MAX);
    total += places[at + 2] as number;
  }
  return total;
}

/** The verbs with their arguments checked. */
export function guardChains(inner: ChainVerbs): ChainVerbs {
  return {
    async readChain(fd, place, algo) {
      checkAlgo(algo);
      checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
      checkInteger(place.offset, 'offset', 0, OFFSET_MAX);
      checkInteger(place.recordBytes, 'recordBytes', 1, CHAIN_BYTES_MAX);
      checkInteger(place.windowBytes, 'windowBytes', place.recordBytes, CHAIN_BYTES_MAX);
      checkInteger(place.decodedBytes, 'decodedBytes', 0, CHAIN_BYTES_MAX);
      checkBytes(place.digest, 'digest');
      if (place.digest.length !== 32) throw new RangeError(`digest must have 32 bytes, it has ${place.digest.length}`);
      return inner.readChain(fd, place, algo);
    },
    async followChains(places) {
      const total = checkPlaces(places);
      if (total > RECORDS_BYTES_MAX) throw new RangeError(`records of ${total} bytes, at most ${RECORDS_BYTES_MAX}`);
      return inner.followChains(places);
    },
    async decodeChains(batch) {
      checkAlgo(batch.algo);
      checkPlaces(batch);
      for (const piece of batch.records) checkBytes(piece, 'records');
      checkBytes(batch.digests, 'digests');
      checkBytes(batch.target, 'target');
      if (!(batch.decodedLengths instanceof Uint32Array)) throw new TypeError('decodedLengths must be a Uint32Array');
      if (batch.digests.length !== batch.decodedLengths.length * 32) {
        throw new RangeError('the arrays of a batch must describe equally many items');
      }
      const total = batch.decodedLengths.reduce((sum, bytes) => sum + bytes, 0);
      if (total > batch.target.length) throw new RangeError(`target must have ${total} bytes`);
      return inner.decodeChains(batch);
    },
  };
}
