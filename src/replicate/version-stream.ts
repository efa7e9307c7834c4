/** The versions of a checkpoint as they arrive: whole records out of pieces of any length, in lists of bounded size. */
import { DiffKeeperError, LIMITS, pathToText } from '../core/core.js';
import { decodeRecordHead, hasSafePath, RECORD_HEAD_BYTES, type Version } from '../format/format.js';
import type { StoreExchange } from '../store/store.js';
import type { HistoryPageItem } from './history-messages.js';

const RECORD_BYTES_MAX = LIMITS.payloadBytes + LIMITS.contextListBytes + 64;
/** Versions in one list, about. */
const VERSIONS_AT_ONCE = 20_000;

export class VersionStream {
  readonly #exchange: StoreExchange;
  readonly #item: HistoryPageItem;
  readonly #more: (offset: number) => Promise<Buffer>;

  /** @param more asks for what comes behind a place */
  constructor(exchange: StoreExchange, item: HistoryPageItem, more: (offset: number) => Promise<Buffer>) {
    this.#exchange = exchange;
    this.#item = item;
    this.#more = more;
  }

  /** @throws DK_CORRUPT_RECORD, DK_UNSAFE_PATH, DK_PROTOCOL */
  async *read(): AsyncGenerator<readonly Version[]> {
    const { versionsBytes, checkpoint } = this.#item;
    let bytes = this.#item.versions;
    let taken = bytes.length;
    let list: Version[] = [];
    for (;;) {
      let at = 0;
      for (let record = next(bytes, at); record; record = next(bytes, at)) {
        const { sequence, versions } = await this.#exchange.parseVersions(record);
        if (sequence !== checkpoint.sequence) {
          throw new DiffKeeperError(
            'DK_CORRUPT_RECORD',
            `versions of checkpoint ${sequence} in ${checkpoint.sequence}`,
          );
        }
        for (const version of versions) list.push(safe(version));
        at += record.length;
        if (list.length < VERSIONS_AT_ONCE) continue;
        yield list;
        list = [];
      }
      bytes = bytes.subarray(at);
      if (taken === versionsBytes) break;
      const piece = await this.#more(taken);
      if (piece.length === 0 || piece.length > versionsBytes - taken) {
        throw new DiffKeeperError(
          'DK_PROTOCOL',
          `${piece.length} bytes of versions came, ${versionsBytes - taken} are left`,
        );
      }
      taken += piece.length;
      bytes = Buffer.concat([bytes, piece]);
    }
    if (bytes.length > 0)
      throw new DiffKeeperError('DK_CORRUPT_RECORD', 'records of versions end in the middle of one');
    if (list.length > 0) yield list;
  }
}

/** The whole record at this place; null when more bytes are needed. @throws DK_CORRUPT_RECORD */
function next(bytes: Buffer, at: number): Buffer | null {
  if (bytes.length - at < RECORD_HEAD_BYTES) return null;
  const { recordBytes } = decodeRecordHead(bytes.subarray(at, at + RECORD_HEAD_BYTES), at);
  if (recordBytes > RECORD_BYTES_MAX)
    throw new DiffKeeperError('DK_CORRUPT_RECORD', 'a record of versions is too long');
  return bytes.length - at < recordBytes ? null : bytes.subarray(at, at + recordBytes);
}

function safe(version: Version): Version {
  if (hasSafePath(version)) return version;
  const shown = pathToText(version.path.slice(0, 200));
  throw new DiffKeeperError('DK_UNSAFE_PATH', `a version from elsewhere has the path ${JSON.stringify(shown)}`, {
    path: shown,
  });
}
