/** What state encoders count, as metrics for Prometheus. */
import type { MetricSet, Registry } from '../metrics/metrics.js';
import type { StateMetrics } from './state-metrics.js';

/** Whatever counts: a `StateEncoder`. */
export interface StateMetricsSource {
  metrics(): StateMetrics;
}

export interface StateMetricsOptions {
  /** Registry of prom-client. Default: its own default registry. */
  readonly registry?: Registry;
  /** Value of the label `encoder`; one encoder per name and registry. Default `default`. */
  readonly name?: string;
}

export interface RegisteredStateMetrics {
  /** The metrics of this encoder are no longer exported. */
  unregister(): void;
}

/** The encoders of one registry: a metric of one name can be there only once. */
interface Exported {
  readonly sources: Map<string, StateMetricsSource>;
  readonly set: MetricSet;
}

const exportedBy = new WeakMap<Registry, Exported>();

const COUNTERS: readonly (readonly [name: string, help: string, read: (metrics: StateMetrics) => number])[] = [
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

const GAUGES: typeof COUNTERS = [
  ['compression_ratio', 'Original by encoded bytes.', ({ compressionRatio }) => compressionRatio],
  ['delta_hit_rate', 'Share of states that became deltas, 0 to 1.', ({ deltaHitRate }) => deltaHitRate],
  ['baselines', 'Baselines kept.', ({ baselineCount }) => baselineCount],
  ['baseline_memory_bytes', 'Memory that they take.', ({ baselineMemoryBytes }) => baselineMemoryBytes],
  ['encode_seconds_max', 'The longest encoding.', ({ encodeMsMax }) => encodeMsMax / 1000],
];

function define({ sources, set }: Exported): void {
  const each = (read: (metrics: StateMetrics) => number) => () =>
    [...sources].map(([encoder, source]) => [{ encoder }, read(source.metrics())] as const);
  for (const [name, help, read] of COUNTERS) set.counters({ name, help }, ['encoder'], each(read));
  for (const [name, help, read] of GAUGES) set.gauges({ name, help }, ['encoder'], each(read));
  set.counters({ name: 'segments_total', help: 'Segments, by engine.' }, ['encoder', 'engine'], () =>
    [...sources].flatMap(([encoder, source]) =>
      Object.entries(source.metrics().engines).map(([engine, count]) => [{ encoder, engine }, count] as const),
    ),
  );
}

/**
 * Exports what an encoder counts as metrics `diffkeeper_state_...` of prom-client, read when the registry is asked. Several
 * encoders share the metrics of a registry and differ in the label `encoder`. Throws TypeError for something that is no
 * encoder, RangeError when the name is taken in this registry.
 */
export async function registerStateMetrics(
  encoder: StateMetricsSource,
  options: StateMetricsOptions = {},
): Promise<RegisteredStateMetrics> {
  if (typeof encoder?.metrics !== 'function') throw new TypeError('encoder must be a StateEncoder');
  const { DEFAULT_REGISTRY, MetricSet: Metrics } = await import('../metrics/metrics.js');
  const { registry = DEFAULT_REGISTRY, name = 'default' } = options;
  let exported = exportedBy.get(registry);
  if (exported?.sources.has(name)) throw new RangeError(`name: an encoder is registered as "${name}" already`);
  if (exported === undefined) {
    exported = { sources: new Map(), set: new Metrics('diffkeeper_state_', registry) };
    define(exported);
    exportedBy.set(registry, exported);
  }
  const { sources, set } = exported;
  sources.set(name, encoder);
  return {
    unregister: () => {
      if (sources.get(name) !== encoder || !sources.delete(name) || sources.size > 0) return;
      set.remove();
      exportedBy.delete(registry);
    },
  };
}
