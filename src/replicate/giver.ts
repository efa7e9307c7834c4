/** The side that has: answers what the taking side asks about its store, and sends the records that it wants. */
import { DiffKeeperError } from '../core/core.js';
import { VERSION_TYPE } from '../format/format.js';
import { exchangeOf, type OnUnreadable, type Store, type StoreExchange } from '../store/store.js';
import type { Session } from '../transport/transport.js';
import { decodeDigests, decodePaths, encodeDescriptions } from './blob-messages.js';
import {
  decodeHistoryQuestion,
  decodeIdentities,
  decodeVersionsQuestion,
  encodeHistoryPage,
  type HistoryPage,
  type HistoryPageItem,
  STANDING,
  type Standing,
} from './history-messages.js';
import {
  ANSWER_BYTES,
  encodeHello,
  type Identity,
  ITEMS_MAX,
  RECORDS_SERVICE,
  sameIdentity,
  VERB,
} from './protocol.js';

/** What an item of a page takes besides its versions, at most. */
const ITEM_BYTES = 1500;
/** Records in one batch; whoever takes asks for at most 1 MiB, or one that is longer. */
const WANTED_BYTES_MAX = 2 << 20;
/** Of checkpoints and versions in one answer: what is sent again when a run is cut while their blobs are fetched. */
const PAGE_BYTES = 512 << 10;

export interface GiverOptions {
  /** Told of the bytes of each batch that the other side has taken over, and what it wants in all so far. */
  readonly onSent?: (bytes: number, planned: number) => void;
  /** Go on instead of another writer. Default false. */
  readonly takeOver?: boolean;
}

/** What this store says of itself. */
export function helloOf(store: Store, takeOver = false): Buffer {
  const { id, hashAlgo, newest } = store;
  return encodeHello({ store: id, hashAlgo, newest, encrypted: exchangeOf(store).encrypted, takeOver });
}

export class Giver {
  readonly #store: Store;
  readonly #exchange: StoreExchange;
  readonly #session: Session;
  readonly #options: GiverOptions;

  private constructor(store: Store, session: Session, options: GiverOptions) {
    this.#store = store;
    this.#exchange = exchangeOf(store);
    this.#session = session;
    this.#options = options;
  }

  /** Answers for this store as long as the session lives. @throws DK_UNSUPPORTED for a store of schema 1 */
  static attach(store: Store, session: Session, options: GiverOptions = {}): void {
    const giver = new Giver(store, session, options);
    session.onRequest(VERB.hello, async () => helloOf(store, options.takeOver));
    session.onRequest(VERB.locate, async (body) => Buffer.from(await giver.#locate(decodeIdentities(body))));
    session.onRequest(VERB.history, async (body) => encodeHistoryPage(await giver.#history(body)));
    session.onRequest(VERB.versions, (body) => giver.#versions(body));
    session.onRequest(VERB.describe, async (body) => {
      return encodeDescriptions(await giver.#exchange.describe(decodeDigests(body).digests));
    });
    session.onRequest(VERB.want, (body, { signal }) => giver.#send(body, signal));
    session.onRequest(VERB.alive, (body) => giver.#alive(body));
  }

  async #locate(identities: readonly Identity[]): Promise<Standing[]> {
    const standings: Standing[] = [];
    for (const identity of identities) {
      const newest = this.#store.newest;
      if (newest === null || identity.sequence > newest.sequence) {
        standings.push(STANDING.ahead);
        continue;
      }
      const found = await this.#store.checkpointAt(identity.sequence).catch((error: unknown) => {
        if (error instanceof DiffKeeperError && error.code === 'DK_NOT_FOUND') return null;
        throw error;
      });
      if (!found) standings.push(STANDING.dropped);
      else standings.push(sameIdentity(found, identity) ? STANDING.kept : STANDING.other);
    }
    return standings;
  }

  async #history(body: Buffer): Promise<HistoryPage> {
    const { newest, trusted } = decodeHistoryQuestion(body);
    const mark = await this.#exchange.pruneMark();
    const [standing = STANDING.kept] = newest ? await this.#locate([newest]) : [];
    const goOn = standing === STANDING.kept || (standing === STANDING.dropped && trusted);
    if (!goOn) return { standing, mark, items: [], more: false };
    const page = await this.#unmoved(mark, () => this.#pageAfter(newest?.sequence ?? 0));
    return { standing, mark, ...page };
  }

  async #pageAfter(sequence: number): Promise<Pick<HistoryPage, 'items' | 'more'>> {
    const items: HistoryPageItem[] = [];
    let room = PAGE_BYTES;
    for await (const item of this.#exchange.history(sequence)) {
      const fits = item.versionsBytes + ITEM_BYTES <= room;
      if (items.length >= ITEMS_MAX || (!fits && items.length > 0)) return { items, more: true };
      // Of what is asked for in pieces nothing comes along: the other side may have much of it from before.
      const bytes = fits ? item.versionsBytes : 0;
      items.push({ ...item, versions: await this.#exchange.readVersions(item.checkpoint.sequence, 0, bytes) });
      if (!fits) return { items, more: true };
      room -= bytes + ITEM_BYTES;
    }
    return { items, more: false };
  }

  async #versions(body: Buffer): Promise<Buffer> {
    const { mark, sequence, offset } = decodeVersionsQuestion(body);
    return this.#unmoved(mark, () => this.#exchange.readVersions(sequence, offset, ANSWER_BYTES));
  }

  /** What the work gives while the history stayed where it was; what it throws otherwise says nothing about the store. */
  async #unmoved<T>(mark: number, work: () => Promise<T>): Promise<T> {
    const given = await work().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    if ((await this.#exchange.pruneMark()) !== mark) {
      throw new DiffKeeperError('DK_NOT_FOUND', 'the history was pruned or condensed while it was being read');
    }
    if ('error' in given) throw given.error;
    return given.value;
  }

  async #send(body: Buffer, signal: AbortSignal): Promise<Buffer> {
    const { number, planned, digests } = decodeDigests(body);
    const records = Buffer.concat(await this.#exchange.records(digests, WANTED_BYTES_MAX));
    const key = Buffer.alloc(8);
    key.writeBigUInt64LE(BigInt(number));
    await this.#session.send(
      {
        service: RECORDS_SERVICE,
        key,
        meta: key,
        size: records.length,
        read: async (offset, into) => records.copy(into, 0, offset, offset + into.length),
        view: (offset, length) => records.subarray(offset, offset + length),
      },
      { signal },
    );
    this.#options.onSent?.(records.length, planned);
    return Buffer.alloc(0);
  }

  async #alive(body: Buffer): Promise<Buffer> {
    const { sequence, paths } = decodePaths(body);
    const answers = Buffer.alloc(paths.length);
    const onUnreadable: OnUnreadable = (damaged) => {
      if (damaged.sequence <= sequence) throw damaged.error;
    };
    for (const [index, path] of paths.entries()) {
      for await (const found of this.#store.versions(path, { onUnreadable })) {
        if (found.sequence > sequence) continue;
        answers[index] = found.version.type === VERSION_TYPE.removed ? 0 : 1;
        break;
      }
    }
    return answers;
  }
}
