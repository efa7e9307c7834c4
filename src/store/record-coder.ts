/** Records as they stand in the packs of one store: plain, or sealed when it is encrypted. */
import { DiffKeeperError } from '../core/core.js';
import { SEAL_BYTES, type Sealer, type StoreKeys } from '../crypt/crypt.js';
import {
  bareRecordPieces,
  type Checksum,
  type DecodedRecord,
  decodeRecord,
  decodeRecordHead,
  decodeSealedRecord,
  encodeRecord,
  encodeSealedRecord,
  RECORD_CHECK_BYTES,
  RECORD_HEAD_BYTES,
  RECORD_MAGIC,
  type RecordParts,
  SEALED_HEAD_BYTES,
  SEALED_MAGIC,
  sealedEpoch,
  sealedRecordBytes,
} from '../format/format.js';

export interface RecordCoder {
  /** Nothing of a record can be told without opening all of it. */
  readonly sealed: boolean;
  /** Bytes that tell how long a record is. */
  readonly headBytes: number;
  /** What a record is longer here than in its plain form. */
  readonly extraBytes: number;
  /** What every record begins with. */
  readonly magic: Buffer;
  /** Number of a master key that records name which are whole and do not open, while none under this number has opened so far; null for none. */
  readonly unopened: number | null;
  encode(record: RecordParts): Buffer;
  /** Length of the whole record, from its first bytes; bounded. Throws DK_CORRUPT_RECORD. */
  length(bytes: Buffer, offset: number): number;
  /** Checks the whole record, `bytes` being exactly its bytes. Throws DK_CORRUPT_RECORD. */
  decode(bytes: Buffer, offset: number): DecodedRecord;
  /** The plain form of a record that was decoded from these bytes: what other stores are given. */
  toPlain(bytes: Buffer, decoded: DecodedRecord): Buffer;
  /** As it stands in these packs. */
  fromPlain(record: Buffer): Buffer;
  /** The same record for another place: sealed anew where it was under an older master key, and as long as before. */
  moved(bytes: Buffer, decoded: DecodedRecord): Buffer;
}

function magicOf(number: number): Buffer {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(number);
  return magic;
}

/** @param keys null for a store that is not encrypted */
export function recordCoder(checksum: Checksum, keys: StoreKeys | null): RecordCoder {
  if (keys === null) {
    return {
      sealed: false,
      headBytes: RECORD_HEAD_BYTES,
      extraBytes: 0,
      magic: magicOf(RECORD_MAGIC),
      unopened: null,
      encode: (record) => encodeRecord(record, checksum),
      length: (bytes, offset) => decodeRecordHead(bytes, offset).recordBytes,
      decode: (bytes, offset) => decodeRecord(bytes, offset, checksum),
      toPlain: (bytes) => bytes,
      fromPlain: (record) => record,
      moved: (bytes) => bytes,
    };
  }
  return sealedCoder(checksum, keys);
}

/** What opens records of a master key. Throws DK_KEY_LOST: to take a record for damage that another key opens would lose it. */
function openerOf(keys: StoreKeys, epoch: number): Sealer {
  const known = epoch === keys.epoch ? keys : keys.older.get(epoch);
  if (known) return known.records;
  const message = `a record was sealed under master key ${epoch}, which the key files do not have: put back the newest copy of KEYS`;
  throw new DiffKeeperError('DK_KEY_LOST', message, { actual: epoch });
}

function sealedCoder(checksum: Checksum, keys: StoreKeys): RecordCoder {
  const { records, epoch } = keys;
  const seal = (pieces: readonly Uint8Array[]): Buffer => {
    const sealedBytes = pieces.reduce((sum, piece) => sum + piece.length, SEAL_BYTES);
    return encodeSealedRecord({ sealedBytes, epoch }, checksum, (room, head) => records.sealInto(room, pieces, head));
  };
  // Numbers of master keys: of the records that opened, and of those that are whole and did not.
  const [opened, refused] = [new Set<number>(), new Set<number>()];
  return {
    sealed: true,
    headBytes: SEALED_HEAD_BYTES,
    extraBytes: SEALED_HEAD_BYTES + SEAL_BYTES,
    magic: magicOf(SEALED_MAGIC),
    get unopened() {
      return [...refused].find((number) => !opened.has(number)) ?? null;
    },
    encode: (record) => seal(bareRecordPieces(record)),
    length: sealedRecordBytes,
    decode: (bytes, offset) =>
      decodeSealedRecord(bytes, offset, checksum, (sealed, bound) => {
        const number = sealedEpoch(bound);
        const plain = openerOf(keys, number).open(sealed, bound);
        (plain ? opened : refused).add(number);
        return plain;
      }),
    toPlain: (_bytes, { head, contextList, payload }) => encodeRecord({ ...head, contextList, payload }, checksum),
    fromPlain: (record) => seal([record.subarray(0, record.length - RECORD_CHECK_BYTES)]),
    moved: (bytes, { plain }) => (plain && sealedEpoch(bytes) !== epoch ? seal([plain]) : bytes),
  };
}
