/** What state encoders and decoders count, as metrics for Prometheus. */
import type { MetricSet, Registry } from '../metrics/metrics.js';
import type { StateDecoderMetrics } from './decoder-metrics.js';
import type { StateMetrics } from './state-metrics.js';

/** Whatever counts: a `StateEncoder`. */
export interface StateMetricsSource {
  metrics(): StateMetrics;
}

/** Whatever counts: a `StateDecoder`. */
export interface StateDecoderMetricsSource {
  metrics(): StateDecoderMetrics;
}

export interface StateMetricsOptions {
  /** Registry of prom-client. Default: its own default registry. */
  readonly registry?: Registry;
  /** Value of the label `encoder` or `decoder`; one of a kind per name and registry. Default `default`. */
  readonly name?: string;
}

export interface RegisteredStateMetrics {
  /** The metrics of this encoder or decoder are no longer exported. */
  unregister(): void;
}

type Table<Metrics> = readonly (readonly [name: string, help: string, read: (metrics: Metrics) => number])[];

const COUNTERS: Table<StateMetrics> = [
  ['operations_total', 'States encoded.', ({ operations }) => operations],
  ['original_bytes_total', 'Bytes of these states.', ({ bytesOriginal }) => bytesOriginal],
  ['encoded_bytes_total', 'Bytes of their messages.', ({ bytesEncoded }) => bytesEncoded],
  ['delta_hits_total', 'States that became deltas.', ({ deltaHits }) => deltaHits],
  ['baseline_refreshes_total', 'Baselines replaced by the rules of age and count.', (m) => m.baselineRefreshes],
  ['baselines_pruned_total', 'Baselines dropped because nobody used them.', (m) => m.baselinesPruned],
  ['baselines_evicted_total', 'Baselines dropped because of the memory bound.', (m) => m.baselinesEvicted],
  ['resyncs_total', 'Baselines sent again because a decoder asked.', ({ resyncs }) => resyncs],
  ['level_changes_total', 'Changes of the compression level.', ({ levelChanges }) => levelChanges],
  ['incompressible_skips_total', 'Segments passed through as noise.', (m) => m.incompressibleSkips],
  ['dictionaries_trained_total', 'Dictionaries trained.', ({ dictionariesTrained }) => dictionariesTrained],
  ['dictionaries_rejected_total', 'Those of them that won too little.', (m) => m.dictionariesRejected],
  ['dictionary_segments_total', 'Segments coded with a dictionary.', (m) => m.dictionarySegments],
  ['encode_seconds_total', 'Time spent encoding, waiting excluded.', ({ encodeMs }) => encodeMs / 1000],
  ['failures_total', 'Encodings that failed.', ({ failures }) => failures],
];

const GAUGES: Table<StateMetrics> = [
  ['compression_ratio', 'Original by encoded bytes.', ({ compressionRatio }) => compressionRatio],
  ['delta_hit_rate', 'Share of states that became deltas, 0 to 1.', ({ deltaHitRate }) => deltaHitRate],
  ['baselines', 'Baselines kept.', ({ baselineCount }) => baselineCount],
  ['baseline_memory_bytes', 'Memory that they take.', ({ baselineMemoryBytes }) => baselineMemoryBytes],
  ['encode_seconds_max', 'The longest encoding.', ({ encodeMsMax }) => encodeMsMax / 1000],
  ['level', 'zstd level of the newest state, 0 without zstd.', ({ level }) => level],
];

const DECODER_COUNTERS: Table<StateDecoderMetrics> = [
  ['operations_total', 'States decoded.', ({ operations }) => operations],
  ['encoded_bytes_total', 'Bytes of their messages.', ({ bytesEncoded }) => bytesEncoded],
  ['decoded_bytes_total', 'Bytes of these states.', ({ bytesDecoded }) => bytesDecoded],
  ['deltas_total', 'States that came as deltas.', ({ deltas }) => deltas],
  ['failures_total', 'Messages that were not decoded.', ({ failures }) => failures],
  ['lacking_total', 'Those of them whose baseline or dictionary is not here.', ({ lacking }) => lacking],
  ['baselines_pruned_total', 'Baselines dropped because nobody used them.', (m) => m.baselinesPruned],
  ['baselines_evicted_total', 'Baselines dropped because of the memory bound.', (m) => m.baselinesEvicted],
  ['decode_seconds_total', 'Time spent decoding, waiting excluded.', ({ decodeMs }) => decodeMs / 1000],
];

