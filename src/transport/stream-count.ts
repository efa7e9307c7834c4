/**
 * How many data streams are in use. More of them help where there is loss or a long way, and cost where there is
 * neither: so the number is doubled as long as that pays, taken back when it does not, and tried again later.
 */
import { availableParallelism } from 'node:os';
import { SOCKET_FIGURES } from '../engine/engine.js';
import type { Link } from './link.js';
import type { Outbox } from './outbox.js';
import type { SessionSettings } from './session-settings.js';
import type { StreamSet } from './stream-set.js';

const PERIOD_MS_MIN = 250;
const PERIOD_RTTS = 2.5;
/** New streams need so many round trips to get up to speed before they are judged. */
const SETTLE_RTTS = 10;
/** More streams must bring at least so much more to be kept. */
const GAIN = 1.08;
const PROBE_AGAIN_MS = 4000;
const PROBE_AGAIN_MS_MAX = 60_000;
/** Below this, the way is so short that only processors count. */
const LAN_MS = 2;
const WAN_MS = 20;
const LONG_MS = 100;
/** Unsent bytes per stream on a long way: what is not in the kernel yet can still go over another stream. */
const UNSENT_BYTES = 128 << 10;

export interface StreamCountParts {
  readonly settings: SessionSettings;
  readonly streams: StreamSet;
  readonly outbox: Outbox;
  /** Most data streams that both sides take. */
  readonly maximum: number;
}

export class StreamCount {
  readonly #parts: StreamCountParts;
  readonly #maximum: number;
  #lookedMs: number;
  #takenBytes = 0;
  /** Bytes a second with the number of streams that proved itself. */
  #bestRate = 0;
  /** The number to go back to while a larger one is being tried. */
  #provenCount: number | undefined;
  #judgeMs = 0;
  #probeMs = 0;
  #probeAgainMs = PROBE_AGAIN_MS;
  #minRttMs = 0;
  #started = false;

  constructor(parts: StreamCountParts) {
    this.#parts = parts;
    this.#maximum = Math.min(parts.maximum, parts.settings.streams.maximum);
    this.#lookedMs = parts.settings.clock.steadyMs();
  }

  /** Settings of a new stream, where the engine can make them. */
  tune(link: Link): void {
    const { congestion, keepaliveMs } = this.#parts.settings;
    const rttMs = link.figures()?.[SOCKET_FIGURES.rttMs] ?? 0;
    link.tune({
      congestion,
      userTimeoutMs: 3 * keepaliveMs,
      ...(rttMs > LAN_MS ? { unsentBytes: UNSENT_BYTES } : {}),
    });
  }

  /** To be called often. Gives the number of streams that should be open, when that has changed. */
  look(links: readonly Link[]): number | undefined {
    const { settings, streams, outbox } = this.#parts;
    const nowMs = settings.clock.steadyMs();
    const elapsedMs = nowMs - this.#lookedMs;
    if (elapsedMs < Math.max(PERIOD_MS_MIN, PERIOD_RTTS * this.#minRttMs)) return undefined;
    this.#lookedMs = nowMs;
    const rate = ((outbox.takenBytes - this.#takenBytes) / elapsedMs) * 1000;
    this.#takenBytes = outbox.takenBytes;
    this.#measure(links);
    const before = streams.wanted;
    if (outbox.hungry) this.#judge(rate, nowMs);
    return streams.wanted === before ? undefined : streams.wanted;
  }

  #measure(links: readonly Link[]): void {
    let smallest = 0;
    for (const link of links) {
      const rtt = link.figures()?.[SOCKET_FIGURES.minRttMs] ?? 0;
      if (rtt > 0 && (smallest === 0 || rtt < smallest)) smallest = rtt;
    }
    this.#minRttMs = smallest;
    this.#parts.outbox.hedge.minRttMs = smallest;
  }

  /** Most streams that can be any use on this way. */
  #useful(): number {
    const { minimum, initial } = this.#parts.settings.streams;
    if (this.#minRttMs === 0 || this.#minRttMs >= LAN_MS) return this.#maximum;
    return Math.min(this.#maximum, Math.max(minimum, initial, 2 * availableParallelism()));
  }

  #judge(rate: number, nowMs: number): void {
    const { streams, settings, outbox } = this.#parts;
    // Held up by the other side's disk or by a limit: says nothing about streams.
    if (outbox.windowFull || settings.rateLimit !== undefined || streams.active < streams.wanted) return;
    if (nowMs < this.#judgeMs) return;
    if (!this.#started) {
      this.#started = true;
      const first = this.#minRttMs >= LONG_MS ? 16 : this.#minRttMs >= WAN_MS ? 8 : 0;
      if (first > streams.wanted) {
        this.#want(Math.min(first, this.#useful()), nowMs);
        return;
      }
    }
    if (this.#provenCount !== undefined && rate < this.#bestRate * GAIN) {
      streams.wanted = this.#provenCount;
      this.#provenCount = undefined;
      this.#probeMs = nowMs + this.#probeAgainMs;
      this.#probeAgainMs = Math.min(PROBE_AGAIN_MS_MAX, 2 * this.#probeAgainMs);
      return;
    }
    this.#bestRate = this.#provenCount === undefined ? rate : Math.max(rate, this.#bestRate);
    this.#provenCount = undefined;
    if (nowMs < this.#probeMs) return;
    const more = Math.min(this.#useful(), Math.ceil(streams.wanted * settings.streams.scaling));
    if (more <= streams.wanted) return;
    this.#provenCount = streams.wanted;
    this.#want(more, nowMs);
  }

  #want(count: number, nowMs: number): void {
    this.#parts.streams.wanted = count;
    this.#judgeMs = nowMs + Math.max(2 * PERIOD_MS_MIN, SETTLE_RTTS * this.#minRttMs);
  }
}
