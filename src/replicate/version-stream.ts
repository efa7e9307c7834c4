/** The versions of a checkpoint as they arrive: whole records out of pieces of any length, in lists of bounded size. */
import { DiffKeeperError, LIMITS, pathToText } from '../core/core.js';
import { decodeRecordHead, hasSafePath, RECORD_HEAD_BYTES, type Version } from '../format/format.js';
import type { StoreExchange, VersionSpool } from '../store/store.js';
import type { HistoryPageItem } from './history-messages.js';

const RECORD_BYTES_MAX = LIMITS.payloadBytes + LIMITS.contextListBytes + 64;
/** Versions in one list, about. */
const VERSIONS_AT_ONCE = 20_000;

export class VersionStream {
  readonly #exchange: StoreExchange;
  readonly #item: HistoryPageItem;
  readonly #mark: number;
  readonly #more: (offset: number) => Promise<Buffer>;
  #spool: VersionSpool | null = null;

  /**
   * @param mark prune mark of the giver
   * @param more asks for what comes behind a place
   */
  constructor(
    exchange: StoreExchange,
    { item, mark }: { readonly item: HistoryPageItem; readonly mark: number },
    more: (offset: number) => Promise<Buffer>,
  ) {
    this.#exchange = exchange;
    this.#item = item;
    this.#mark = mark;
    this.#more = more;
  }

  /** @throws DK_CORRUPT_RECORD, DK_UNSAFE_PATH, DK_PROTOCOL */
  async *read(): AsyncGenerator<readonly Version[]> {
    let list: Version[] = [];
    try {
      for await (const record of this.#records()) {
        const versions = await this.#parse(record.bytes);
        // Only what is good is kept.
        if (record.fresh) await this.#spool?.append(record.bytes);
        for (const version of versions) list.push(version);
        if (list.length < VERSIONS_AT_ONCE) continue;
        yield list;
        list = [];
      }
      if (list.length > 0) yield list;
    } finally {
      await this.#spool?.close();
    }
  }

  /** What was kept of it is not needed any more, or no good. */
  async discard(): Promise<void> {
    await this.#spool?.remove();
  }

  /** Those of an earlier run first, when they are so many that they do not come with the page. */
  async *#records(): AsyncGenerator<{ readonly bytes: Buffer; readonly fresh: boolean }> {
    const { versionsBytes, versions, checkpoint } = this.#item;
    let taken = versions.length;
    let bytes = versions;
    if (taken < versionsBytes) {
      this.#spool = await this.#exchange.spool(checkpoint, this.#mark);
      taken = 0;
      bytes = Buffer.alloc(0);
      for await (const record of this.#spool.read()) {
        taken += record.length;
        yield { bytes: record, fresh: false };
      }
    }
    for (;;) {
      let at = 0;
      for (let record = next(bytes, at); record; record = next(bytes, at)) {
        yield { bytes: record, fresh: true };
        at += record.length;
      }
      bytes = bytes.subarray(at);
      const left = versionsBytes - taken;
      if (left === 0) break;
      const piece = left > 0 ? await this.#more(taken) : bytes;
      if (piece.length === 0 || piece.length > left) {
        throw new DiffKeeperError('DK_PROTOCOL', `${piece.length} bytes of versions came, ${left} are left`);
      }
      taken += piece.length;
      bytes = Buffer.concat([bytes, piece]);
    }
    if (bytes.length === 0) return;
    throw new DiffKeeperError('DK_CORRUPT_RECORD', 'records of versions end in the middle of one');
  }

  async #parse(record: Buffer): Promise<readonly Version[]> {
    const { sequence, versions } = await this.#exchange.parseVersions(record);
    const expected = this.#item.checkpoint.sequence;
    if (sequence !== expected) {
      throw new DiffKeeperError('DK_CORRUPT_RECORD', `versions of checkpoint ${sequence} came for ${expected}`);
    }
    for (const version of versions) checkPath(version);
    return versions;
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

function checkPath(version: Version): void {
  if (hasSafePath(version)) return;
  const shown = pathToText(version.path.slice(0, 200));
  throw new DiffKeeperError('DK_UNSAFE_PATH', `a version from elsewhere has the path ${JSON.stringify(shown)}`, {
    path: shown,
  });
}
