/**
 * The side that takes: compares histories, fetches what it lacks, and commits each checkpoint once all its blobs are
 * durable here. Nothing of a run is lost when it ends early: blobs stay, and the next run asks for the others.
 */
import { DiffKeeperError, isDiffKeeperError, type Logger, silentLogger, throwIfAborted } from '../core/core.js';
import type { Version } from '../format/format.js';
import { type CheckpointDraft, exchangeOf, type Store, type StoreExchange } from '../store/store.js';
import type { Session } from '../transport/transport.js';
import { BlobGather } from './blob-gather.js';
import { GapRemovals } from './gap-removals.js';
import {
  decodeHistoryPage,
  decodeStandings,
  encodeHistoryQuestion,
  encodeIdentities,
  encodeVersionsQuestion,
  type HistoryPage,
  type HistoryPageItem,
  STANDING,
} from './history-messages.js';
import { type Hello, type Identity, ITEMS_MAX, sameIdentity, VERB } from './protocol.js';
import { RecordIntake } from './record-intake.js';
import { type ReplicaNote, readNote, writeNote } from './replica-note.js';
import type { Ask, SyncOptions, SyncReport } from './types.js';
import { VersionStream } from './version-stream.js';

/** What a page says may be void when a prune runs at either side: it is asked for again, so often in a row. */
const ATTEMPTS = 5;

