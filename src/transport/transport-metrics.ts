/** What a sender or receiver counts, as Prometheus reads it. */
import type { MetricSet, Registry } from '../metrics/metrics.js';
import type { TransportTotals } from './session-sums.js';

export interface TransportMetricsOptions {
  /** Default: prom-client's own. */
  readonly registry?: Registry;
}

type Read = (totals: TransportTotals) => number;

/** Values that go up and down: name, help, value. */
const GAUGES: readonly (readonly [string, string, Read])[] = [
  ['active_streams', 'Data streams in use.', (totals) => totals.activeStreams],
  ['open_streams', 'Data streams that are connected.', (totals) => totals.openStreams],
  ['window_bytes', 'What the other side lets be under way.', (totals) => totals.windowBytes],
  [
    'window_utilization_ratio',
    'Share of it that is under way.',
    ({ inFlightBytes, windowBytes }) => (windowBytes === 0 ? 0 : inFlightBytes / windowBytes),
  ],
  [
    'congestion_window_bytes',
    'What the kernel lets be under way, over all data streams.',
    (totals) => totals.congestionWindowBytes,
  ],
  [
    'retransmitted_ratio',
    'Share of the segments of open data streams that the kernel sent again.',
    ({ retransmits, segments }) => (segments === 0 ? 0 : retransmits / segments),
  ],
  ['latency_seconds', 'From sending a piece to its being taken over, smoothed.', (totals) => totals.latencyMs / 1000],
  [
    'round_trip_seconds',
    'Smallest round trip of the network, of the farthest peer.',
    (totals) => totals.roundTripMs / 1000,
  ],
];

const COUNTERS: readonly (readonly [string, string, Read])[] = [
  ['resent_bytes_total', 'Content that was sent again.', (totals) => totals.resentBytes],
  ['sessions_total', 'Sessions begun.', (totals) => totals.sessions],
  ['reconnects_total', 'Sessions that replaced a lost one.', (totals) => totals.reconnects],
  ['lost_streams_total', 'Data streams that died.', (totals) => totals.lostStreams],
];

/** Adds the metrics of a sender or listener to a set, their names behind `prefix`. */
export function defineTransportMetrics(set: MetricSet, prefix: string, totals: () => TransportTotals): void {
  for (const [name, help, read] of GAUGES) set.gauge(prefix + name, help, () => read(totals()));
  for (const [name, help, read] of COUNTERS) {
    set.counters({ name: prefix + name, help }, [], () => [[{}, read(totals())]]);
  }
  const bytes = { name: `${prefix}bytes_transferred_total`, help: 'Content, by direction.' };
  set.counters(bytes, ['direction'], () => [
    [{ direction: 'sent' }, totals().sentBytes],
    [{ direction: 'received' }, totals().receivedBytes],
  ]);
  const pace = { name: `${prefix}throughput_bytes_per_second`, help: 'Content of the last seconds, by direction.' };
  set.gauges(pace, ['direction'], () => [
    [{ direction: 'sent' }, totals().sentPerSecond],
    [{ direction: 'received' }, totals().receivedPerSecond],
  ]);
  const errors = { name: `${prefix}errors_total`, help: 'Failures and refusals, by type.' };
  set.counters(errors, ['error_type'], () =>
    [...totals().errors].map(([errorType, count]) => [{ error_type: errorType }, count] as const),
  );
}

/** Exports totals under `diffkeeper_transport_*`; gives what takes them out again. One source per registry. */
export async function registerTransportMetrics(
  source: { readonly totals: TransportTotals },
  options: TransportMetricsOptions = {},
): Promise<{ unregister(): void }> {
  const { DEFAULT_REGISTRY, MetricSet: Loaded } = await import('../metrics/metrics.js');
  const set = new Loaded('diffkeeper_transport_', options.registry ?? DEFAULT_REGISTRY);
  defineTransportMetrics(set, '', () => source.totals);
  return { unregister: () => set.remove() };
}
