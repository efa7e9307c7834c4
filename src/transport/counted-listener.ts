/** A listener that counts what its sessions do, and tells it over HTTP when it is asked to. */
import { ControlServer, type ControlSubject, parseMetricsAddress } from '../control/control.js';
import { residentBytes } from '../core/core.js';
import type { MetricSet } from '../metrics/metrics.js';
import { listen } from './listen.js';
import { SessionSums, type TransportTotals } from './session-sums.js';
import { defineTransportMetrics } from './transport-metrics.js';
import type { Listener, ListenOptions } from './types.js';

export interface CountedOptions extends ListenOptions {
  /** Where metrics, status and health are served: `HOST:PORT`, or `unix:PATH`. Default nowhere. */
  readonly metricsAddress?: string;
  /** Adds to the metrics; their names begin with `diffkeeper_`. */
  readonly define?: (set: MetricSet) => void;
  /** Adds to the status. */
  readonly describe?: () => object;
}

/** Tells how a listener is: `/healthz`, `/readyz`, `/status`, `/metrics`. */
class ListenerPanel implements ControlSubject {
  readonly #options: CountedOptions;
  readonly #listener: CountedListener;
  readonly #startedMs = performance.now();
  #set: Promise<MetricSet> | undefined;

  constructor(options: CountedOptions, listener: CountedListener) {
    this.#options = options;
    this.#listener = listener;
  }

  status(): object {
    const { host, port, sessions, totals, closing } = this.#listener;
    return {
      state: closing ? 'closing' : 'listening',
      host,
      port,
      pid: process.pid,
      uptimeMs: performance.now() - this.#startedMs,
      ...this.#options.describe?.(),
      sessions: [...sessions].map(({ peer, figures }) => ({ ...peer, ...figures })),
      totals: { ...totals, errors: Object.fromEntries(totals.errors) },
      residentBytes: residentBytes(),
    };
  }

  ready(): { readonly ready: boolean; readonly reason: string } {
    const { closing } = this.#listener;
    return { ready: !closing, reason: closing ? 'closing' : 'ready' };
  }

  async metrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    this.#set ??= this.#define();
    const set = await this.#set;
    return { contentType: set.contentType, text: await set.text() };
  }

  async #define(): Promise<MetricSet> {
    const { MetricSet: Loaded } = await import('../metrics/metrics.js');
    const set = new Loaded('diffkeeper_');
    set.process();
    set.gauge('ready', '1 while it takes sessions.', () => Number(!this.#listener.closing));
    this.#options.define?.(set);
    defineTransportMetrics(set, 'transport_', () => this.#listener.totals);
    return set;
  }
}

export class CountedListener {
  readonly #listener: Listener;
  readonly #sums: SessionSums;
  #panel: ControlServer | undefined;
  closing = false;

  private constructor(listener: Listener, sums: SessionSums) {
    this.#listener = listener;
    this.#sums = sums;
  }

  /** Throws as `listen`, DK_CONFIG for a bad `metricsAddress`, DK_IO when that is taken. */
  static async open(options: CountedOptions): Promise<CountedListener> {
    const { metricsAddress, onSession } = options;
    const address = metricsAddress === undefined ? undefined : parseMetricsAddress(metricsAddress);
    const sums = new SessionSums();
    const listener = await listen({
      ...options,
      onSession: (session) => {
        sums.watch(session);
        onSession(session);
      },
    });
    const counted = new CountedListener(listener, sums);
    try {
      if (address !== undefined) {
        counted.#panel = await ControlServer.listen(address, new ListenerPanel(options, counted), true);
      }
    } catch (error) {
      await listener.close(0);
      throw error;
    }
    return counted;
  }

  get host(): string {
    return this.#listener.host;
  }

  get port(): number {
    return this.#listener.port;
  }

  get sessions(): Listener['sessions'] {
    return this.#listener.sessions;
  }

  get totals(): TransportTotals {
    return this.#sums.totals([...this.#listener.sessions], 0, this.#listener.refusals);
  }

  /** Where metrics and health are served, as a user would write it. */
  get metricsAddress(): string | undefined {
    return this.#panel?.where;
  }

  /** Takes no more connections, ends sessions in order; health is told until they have ended. */
  async close(graceMs?: number): Promise<void> {
    this.closing = true;
    await this.#listener.close(graceMs);
    await this.#panel?.close();
  }
}