const DECODER_GAUGES: Table<StateDecoderMetrics> = [
  ['baselines', 'Baselines kept.', ({ baselineCount }) => baselineCount],
  ['baseline_memory_bytes', 'Memory that they take.', ({ baselineMemoryBytes }) => baselineMemoryBytes],
  ['decode_seconds_max', 'The longest decoding.', ({ decodeMsMax }) => decodeMsMax / 1000],
];

/** The encoders, or decoders, of one registry: a metric of one name can be there only once. */
interface Exported<Metrics> {
  readonly sources: Map<string, { metrics(): Metrics }>;
  readonly set: MetricSet;
}

/** One kind of source: its label, and what it tells. */
interface Kind<Metrics> {
  readonly label: 'encoder' | 'decoder';
  readonly prefix: string;
  readonly counters: Table<Metrics>;
  readonly gauges: Table<Metrics>;
  define?(exported: Exported<Metrics>): void;
  readonly exportedBy: WeakMap<Registry, Exported<Metrics>>;
}

const ENCODERS: Kind<StateMetrics> = {
  label: 'encoder',
  prefix: 'diffkeeper_state_',
  counters: COUNTERS,
  gauges: GAUGES,
  define: ({ sources, set }) =>
    set.counters({ name: 'segments_total', help: 'Segments, by engine.' }, ['encoder', 'engine'], () =>
      [...sources].flatMap(([encoder, source]) =>
        Object.entries(source.metrics().engines).map(([engine, count]) => [{ encoder, engine }, count] as const),
      ),
    ),
  exportedBy: new WeakMap(),
};

const DECODERS: Kind<StateDecoderMetrics> = {
  label: 'decoder',
  prefix: 'diffkeeper_state_decoder_',
  counters: DECODER_COUNTERS,
  gauges: DECODER_GAUGES,
  exportedBy: new WeakMap(),
};

function define<Metrics>({ label, counters, gauges, define: more }: Kind<Metrics>, exported: Exported<Metrics>): void {
  const { sources, set } = exported;
  const each = (read: (metrics: Metrics) => number) => () =>
    [...sources].map(([name, source]) => [{ [label]: name }, read(source.metrics())] as const);
  for (const [name, help, read] of counters) set.counters({ name, help }, [label], each(read));
  for (const [name, help, read] of gauges) set.gauges({ name, help }, [label], each(read));
  more?.(exported);
}

async function register<Metrics>(
  kind: Kind<Metrics>,
  source: { metrics(): Metrics },
  options: StateMetricsOptions,
): Promise<RegisteredStateMetrics> {
  const { label, prefix, exportedBy } = kind;
  if (typeof source?.metrics !== 'function') throw new TypeError(`${label} must be a state ${label}`);
  const { DEFAULT_REGISTRY, MetricSet: Metrics } = await import('../metrics/metrics.js');
  const { registry = DEFAULT_REGISTRY, name = 'default' } = options;
  let exported = exportedBy.get(registry);
  if (exported?.sources.has(name)) throw new RangeError(`name: a state ${label} is registered as "${name}" already`);
  if (exported === undefined) {
    exported = { sources: new Map(), set: new Metrics(prefix, registry) };
    define(kind, exported);
    exportedBy.set(registry, exported);
  }
  const { sources, set } = exported;
  sources.set(name, source);
  return {
    unregister: () => {
      if (sources.get(name) !== source || !sources.delete(name) || sources.size > 0) return;
      set.remove();
      exportedBy.delete(registry);
    },
  };
}

/**
 * Exports what an encoder counts as metrics `diffkeeper_state_...` of prom-client, read when the registry is asked. Several
 * encoders share the metrics of a registry and differ in the label `encoder`. Throws TypeError for something that is no
 * encoder, RangeError when the name is taken in this registry.
 */
export function registerStateMetrics(
  encoder: StateMetricsSource,
  options: StateMetricsOptions = {},
): Promise<RegisteredStateMetrics> {
  return register(ENCODERS, encoder, options);
}

/** As `registerStateMetrics`, for decoders: metrics `diffkeeper_state_decoder_...`, label `decoder`. */
export function registerStateDecoderMetrics(
  decoder: StateDecoderMetricsSource,
  options: StateMetricsOptions = {},
): Promise<RegisteredStateMetrics> {
  return register(DECODERS, decoder, options);
}
