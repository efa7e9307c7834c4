/**
 * How many data streams are in use. More of them help where there is loss or a long way, and cost where there is
 * neither. Two signs tell: whether packets wait on the way (then it is full, however many streams there are), and whether
 * more was taken over since there are more. The number is multiplied while there is room on the way, or while that pays;
 * taken back when it does harm, or does not pay; and tried again later.
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
const SETTLE_RTTS = 6;
/** Where there is no other sign, rates are those of so many periods: one says little on a busy machine or a lossy way. */
const PERIODS = 2;
/** Where the way is full already, more streams must bring at least so much more to be kept. */
const GAIN = 1.08;
/** Where there is room, they are kept unless they bring less than this, twice. */
const HARM = 0.95;
const PROBE_AGAIN_MS = 4000;
const PROBE_AGAIN_MS_MAX = 60_000;
/** Packets of a way with room arrive at most so much later than the quickest one, or this share of its round trip. */
const QUEUE_MS = 8;
const QUEUE_SHARE = 0.3;
/** Below this, the way is so short that only processors count. */
const LAN_MS = 2;
const WAN_MS = 20;
const LONG_MS = 100;
/** Unsent bytes per stream on a long way: what is not in the kernel yet can still go over another stream. */
const UNSENT_BYTES = 128 << 10;

export interface StreamCountParts {
  readonly settings: Pick<SessionSettings, 'clock' | 'congestion' | 'keepaliveMs' | 'rateLimit' | 'streams'>;
  readonly streams: Pick<StreamSet, 'active' | 'wanted'>;
  readonly outbox: Pick<Outbox, 'takenBytes' | 'hungry' | 'windowFull'> & { readonly hedge: { minRttMs: number } };
  /** Most data streams that both sides take. */
  readonly maximum: number;
}

export class StreamCount {
  readonly #parts: StreamCountParts;
  readonly #maximum: number;
  #lookedMs: number;
  #takenBytes = 0;
  /** What was taken over with this number of streams, in periods that had enough to send. */
  #bytes = 0;
  #ms = 0;
  #periods = 0;
  /** Whether there was enough to send at the last look. */
  #wasHungry = false;
  /** Bytes a second with the number of streams that proved itself. */
  #bestRate = 0;
  /** The number to go back to while a larger one is being tried. */
  #trial: { readonly provenCount: number; readonly room: boolean; readonly doubted: boolean } | undefined;
  #judgeMs = 0;
  #probeMs = 0;
  #probeAgainMs = PROBE_AGAIN_MS;
  #minRttMs = 0;
  /** Whether nothing waits on the way; undefined where the kernel does not tell, the way is short, or processors are slow. */
  #room: boolean | undefined;
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
  look(links: readonly Pick<Link, 'figures'>[]): number | undefined {
    const { settings, streams, outbox } = this.#parts;
    const nowMs = settings.clock.steadyMs();
    const elapsedMs = nowMs - this.#lookedMs;
    if (elapsedMs < Math.max(PERIOD_MS_MIN, PERIOD_RTTS * this.#minRttMs)) return undefined;
    this.#lookedMs = nowMs;
    const bytes = outbox.takenBytes - this.#takenBytes;
    this.#takenBytes = outbox.takenBytes;
    this.#measure(links);
    const wasHungry = this.#wasHungry;
    this.#wasHungry = outbox.hungry;
    // Held up by the source, the other side's disk or a limit: says nothing about streams.
    if (!outbox.hungry || outbox.windowFull || settings.rateLimit !== undefined) return undefined;
    if (streams.active < streams.wanted) return undefined;
    const before = streams.wanted;
    if (!this.#begin(nowMs) && wasHungry && nowMs >= this.#judgeMs) this.#count(bytes, elapsedMs, nowMs);
    return streams.wanted === before ? undefined : streams.wanted;
  }

  #measure(links: readonly Pick<Link, 'figures'>[]): void {
    const { rttMs, minRttMs, applicationLimited } = SOCKET_FIGURES;
    const told = links.map((link) => link.figures()).filter((figures) => (figures?.[minRttMs] ?? 0) > 0);
    const column = (index: number): number[] => told.map((figures) => figures?.[index] ?? 0);
    this.#minRttMs = told.length === 0 ? 0 : Math.min(...column(minRttMs));
    this.#parts.outbox.hedge.minRttMs = this.#minRttMs;
    const trips = column(rttMs).sort((left, right) => left - right);
    const wait = (trips[trips.length >> 1] ?? 0) - this.#minRttMs;
    // Streams that wait for us tell nothing about the way.
    const waiting = column(applicationLimited).filter((limited) => limited === 1).length;
    const silent = this.#minRttMs < LAN_MS || waiting > told.length / 2;
    this.#room = silent ? undefined : wait < Math.max(QUEUE_MS, QUEUE_SHARE * this.#minRttMs);
  }

  /** Most streams that can be any use on this way. */
  #useful(): number {
    const { minimum, initial } = this.#parts.settings.streams;
    if (this.#minRttMs === 0 || this.#minRttMs >= LAN_MS) return this.#maximum;
    return Math.min(this.#maximum, Math.max(minimum, initial, 2 * availableParallelism()));
  }

  /** At the beginning a long way gets more streams at once; true when it did. */
  #begin(nowMs: number): boolean {
    if (this.#started) return false;
    this.#started = true;
    const first = this.#minRttMs >= LONG_MS ? 16 : this.#minRttMs >= WAN_MS ? 8 : 0;
    const count = Math.min(first, this.#useful());
    if (count <= this.#parts.streams.wanted) return false;
    this.#want(count, nowMs);
    return true;
  }

  /** Adds a period, and judges when there are enough of them. */
  #count(bytes: number, elapsedMs: number, nowMs: number): void {
    this.#bytes += bytes;
    this.#ms += elapsedMs;
    this.#periods += 1;
    const sure = this.#room === true && this.#trial?.doubted !== true;
    if (this.#periods < (sure ? 1 : PERIODS)) return;
    const rate = (this.#bytes / this.#ms) * 1000;
    this.#forget();
    this.#judge(rate, nowMs);
  }

  #forget(): void {
    this.#bytes = 0;
    this.#ms = 0;
    this.#periods = 0;
  }

  #judge(rate: number, nowMs: number): void {
    const { streams, settings } = this.#parts;
    const trial = this.#trial;
    this.#trial = undefined;
    if (trial !== undefined && rate < this.#bestRate * (trial.room ? HARM : GAIN)) {
      if (trial.room && !trial.doubted) {
        this.#trial = { ...trial, doubted: true };
        return;
      }
      streams.wanted = trial.provenCount;
      this.#probeMs = nowMs + this.#probeAgainMs;
      this.#probeAgainMs = Math.min(PROBE_AGAIN_MS_MAX, 2 * this.#probeAgainMs);
      return;
    }
    this.#bestRate = trial === undefined ? rate : Math.max(rate, this.#bestRate);
    if (nowMs < this.#probeMs) return;
    const more = Math.min(this.#useful(), Math.ceil(streams.wanted * settings.streams.scaling));
    if (more <= streams.wanted) return;
    this.#trial = { provenCount: streams.wanted, room: this.#room === true, doubted: false };
    this.#want(more, nowMs);
  }

  #want(count: number, nowMs: number): void {
    this.#parts.streams.wanted = count;
    this.#forget();
    this.#judgeMs = nowMs + Math.max(PERIOD_MS_MIN, SETTLE_RTTS * this.#minRttMs);
  }
}