export class Taker {
  readonly #store: Store;
  readonly #exchange: StoreExchange;
  readonly #session: Session;
  readonly #intake: RecordIntake;
  readonly #logger: Logger;
  #questions = 0;
  readonly #ask: Ask = (verb, body, signal) => {
    this.#questions += 1;
    return this.#session.request(verb, body, signal ? { signal } : {});
  };

  /** Takes batches of records from this session from now on. @throws DK_UNSUPPORTED for a store of schema 1 */
  constructor(store: Store, session: Session, logger: Logger = silentLogger) {
    this.#store = store;
    this.#exchange = exchangeOf(store);
    this.#session = session;
    this.#intake = new RecordIntake(this.#exchange, session, this.#ask);
    this.#logger = logger;
  }

  /**
   * Takes what the other side has.
   *
   * @param writer name of the peer that pushes; undefined when this side pulls
   * @throws DK_REPLICA when this store follows another one, or has another writer; DK_DIVERGED when it has checkpoints
   * that the other side has not
   */
  async run(hello: Hello, writer: string | undefined, options: SyncOptions = {}): Promise<SyncReport> {
    const startMs = performance.now();
    const before = { questions: this.#questions, blobs: this.#intake.blobs, bytes: this.#intake.bytes };
    const note = await this.#checkNote(hello, writer);
    let checkpoints = 0;
    const own = this.#store.newest;
    if (!hello.newest || !own || !sameIdentity(hello.newest, own)) {
      checkpoints = await this.#takeAll(note, options, () => this.#keepNote(hello, writer, note));
    } else await this.#keepNote(hello, writer, note);
    return {
      sequence: this.#store.newest?.sequence ?? 0,
      checkpoints,
      blobs: this.#intake.blobs - before.blobs,
      bytes: this.#intake.bytes - before.bytes,
      questions: this.#questions - before.questions,
      elapsedMs: performance.now() - startMs,
    };
  }

  /** Batches that arrived before a cut are kept: wait for them before the store is closed. */
  idle(): Promise<void> {
    return this.#intake.idle();
  }

  async #checkNote(hello: Hello, writer: string | undefined): Promise<ReplicaNote | null> {
    if (hello.store === this.#store.id) {
      throw new DiffKeeperError('DK_REPLICA', 'a store cannot follow itself, nor a copy of its directory', {
        name: hello.store,
      });
    }
    if (hello.hashAlgo !== this.#store.hashAlgo) {
      const what = `the source uses ${hello.hashAlgo}, this store ${this.#store.hashAlgo}`;
      throw new DiffKeeperError('DK_REPLICA', `${what}: make the replica with --hash-algo=${hello.hashAlgo}`, {
        expected: this.#store.hashAlgo,
        actual: hello.hashAlgo,
      });
    }
    if (hello.encrypted && !this.#exchange.encrypted) {
      throw new DiffKeeperError('DK_REPLICA', 'the source is encrypted: make the replica with --encrypt, too');
    }
    const note = await readNote(this.#store.path);
    if (note && note.source !== hello.store) {
      throw new DiffKeeperError('DK_REPLICA', `this store follows store ${note.source}, not ${hello.store}`, {
        expected: note.source,
        actual: hello.store,
      });
    }
    if (note && writer !== undefined && note.writer !== '' && note.writer !== writer && !hello.takeOver) {
      throw new DiffKeeperError(
        'DK_REPLICA',
        `${note.writer} writes to this replica since ${note.since}, not ${writer}`,
        {
          expected: note.writer,
          actual: writer,
        },
      );
    }
    return note;
  }

  async #keepNote(hello: Hello, writer: string | undefined, note: ReplicaNote | null): Promise<void> {
    const name = writer ?? note?.writer ?? '';
    if (note && note.writer === name) return;
    await writeNote(this.#store.path, { source: hello.store, writer: name, since: new Date().toISOString() });
  }

  /** @param claim notes durably whom this store follows, once that is known to be possible */
  async #takeAll(note: ReplicaNote | null, options: SyncOptions, claim: () => Promise<void>): Promise<number> {
    const exchange = this.#exchange;
    const intake = this.#intake;
    const first = intake.bytes;
    let planned = 0;
    const gather = new BlobGather({
      exchange,
      ask: this.#ask,
      intake,
      signal: options.signal,
      onPlanned: (bytes) => {
        planned += bytes;
      },
    });
    intake.onKept = () => options.onProgress?.(intake.bytes - first, planned);
    let checkpoints = 0;
    let failed = 0;
    for (;;) {
      throwIfAborted(options.signal);
      const mark = await exchange.pruneMark();
      try {
        const page = await this.#page(note, options);
        await claim();
        const taken = await this.#takePage(page, { mark, gather, options });
        checkpoints += taken;
        if (taken === page.items.length && !page.more) return checkpoints;
        failed = taken > 0 ? 0 : failed + 1;
      } catch (error) {
        failed += 1;
        if (!isDiffKeeperError(error, 'DK_NOT_FOUND') || failed >= ATTEMPTS) throw error;
        this.#logger.debug({ reason: error.message }, 'the history changed meanwhile: asking again');
      }
      if (failed >= ATTEMPTS)
        throw new DiffKeeperError('DK_NOT_FOUND', 'the history is pruned faster than it is taken');
      gather.forget();
    }
  }

  /** The next piece of the history, behind what is here. */
  async #page(
    note: ReplicaNote | null,
    options: SyncOptions,
  ): Promise<HistoryPage & { readonly gapAfter: number | null }> {
    const own = this.#store.newest;
    const page = decodeHistoryPage(await this.#ask(VERB.history, encodeHistoryQuestion(own, false), options.signal));
    if (own === null || page.standing === STANDING.kept) return { ...page, gapAfter: null };
    if (page.standing !== STANDING.dropped) throw this.#diverged(own);
    const base = await this.#lastCommon(options);
    // Without a note nothing says that this store ever followed the other one.
    if (base === 0 && note === null) throw this.#diverged(own);
    const trusted = decodeHistoryPage(await this.#ask(VERB.history, encodeHistoryQuestion(own, true), options.signal));
    return { ...trusted, gapAfter: base };
  }

  #diverged({ sequence }: Identity): DiffKeeperError {
    return new DiffKeeperError(
      'DK_DIVERGED',
      `checkpoint ${sequence} of this store is not in the history of the source`,
      {
        actual: sequence,
      },
    );
  }

  /** Sequence of the newest checkpoint that both sides keep; 0 for none. @throws DK_DIVERGED */
  async #lastCommon(options: SyncOptions): Promise<number> {
    let group: Identity[] = [];
    const look = async (): Promise<number> => {
      const standings = decodeStandings(
        await this.#ask(VERB.locate, encodeIdentities(group), options.signal),
        group.length,
      );
      for (const [index, standing] of standings.entries()) {
        const identity = group[index] as Identity;
        if (standing === STANDING.kept) return identity.sequence;
        if (standing !== STANDING.dropped) throw this.#diverged(identity);
      }
      group = [];
      return 0;
    };
    for await (const checkpoint of this.#store.checkpoints()) {
      group.push(checkpoint);
      if (group.length < ITEMS_MAX) continue;
      const common = await look();
      if (common > 0) return common;
    }
    return group.length > 0 ? look() : 0;
  }

  /** Gives how many of its checkpoints were committed. */
  async #takePage(
    page: HistoryPage & { readonly gapAfter: number | null },
    run: {
      readonly mark: number;
      readonly gather: BlobGather;
      readonly options: SyncOptions;
    },
  ): Promise<number> {
    const streams: VersionStream[] = [];
    try {
      const committed = await this.#takeItems(page, run, streams);
      if (committed === page.items.length) for (const stream of streams) await stream.discard();
      return committed;
    } catch (error) {
      // What turned out to be wrong must not be taken for right next time.
      const wrong = isDiffKeeperError(error) && /^DK_(CORRUPT|DIGEST|UNSAFE|PROTOCOL|LIMIT)/.test(error.code);
      if (wrong) for (const stream of streams) await stream.discard();
      throw error;
    }
  }

  async #takeItems(
    page: HistoryPage & { readonly gapAfter: number | null },
    run: {
      readonly mark: number;
      readonly gather: BlobGather;
      readonly options: SyncOptions;
    },
    streams: VersionStream[],
  ): Promise<number> {
    const { gather, options } = run;
    const drafts: CheckpointDraft[] = [];
    let small: Version[] = [];
    for (const [index, item] of page.items.entries()) {
      const draft = this.#exchange.draft(item.checkpoint);
      const gap = index === 0 && page.gapAfter !== null ? await GapRemovals.since(this.#store, page.gapAfter) : null;
      const stream = new VersionStream(this.#exchange, { item, mark: page.mark }, (offset) =>
        this.#versions(page, item, offset, options),
      );
      streams.push(stream);
      for await (const versions of stream.read()) {
        draft.put(versions);
        gap?.seen(versions);
        for (const version of versions) small.push(version);
        // A long list is not held until its end.
        if (item.versions.length < item.versionsBytes) {
          await gather.complete(small);
          small = [];
        }
      }
      const ask = (body: Buffer): Promise<Buffer> => this.#ask(VERB.alive, body, options.signal);
      for (const path of (await gap?.removed(item.checkpoint.sequence, ask)) ?? []) draft.remove(path);
      drafts.push(draft);
    }
    await gather.complete(small);
    let committed = 0;
    for (const draft of drafts) {
      throwIfAborted(options.signal);
      if (!(await draft.commit(run.mark))) break;
      committed += 1;
    }
    return committed;
  }

  async #versions(page: HistoryPage, item: HistoryPageItem, offset: number, options: SyncOptions): Promise<Buffer> {
    const question = { mark: page.mark, sequence: item.checkpoint.sequence, offset };
    return this.#ask(VERB.versions, encodeVersionsQuestion(question), options.signal);
  }
}
