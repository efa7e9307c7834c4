/** The figures of a run as metrics; loaded when somebody asks for them. */
import { LIMITS } from '../core/core.js';
import { MetricSet } from '../metrics/metrics.js';
import { defineTransportMetrics, type FollowFigures, type TransportTotals } from '../replicate/replicate.js';
import type { Store, StoreStats } from '../store/store.js';
import type { Figures, SeriesName } from './figures.js';

/** Measuring a large store takes a while: the result is used again for this long, and for this many times as long. */
const STATS_MS = 30_000;
const STATS_SHARE = 20;

const SHORT_BUCKETS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const LONG_BUCKETS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60];
/** As the older system had them, ms. */
const CAPTURE_BUCKETS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000];

export interface MetricsParts {
  readonly figures: Figures;
  readonly store: Store;
  readonly consistency: string;
  readonly version: string;
  readonly missedChanges: () => number;
  /** Default none. */
  readonly replicas?: () => readonly FollowFigures[];
  /** What the sessions with them did; default: there are none. */
  readonly traffic?: () => TransportTotals;
}

interface Measured extends StoreStats {
  /** Files of the newest state of which a change takes pages, not the whole. */
  readonly largeFiles: number;
}

/** Measures the store, seldom enough not to be felt. */
class StoreMeter {
  readonly #store: Store;
  #newest: Measured | undefined;
  #nextMs = 0;
  #measuring: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  async read(): Promise<Measured | undefined> {
    const startMs = performance.now();
    // Once for all who ask meanwhile: it takes the loop that pauses the application, too.
    if (startMs >= this.#nextMs) {
      this.#measuring ??= this.#measureSince(startMs).finally(() => {
        this.#measuring = undefined;
      });
    }
    await this.#measuring;
    return this.#newest;
  }

  async #measureSince(startMs: number): Promise<void> {
    // A store in trouble has no figures, but everything else has.
    this.#newest = await this.#measure().catch(() => this.#newest);
    const tookMs = performance.now() - startMs;
    this.#nextMs = startMs + Math.max(STATS_MS, STATS_SHARE * tookMs);
  }

  async #measure(): Promise<Measured> {
    const stats = await this.#store.stats();
    let largeFiles = 0;
    for await (const batch of this.#store.entries()) {
      for (const { size } of batch) if (size > LIMITS.smallFileBytes) largeFiles += 1;
    }
    return { ...stats, largeFiles };
  }
}

export class Metrics {
  readonly #parts: MetricsParts;
  readonly #set = new MetricSet('diffkeeper_');
  readonly #meter: StoreMeter;
  #stats: Measured | undefined;

