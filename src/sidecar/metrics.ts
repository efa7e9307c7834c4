/** The figures as Prometheus reads them. The only importer of prom-client; loaded when somebody asks for them. */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
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
}

/** Measures the store, seldom enough not to be felt. */
class StoreMeter {
  readonly #store: Store;
  #newest: StoreStats | undefined;
  #nextMs = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  async read(): Promise<StoreStats | undefined> {
    const startMs = performance.now();
    if (startMs < this.#nextMs) return this.#newest;
    // A store in trouble has no figures, but everything else has.
    this.#newest = await this.#store.stats().catch(() => this.#newest);
    const tookMs = performance.now() - startMs;
    this.#nextMs = startMs + Math.max(STATS_MS, STATS_SHARE * tookMs);
    return this.#newest;
  }
}

export class Metrics {
  readonly #parts: MetricsParts;
  readonly #registry = new Registry();
  readonly #meter: StoreMeter;
  #stats: StoreStats | undefined;

  constructor(parts: MetricsParts) {
    this.#parts = parts;
    this.#meter = new StoreMeter(parts.store);
    this.#defineState();
    this.#defineWork();
    this.#defineStore();
    this.#listen();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    this.#stats = await this.#meter.read();
    return this.#registry.metrics();
  }

  #gauge(name: string, help: string, read: () => number): void {
    const registers = [this.#registry];
    new Gauge({
      name: `diffkeeper_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }

  /** A count that is kept elsewhere, and only read here. */
  #counter<Label extends string>(
    name: string,
    help: string,
    labels: readonly Label[],
    read: () => Iterable<readonly [Partial<Record<Label, string>>, number]>,
  ): void {
    const registers = [this.#registry];
    new Counter<Label>({
      name: `diffkeeper_${name}`,
      help,
      labelNames: labels,
      registers,
      collect() {
        this.reset();
        for (const [values, count] of read()) this.inc(values, count);
      },
    });
  }

  #defineState(): void {
    const { figures, missedChanges, version, consistency } = this.#parts;
    const info = new Gauge({
      name: 'diffkeeper_agent_info',
      help: 'Constant 1; what runs here.',
      labelNames: ['os', 'arch', 'version', 'capture_backend', 'freeze_with'],
      registers: [this.#registry],
    });
    const { platform: os, arch } = process;
    info.set({ os, arch, version, capture_backend: consistency, freeze_with: figures.freezing }, 1);
    this.#gauge('up', '1 while the sidecar runs.', () => 1);
    this.#gauge('ready', '1 while the application runs on its recovered state.', () => Number(figures.ready));
    this.#gauge('degraded', '1 while captures fail or changes are found by scanning only.', () =>
      Number(figures.degraded),
    );
    this.#gauge(
      'checkpoint_timestamp_seconds',
      'When the newest checkpoint was committed; 0 before the first.',
      () => this.#newestMs() / 1000,
    );
    this.#gauge(
      'checkpoint_sequence',
      'Number of the newest checkpoint.',
      () => this.#parts.store.newest?.sequence ?? 0,
    );
    this.#gauge('skipped_entries', 'Entries that the newest capture left out.', () => figures.skipped);
    this.#gauge('missed_changes', 'Changes that no event announced and a full scan found.', missedChanges);
    this.#gauge('process_resident_memory_bytes', 'Memory of the sidecar.', () => process.memoryUsage.rss());
    this.#counter('process_cpu_seconds_total', 'CPU time of the sidecar.', [], () => {
      const { user, system } = process.cpuUsage();
      return [[{}, (user + system) / 1e6]];
    });
  }

  #newestMs(): number {
    return this.#parts.store.newest?.timeMs ?? 0;
  }

  #defineWork(): void {
    const { figures, consistency: type } = this.#parts;
    this.#counter('checkpoints_total', 'Checkpoints committed by this run.', [], () => [[{}, figures.checkpoints]]);
    this.#counter('capture_total', 'Captures, by outcome.', ['type', 'outcome'], () => [
      [{ type, outcome: 'ok' }, figures.checkpoints],
      [{ type, outcome: 'failed' }, figures.captureFailures],
    ]);
    this.#counter('errors_total', 'Captures that failed, by error code.', ['code'], () =>
      [...figures.errorsByCode].map(([code, count]) => [{ code }, count] as const),
    );
    this.#counter('changes_total', 'Entries captured.', ['kind'], () =>
      (['added', 'changed', 'removed'] as const).map((kind) => [{ kind }, figures[kind]] as const),
    );
    this.#counter('captured_bytes_total', 'Content read by captures.', [], () => [[{}, figures.readBytes]]);
    this.#counter('stored_bytes_total', 'Bytes that captures added to the store.', [], () => [
      [{}, figures.storedBytes],
    ]);
    this.#counter('recovery_total', 'Recovers at the start, by outcome.', ['outcome'], () => [
      [{ outcome: 'ok' }, figures.recovered ? 1 : 0],
      [{ outcome: 'failed' }, figures.recoverFailures],
    ]);
    this.#counter('application_restarts_total', 'Restarts of the application.', [], () => [[{}, figures.restarts]]);
    this.#counter('hook_total', 'Commands around checkpoints, by outcome.', ['hook', 'outcome'], () =>
      [...figures.hooks].map(([key, count]) => {
        const [hook = '', outcome = ''] = key.split(' ');
        return [{ hook, outcome }, count] as const;
      }),
    );
  }

  #defineStore(): void {
    const stats = (read: (known: StoreStats) => number) => () => (this.#stats ? read(this.#stats) : 0);
    const stored = ({ packBytes, metaBytes }: StoreStats): number => packBytes + metaBytes;
    this.#gauge(
      'files_tracked_total',
      'Entries of the newest state.',
      stats((known) => known.entries),
    );
    this.#gauge(
      'state_bytes',
      'Bytes of the newest state.',
      stats((known) => known.treeBytes),
    );
    this.#gauge(
      'versions',
      'Versions kept.',
      stats((known) => known.versions),
    );
    this.#gauge(
      'chunk_total',
      'Blobs stored.',
      stats((known) => known.blobs),
    );
    this.#gauge(
      'deltas_total',
      'Blobs that are stored as deltas.',
      stats((known) => known.blobs - (known.depths[0] ?? 0)),
    );
    this.#gauge(
      'storage_saved_bytes_total',
      'What keeping every version whole would take more.',
      stats((known) => Math.max(0, known.originalBytes - stored(known))),
    );
    this.#gauge(
      'storage_saved_ratio',
      'The same as a share of it, 0 to 1.',
      stats((known) => (known.originalBytes > 0 ? Math.max(0, 1 - stored(known) / known.originalBytes) : 0)),
    );
    const size = new Gauge({
      name: 'diffkeeper_store_size_bytes',
      help: 'Bytes on disk.',
      labelNames: ['type'],
      registers: [this.#registry],
      collect: () => {
        size.set({ type: 'packs' }, this.#stats?.packBytes ?? 0);
        size.set({ type: 'metadata' }, this.#stats?.metaBytes ?? 0);
      },
    });
  }

  #histogram(
    name: string,
    help: string,
    buckets: number[],
    labels: Record<string, string> = {},
  ): (value: number) => void {
    const registers = [this.#registry];
    const labelNames = Object.keys(labels);
    const histogram = new Histogram({ name: `diffkeeper_${name}`, help, buckets, labelNames, registers });
    return (value) => histogram.observe(labels, value);
  }

  #listen(): void {
    const inSeconds = (observe: (value: number) => void) => (ms: number) => observe(ms / 1000);
    const type = this.#parts.consistency;
    const observers: Record<SeriesName, (ms: number) => void> = {
      pause: inSeconds(this.#histogram('pause_seconds', 'How long the application stood still.', SHORT_BUCKETS)),
      lag: inSeconds(
        this.#histogram('lag_seconds', 'From the first event about a change to its being durable.', LONG_BUCKETS),
      ),
      capture: this.#histogram('capture_duration_ms', 'Duration of captures.', CAPTURE_BUCKETS, { type }),
      recover: this.#histogram('recovery_duration_ms', 'Duration of recovers.', CAPTURE_BUCKETS.slice(2), {
        reason: 'start',
      }),
      hook: inSeconds(this.#histogram('hook_seconds', 'Duration of commands around checkpoints.', LONG_BUCKETS)),
    };
    this.#parts.figures.listen((name, ms) => observers[name](ms));
  }
}
