/**
 * Door of the room `metrics`: figures that are kept elsewhere, as Prometheus reads them. The only importer of prom-client;
 * loaded when somebody asks for metrics.
 */
import { Counter, Gauge, Histogram, Registry, register } from 'prom-client';
import { residentBytes } from '../core/core.js';

export type { Registry };

/** The registry that a program exports when it names no other. */
export const DEFAULT_REGISTRY: Registry = register;

/** Values by their labels. */
export type Reading<Label extends string> = Iterable<readonly [Partial<Record<Label, string>>, number]>;

export interface MetricText {
  /** Without the common prefix. */
  readonly name: string;
  readonly help: string;
}

/** Metrics with a common prefix in one registry. They are read when somebody asks. */
export class MetricSet {
  readonly #registry: Registry;
  readonly #prefix: string;
  readonly #names: string[] = [];

  /** Default: a registry of its own. */
  constructor(prefix: string, registry: Registry = new Registry()) {
    this.#prefix = prefix;
    this.#registry = registry;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything in the registry, as Prometheus wants it. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Takes these metrics out of the registry again. */
  remove(): void {
    for (const name of this.#names.splice(0)) this.#registry.removeSingleMetric(name);
  }

  /** That a process runs, its memory and its time. */
  process(): void {
    this.gauge('up', '1 while it runs.', () => 1);
    this.gauge('process_resident_memory_bytes', 'Memory of the process.', residentBytes);
    this.counters({ name: 'process_cpu_seconds_total', help: 'CPU time of the process.' }, [], () => {
      const { user, system } = process.cpuUsage();
      return [[{}, (user + system) / 1e6]];
    });
  }

  /** A value that goes up and down. */
  gauge(name: string, help: string, read: () => number): void {
    this.gauges({ name, help }, [], () => [[{}, read()]]);
  }

  gauges<Label extends string>(text: MetricText, labels: readonly Label[], read: () => Reading<Label>): void {
    new Gauge<Label>({
      ...this.#common(text, labels),
      collect() {
        this.reset();
        for (const [values, value] of read()) this.set(values, value);
      },
    });
  }

  /** Counts that are kept elsewhere, and only read here. */
  counters<Label extends string>(text: MetricText, labels: readonly Label[], read: () => Reading<Label>): void {
    new Counter<Label>({
      ...this.#common(text, labels),
      collect() {
        this.reset();
        for (const [values, count] of read()) this.inc(values, count);
      },
    });
  }

  /** Gives what is to be called for each value. */
  histogram(text: MetricText, buckets: number[], labels: Record<string, string> = {}): (value: number) => void {
    const histogram = new Histogram({ ...this.#common(text, Object.keys(labels)), buckets });
    return (value) => histogram.observe(labels, value);
  }

  #common<Label extends string>(
    { name, help }: MetricText,
    labelNames: readonly Label[],
  ): { name: string; help: string; labelNames: readonly Label[]; registers: Registry[] } {
    const full = `${this.#prefix}${name}`;
    this.#names.push(full);
    return { name: full, help, labelNames, registers: [this.#registry] };
  }
}