  constructor(parts: MetricsParts) {
    this.#parts = parts;
    this.#meter = new StoreMeter(parts.store);
    this.#defineState();
    this.#defineWork();
    this.#defineStore();
    this.#defineReplicas();
    if (parts.traffic) defineTransportMetrics(this.#set, 'transport_', parts.traffic);
    this.#listen();
  }

  get contentType(): string {
    return this.#set.contentType;
  }

  async text(): Promise<string> {
    this.#stats = await this.#meter.read();
    return this.#set.text();
  }

  #defineState(): void {
    const set = this.#set;
    const { figures, missedChanges, version, consistency } = this.#parts;
    const { platform: os, arch } = process;
    set.gauges(
      { name: 'agent_info', help: 'Constant 1; what runs here.' },
      ['os', 'arch', 'version', 'capture_backend', 'freeze_with'],
      () => [[{ os, arch, version, capture_backend: consistency, freeze_with: figures.freezing }, 1]],
    );
    set.process();
    set.gauge('ready', '1 while the application runs on its recovered state.', () => Number(figures.ready));
    set.gauge('degraded', '1 while captures fail, changes are found by scanning only, or files are left out.', () =>
      Number(figures.degraded),
    );
    set.gauge(
      'checkpoint_timestamp_seconds',
      'When the newest checkpoint was committed; 0 before the first.',
      () => (this.#parts.store.newest?.timeMs ?? 0) / 1000,
    );
    set.gauge('checkpoint_sequence', 'Number of the newest checkpoint.', () => this.#parts.store.newest?.sequence ?? 0);
    set.gauge(
      'waiting_seconds',
      'For how long the oldest change that is known and in no checkpoint yet has waited; 0 without one.',
      () => figures.waitingMs() / 1000,
    );
    set.gauge(
      'checkpoint_spacing_seconds',
      'Time from checkpoint to checkpoint that the limit of their cost asks for; 0 without one.',
      () => figures.spacingMs / 1000,
    );
    set.gauges({ name: 'skipped_entries', help: 'Entries that are left out now, by reason.' }, ['reason'], () =>
      Object.entries(figures.leftOut()).map(([reason, count]) => [{ reason }, count] as const),
    );
    set.gauge('missed_changes', 'Changes that no event announced and a full scan found.', missedChanges);
  }

  #count(name: string, help: string, read: () => number): void {
    this.#set.counters({ name, help }, [], () => [[{}, read()]]);
  }

  #defineWork(): void {
    const set = this.#set;
    const { figures, consistency: type } = this.#parts;
    this.#count('checkpoints_total', 'Checkpoints committed by this run.', () => figures.checkpoints);
    set.counters({ name: 'capture_total', help: 'Captures, by outcome.' }, ['type', 'outcome'], () => [
      [{ type, outcome: 'ok' }, figures.checkpoints],
      [{ type, outcome: 'failed' }, figures.captureFailures],
    ]);
    set.counters({ name: 'errors_total', help: 'Captures that failed, by error code.' }, ['code'], () =>
      [...figures.errorsByCode].map(([code, count]) => [{ code }, count] as const),
    );
    set.counters({ name: 'changes_total', help: 'Entries captured.' }, ['kind'], () =>
      (['added', 'changed', 'removed'] as const).map((kind) => [{ kind }, figures[kind]] as const),
    );
    this.#count('captured_bytes_total', 'Content read by captures.', () => figures.readBytes);
    this.#count('stored_bytes_total', 'Bytes that captures added to the store.', () => figures.storedBytes);
    set.counters({ name: 'recovery_total', help: 'Recovers at the start, by outcome.' }, ['outcome'], () => [
      // One that fails ends the run, and nobody is left to be asked.
      [{ outcome: 'ok' }, figures.recovered?.damaged === 0 ? 1 : 0],
      [{ outcome: 'damaged' }, figures.recovered?.damaged ? 1 : 0],
    ]);
    this.#count('application_restarts_total', 'Restarts of the application.', () => figures.restarts);
    set.counters({ name: 'hook_total', help: 'Commands around checkpoints, by outcome.' }, ['hook', 'outcome'], () =>
      [...figures.hooks].map(([key, count]) => {
        const [hook = '', outcome = ''] = key.split(' ');
        return [{ hook, outcome }, count] as const;
      }),
    );
  }

