/** What a sender or receiver counts, as Prometheus reads it. */
import type { Registry } from '../metrics/metrics.js';
import type { TransportTotals } from './session-sums.js';

export interface TransportMetricsOptions {
  /** Default: prom-client's own. */
  readonly registry?: Registry;
}

/** Exports totals under `diffkeeper_transport_*`; gives what takes them out again. One source per registry. */
export async function registerTransportMetrics(
  source: { readonly totals: TransportTotals },
  options: TransportMetricsOptions = {},
): Promise<{ unregister(): void }> {
  const { DEFAULT_REGISTRY, MetricSet } = await import('../metrics/metrics.js');
  const set = new MetricSet('diffkeeper_transport_', options.registry ?? DEFAULT_REGISTRY);
  const read = (value: (totals: TransportTotals) => number) => () => value(source.totals);
  const one = (value: (totals: TransportTotals) => number) => (): [Record<string, never>, number][] => [
    [{}, value(source.totals)],
  ];
  set.gauge(
    'active_streams',
    'Data streams in use.',
    read((totals) => totals.activeStreams),
  );
  set.gauge(
    'open_streams',
    'Data streams that are connected.',
    read((totals) => totals.openStreams),
  );
  set.gauge(
    'window_bytes',
    'What the other side lets be under way.',
    read((totals) => totals.windowBytes),
  );
  set.gauge(
    'window_utilization_ratio',
    'Share of it that is under way.',
    read(({ inFlightBytes, windowBytes }) => (windowBytes === 0 ? 0 : inFlightBytes / windowBytes)),
  );
  set.gauge(
    'latency_seconds',
    'From sending a piece to its being taken over, smoothed.',
    read((totals) => totals.latencyMs / 1000),
  );
  set.counters({ name: 'bytes_transferred_total', help: 'Content, by direction.' }, ['direction'], () => [
    [{ direction: 'sent' }, source.totals.sentBytes],
    [{ direction: 'received' }, source.totals.receivedBytes],
  ]);
  const counts: [string, string, (totals: TransportTotals) => number][] = [
    ['resent_bytes_total', 'Content that was sent again.', (totals) => totals.resentBytes],
    ['sessions_total', 'Sessions begun.', (totals) => totals.sessions],
    ['reconnects_total', 'Sessions that replaced a lost one.', (totals) => totals.reconnects],
    ['lost_streams_total', 'Data streams that died.', (totals) => totals.lostStreams],
  ];
  for (const [name, help, value] of counts) set.counters({ name, help }, [], one(value));
  set.counters({ name: 'errors_total', help: 'Failures and refusals, by type.' }, ['error_type'], () =>
    [...source.totals.errors].map(([errorType, count]) => [{ error_type: errorType }, count] as const),
  );
  return { unregister: () => set.remove() };
}
