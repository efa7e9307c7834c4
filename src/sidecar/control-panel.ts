/** What the control interface shows and does for one run. */
import type { CaptureReport } from '../capture/capture.js';
import {
  type ControlAddress,
  ControlServer,
  type ControlSubject,
  parseControl,
  parseMetricsAddress,
  storeSocket,
} from '../control/control.js';
import {
  DiffKeeperError,
  type LocalSocket,
  type Logger,
  localDescriptor,
  residentBytes,
  systemClock,
} from '../core/core.js';
import { type FollowFigures, Traffic } from '../replicate/replicate.js';
import type { Store } from '../store/store.js';
import type { Figures } from './figures.js';
import type { Hooks } from './hooks.js';
import type { Keeper } from './keeper.js';
import type { Replicas } from './replicas.js';
import type { Metrics } from './run-metrics.js';
import type { SidecarOptions } from './types.js';

/** Loading what tells the metrics takes a moment, which the application gets first, ms. */
const LOAD_MS = 500;

export interface PanelParts {
  readonly options: SidecarOptions;
  readonly store: Store;
  readonly figures: Figures;
  readonly logger: Logger;
}

export class ControlPanel implements ControlSubject {
  readonly #parts: PanelParts;
  readonly #servers: ControlServer[] = [];
  #metrics: Promise<Metrics> | undefined;
  /** Set once the state directory is watched. */
  keeper: Keeper | undefined;
  #loading: NodeJS.Timeout | undefined;
  /** Set once there may be commands around checkpoints. */
  hooks: Hooks | undefined;
  /** Set once receivers are followed up. */
  replicas: Replicas | undefined;

  constructor(parts: PanelParts) {
    this.#parts = parts;
  }

  /** Opens what was asked for. Throws DK_CONFIG, or DK_IO when it cannot listen where the user said it should. */
  async open(): Promise<void> {
    const { control = 'auto', metricsAddress } = this.#parts.options;
    if (control !== 'auto' && control !== 'off') await this.#listen(parseControl(control), false);
    if (metricsAddress !== undefined) await this.#listen(parseMetricsAddress(metricsAddress), true);
  }

  /** Opens the socket in the store, unless another place or none was asked for. Where it cannot, a run goes on without. */
  async openUsual(): Promise<void> {
    const { options, store, logger } = this.#parts;
    this.#loading = setTimeout(() => this.#loadAhead(), LOAD_MS).unref();
    const address = (options.control ?? 'auto') === 'auto' ? storeSocket(store.path) : undefined;
    if (!address) return;
    await this.#listen(address, false).catch((error) => logger.debug({ error: String(error) }, 'no control socket'));
  }

  async #listen(address: ControlAddress, readOnly: boolean): Promise<void> {
    const { logger } = this.#parts;
    const server = await ControlServer.listen(address, this, readOnly);
    this.#servers.push(server);
    logger.info({ address: server.where }, readOnly ? 'metrics' : 'control interface');
  }

  /** Node remembers for good that a module could not be loaded: whoever asked first without descriptors left would spoil it. */
  #loadAhead(): void {
    const { logger } = this.#parts;
    this.#loaded().then(
      () => logger.debug({}, 'metrics are loaded'),
      (error: unknown) => logger.error({ error: String(error) }, 'no metrics'),
    );
  }

  async close(): Promise<void> {
    clearTimeout(this.#loading);
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  status(): object {
    const { figures, options, store } = this.#parts;
    const newest = store.newest;
    const leftOut = figures.leftOut();
    return {
      phase: figures.phase,
      state: figures.watchState,
      reason: figures.reason,
      degraded: figures.degraded,
      lastError: figures.lastError ?? null,
      pid: process.pid,
      childPid: figures.childPid ?? null,
      consistency: options.consistency ?? 'file',
      freezing: figures.freezing,
      restarts: figures.restarts,
      uptimeMs: systemClock.steadyMs() - figures.startedMs,
      stateDir: options.stateDir,
      store: { path: store.path, id: store.id },
      newest: newest && { sequence: newest.sequence, timeMs: newest.timeMs, tag: newest.tag },
      checkpoints: figures.checkpoints,
      captureFailures: figures.captureFailures,
      skipped: Object.values(leftOut).reduce((sum, count) => sum + count, 0),
      leftOut,
      missedChanges: this.keeper?.missedChanges ?? 0,
      pauses: figures.spread('pause'),
      lag: figures.spread('lag'),
      scanLag: figures.spread('scanLag'),
      waitingMs: figures.waitingMs(),
      recovered: figures.recovered ?? null,
      hooks: Object.fromEntries(figures.hooks),
      replicas: this.replicas?.figures() ?? [],
      residentBytes: residentBytes(),
    };
  }

  ready(): { readonly ready: boolean; readonly reason: string } {
    const { figures } = this.#parts;
    if (!figures.ready) return { ready: false, reason: figures.phase };
    return { ready: true, reason: figures.degraded ? `degraded: ${figures.reason}` : 'ready' };
  }

  async metrics(): Promise<{ readonly contentType: string; readonly text: string }> {
    const metrics = await this.#loaded();
    return { contentType: metrics.contentType, text: await metrics.text() };
  }

  #loaded(): Promise<Metrics> {
    this.#metrics ??= this.#loadMetrics();
    return this.#metrics;
  }

  async #loadMetrics(): Promise<Metrics> {
    const { store, figures, options } = this.#parts;
    const { Metrics: Loaded } = await import('./run-metrics.js');
    const consistency = options.consistency ?? 'file';
    const missedChanges = (): number => this.keeper?.missedChanges ?? 0;
    const replicas = (): readonly FollowFigures[] => this.replicas?.figures() ?? [];
    const version = options.version ?? 'unknown';
    const known = { store, figures, consistency, version, missedChanges, replicas };
    // By what was asked for: somebody may look before the receivers are followed up.
    if ((options.replicate ?? []).length === 0) return new Loaded(known);
    const none = new Traffic().totals;
    return new Loaded({ ...known, traffic: () => this.replicas?.traffic ?? none });
  }

  async checkpoint(tag: string | undefined, asker: LocalSocket): Promise<object> {
    return checkpointFacts(await this.capture(tag, localDescriptor(asker)));
  }

  /**
   * Takes a checkpoint now. Throws DK_STORE_CLOSED when nothing is watched, DK_WITHIN_HOOK when a command around a checkpoint
   * asks, and what captures throw.
   *
   * @param descriptor of the connection that asks; -1: unknown
   */
  async capture(tag: string | undefined, descriptor: number): Promise<CaptureReport> {
    this.hooks?.assertNotWithin(descriptor);
    if (this.keeper === undefined) throw new DiffKeeperError('DK_STORE_CLOSED', 'nothing is being watched yet');
    return this.keeper.checkpoint(tag);
  }
}

function checkpointFacts({ checkpoint, added, changed, removed, skipped, elapsedMs }: CaptureReport): object {
  return {
    sequence: checkpoint?.sequence ?? null,
    timeMs: checkpoint?.timeMs ?? null,
    tag: checkpoint?.tag ?? null,
    frozen: checkpoint?.frozen ?? false,
    pauseMs: checkpoint?.pauseMs ?? null,
    added,
    changed,
    removed,
    skipped: skipped.length,
    elapsedMs,
  };
}