  /** A figure of the store; 0 until it was measured. */
  #measured(name: string, help: string, read: (known: Measured) => number): void {
    this.#set.gauge(name, help, () => (this.#stats ? read(this.#stats) : 0));
  }

  #defineStore(): void {
    const stored = ({ packBytes, metaBytes }: StoreStats): number => packBytes + metaBytes;
    this.#measured('files_tracked_total', 'Entries of the newest state.', (known) => known.entries);
    this.#measured(
      'large_file_tracked_total',
      'Files of it above 256 KiB: changed pages alone are taken.',
      (known) => known.largeFiles,
    );
    this.#measured(
      'chunk_dedup_ratio',
      'Content of all versions that took no blob, being there already, 0 to 1.',
      (known) => (known.originalBytes > 0 ? (known.savings?.dedupBytes ?? 0) / known.originalBytes : 0),
    );
    this.#measured('state_bytes', 'Bytes of the newest state.', (known) => known.treeBytes);
    this.#measured('versions', 'Versions kept.', (known) => known.versions);
    this.#measured('chunk_total', 'Blobs stored.', (known) => known.blobs);
    this.#measured('deltas_total', 'Blobs that are stored as deltas.', (known) => known.blobs - (known.depths[0] ?? 0));
    this.#measured('storage_saved_bytes_total', 'What keeping every version whole would take more.', (known) =>
      Math.max(0, known.originalBytes - stored(known)),
    );
    this.#measured('storage_saved_ratio', 'The same as a share of it, 0 to 1.', (known) =>
      known.originalBytes > 0 ? Math.max(0, 1 - stored(known) / known.originalBytes) : 0,
    );
    this.#set.gauges({ name: 'store_size_bytes', help: 'Bytes on disk.' }, ['type'], () => [
      [{ type: 'packs' }, this.#stats?.packBytes ?? 0],
      [{ type: 'metadata' }, this.#stats?.metaBytes ?? 0],
    ]);
  }

  #defineReplicas(): void {
    const set = this.#set;
    const { replicas = () => [] } = this.#parts;
    const each = (read: (figures: FollowFigures) => number) => (): [{ replica: string }, number][] =>
      replicas().map((figures) => [{ replica: figures.name }, read(figures)]);
    const gauge = (name: string, help: string, read: (figures: FollowFigures) => number): void =>
      set.gauges({ name: `replica_${name}`, help }, ['replica'], each(read));
    gauge('up', '1 while checkpoints go to this receiver.', ({ state }) => Number(state === 'following'));
    gauge('sequence', 'Newest checkpoint that is durable there.', ({ sequence }) => sequence);
    gauge('lag_checkpoints', 'Checkpoints that are not there yet.', (figures) => figures.lagCheckpoints);
    gauge('lag_seconds', 'How long the oldest of them has been waiting.', ({ lagMs }) => lagMs / 1000);
    const sent = { name: 'replica_sent_bytes_total', help: 'Bytes of records that receivers took.' };
    set.counters(
      sent,
      ['replica'],
      each(({ sentBytes }) => sentBytes),
    );
    const failures = { name: 'replica_failures_total', help: 'Connections that failed or ended.' };
    set.counters(
      failures,
      ['replica'],
      each((figures) => figures.failures),
    );
  }

  #listen(): void {
    const set = this.#set;
    const seconds = (name: string, help: string, buckets: number[]): ((ms: number) => void) => {
      const observe = set.histogram({ name, help }, buckets);
      return (ms) => observe(ms / 1000);
    };
    const type = this.#parts.consistency;
    const recoverBuckets = CAPTURE_BUCKETS.slice(2);
    const observers: Record<SeriesName, (ms: number) => void> = {
      pause: seconds('pause_seconds', 'How long the application stood still.', SHORT_BUCKETS),
      stop: seconds('stop_seconds', 'Of a pause: how long it took until every process stood still.', SHORT_BUCKETS),
      lag: seconds('lag_seconds', 'From the first event about a change to its being durable.', LONG_BUCKETS),
      scanLag: seconds(
        'scan_lag_seconds',
        'The same of changes that a scan found without an event: from the time in their stamp.',
        LONG_BUCKETS,
      ),
      capture: set.histogram({ name: 'capture_duration_ms', help: 'Duration of captures.' }, CAPTURE_BUCKETS, { type }),
      chunks: set.histogram(
        { name: 'chunk_capture_duration_ms', help: 'Duration of captures that stored something.' },
        CAPTURE_BUCKETS,
      ),
      recover: set.histogram({ name: 'recovery_duration_ms', help: 'Duration of recovers.' }, recoverBuckets, {
        reason: 'start',
      }),
      hook: seconds('hook_seconds', 'Duration of commands around checkpoints.', LONG_BUCKETS),
    };
    this.#parts.figures.listen((name, ms) => observers[name](ms));
  }
}
