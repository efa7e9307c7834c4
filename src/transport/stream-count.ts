/**
 * How many data streams are in use. More of them help where there is loss or a long way, and cost where there is
 * neither: so the first number goes by the way's length, and it is multiplied at once only where the kernel says that it
 * is the streams' own windows that hold things up: nothing waits on the way, and as much is taken over as those windows
 * let through. Else, now and then, more are tried for a while, and kept when clearly more was taken over; but not while packets wait on
 * the way, which is full then: more streams only add to what waits and is dropped. A number that does harm is taken back.
 */
import { availableParallelism } from 'node:os';
import { SOCKET_FIGURES } from '../engine/engine.js';
import { SILENT_INTERVALS_MAX } from './keep-alive.js';
import type { Link } from './link.js';
import type { Outbox } from './outbox.js';
import { LAN_MS } from './piece-rules.js';
import type { SessionSettings } from './session-settings.js';
import type { StreamSet } from './stream-set.js';

const PERIOD_MS_MIN = 250;
const PERIOD_RTTS = 2.5;
/** New streams need so many round trips to get up to speed before they are judged. */
const SETTLE_RTTS = 6;
/** Where the kernel tells nothing, rates are those of so many periods: one says little on a busy machine or a lossy way. */
const PERIODS = 2;
/** Where it tells, rates that decide alone are those of so long: for shorter times they go up and down with what is sent again. */
const CAREFUL_MS_MIN = 2000;
const CAREFUL_RTTS = 25;
/** Streams that are not held up by their windows are given this long before more are tried. */
const FIRST_TRIAL_MS = 5000;
/** Without a sign that the streams are held up, more of them must bring at least so much more to be kept. */
const GAIN = 1.1;
/** With it, they are kept unless they bring less than this, twice. */
const HARM = 0.95;
const PROBE_AGAIN_MS = 8000;
const PROBE_AGAIN_MS_MAX = 60_000;
/** Packets of a way with room arrive at most so much later than the quickest one, or this share of its round trip. */
const QUEUE_MS = 8;
const QUEUE_SHARE = 0.3;
/**
 * Windows that let through less than this many times what is taken over hold things up. BBR, which does not go by them, keeps them at
 * twice what it sends and more.
 */
const SLACK = 1.5;
/**
 * That windows hold things up counts only when nothing has waited for so long: BBR empties the way for a moment every ten seconds, with
 * hardly a window left, to learn the round trip anew.
 */
const CLEAR_MS_MIN = 1000;
const CLEAR_RTTS = 6;
/** From these round trips on, there are 8 and 16 streams to begin with. Twice as many are up to speed one round trip sooner. */
const WAN_MS = 40;
const LONG_MS = 60;
/** Unsent bytes per stream on a long way: what is not in the kernel yet can still go over another stream. */
const UNSENT_BYTES = 128 << 10;

/** Data streams to begin with: as many as was said, else by the way's length, as the first connection knows it. */
export function firstStreams(
  { initial, minimum, maximum }: SessionSettings['streams'],
  control: Pick<Link, 'figures'>,
): number {
  const rttMs = control.figures()?.[SOCKET_FIGURES.minRttMs] ?? 0;
  const count = initial ?? (rttMs >= LONG_MS ? 16 : rttMs >= WAN_MS ? 8 : 4);
  return Math.min(maximum, Math.max(minimum, count));
}

export interface StreamCountParts {
  readonly settings: Pick<SessionSettings, 'clock' | 'congestion' | 'keepaliveMs' | 'rateLimit' | 'streams'>;
  readonly streams: Pick<StreamSet, 'active' | 'wanted'>;
  readonly outbox: Pick<Outbox, 'takenBytes' | 'hungry' | 'windowFull'> & { readonly hedge: { minRttMs: number } };
  /** Most data streams that both sides take. */
  readonly maximum: number;
}

/** More streams than proved themselves are in use. */
interface Trial {
  /** The number to go back to. */
  readonly provenCount: number;
  /** Whether there was a sign that the streams were held up. */
  readonly signed: boolean;
  /** Whether it seemed to harm once. */
  readonly doubted: boolean;
}

export class StreamCount {
  readonly #parts: StreamCountParts;
  readonly #maximum: number;
  #lookedMs: number;
  #takenBytes = 0;
  /** What was taken over with this number of streams, in periods that had enough to send. */
  #bytes = 0;
  /** What their windows would have let through in that time. */
  #windowBytes = 0;
  #ms = 0;
  #periods = 0;
  /** In how many of them packets waited on the way. */
  #fullPeriods = 0;
  /** When packets were last seen to wait. */
  #waitedMs = Number.NEGATIVE_INFINITY;
  /** Whether there was enough to send at the last look. */
  #wasHungry = false;
  /** Bytes a second with the number of streams that proved itself. */
  #bestRate = 0;
  #trial: Trial | undefined;
  #judgeMs = 0;
  #probeMs = 0;
  #probeAgainMs = PROBE_AGAIN_MS;
  #minRttMs = 0;
  /** Bytes a second that the streams' windows let through. */
  #windowRate = 0;
  /** Whether nothing waits on the way; undefined where the kernel does not tell, or it is us that the streams wait for. */
  #room: boolean | undefined;
  /** When there was enough to send for the first time. */
  #startMs: number | undefined;
  #asked = false;

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
      userTimeoutMs: SILENT_INTERVALS_MAX * keepaliveMs,
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
    if (streams.active < streams.wanted) return this.#askFirst();
    if (this.#startMs === undefined) {
      this.#startMs = nowMs;
      this.#settle(nowMs);
    }
    const before = streams.wanted;
    if (wasHungry && nowMs >= this.#judgeMs) this.#count(bytes, elapsedMs, nowMs);
    return streams.wanted === before ? undefined : streams.wanted;
  }

  /** The two sides may differ about the way's length, and so about the first number: the one that sends says it once. */
  #askFirst(): number | undefined {
    if (this.#asked) return undefined;
    this.#asked = true;
    return this.#parts.streams.wanted;
  }

  #measure(links: readonly Pick<Link, 'figures'>[]): void {
    const { rttMs, minRttMs, applicationLimited, windowBytes } = SOCKET_FIGURES;
    const told = links.map((link) => link.figures()).filter((figures) => (figures?.[minRttMs] ?? 0) > 0);
    const column = (index: number): number[] => told.map((figures) => figures?.[index] ?? 0);
    this.#minRttMs = told.length === 0 ? 0 : Math.min(...column(minRttMs));
    this.#parts.outbox.hedge.minRttMs = this.#minRttMs;
    const trips = column(rttMs);
    const windows = column(windowBytes);
    this.#windowRate = trips.reduce((sum, ms, at) => sum + ((windows[at] ?? 0) / Math.max(ms, 1e-3)) * 1000, 0);
    trips.sort((left, right) => left - right);
    const wait = (trips[trips.length >> 1] ?? 0) - this.#minRttMs;
    // Streams that wait for us tell nothing about the way.
    const waiting = column(applicationLimited).filter((limited) => limited === 1).length;
    const silent = this.#minRttMs < LAN_MS || waiting > told.length / 2;
    this.#room = silent ? undefined : wait < Math.max(QUEUE_MS, QUEUE_SHARE * this.#minRttMs);
  }

  /** Most streams that can be any use on this way. */
  #useful(): number {
    const { minimum, initial = 0 } = this.#parts.settings.streams;
    if (this.#minRttMs === 0 || this.#minRttMs >= LAN_MS) return this.#maximum;
    return Math.min(this.#maximum, Math.max(minimum, initial, 4, 2 * availableParallelism()));
  }

  /** Adds a period, and judges when there are enough of them. */
  #count(bytes: number, elapsedMs: number, nowMs: number): void {
    this.#bytes += bytes;
    this.#windowBytes += (this.#windowRate * elapsedMs) / 1000;
    this.#ms += elapsedMs;
    this.#periods += 1;
    if (this.#room === false) {
      this.#fullPeriods += 1;
      this.#waitedMs = nowMs;
    }
    const clear = nowMs - this.#waitedMs >= Math.max(CLEAR_MS_MIN, CLEAR_RTTS * this.#minRttMs);
    const heldUp = clear && this.#room === true && this.#windowBytes < SLACK * this.#bytes;
    if (!this.#enough(heldUp)) return;
    const rate = (this.#bytes / this.#ms) * 1000;
    const full = 2 * this.#fullPeriods >= this.#periods;
    this.#forget();
    this.#judge(rate, { heldUp, full }, nowMs);
  }

  /** Whether what was counted is enough to judge by. */
  #enough(heldUp: boolean): boolean {
    const sure = heldUp && this.#trial?.doubted !== true && this.#trial?.signed !== false;
    if (sure || this.#minRttMs < LAN_MS) return this.#periods >= (sure ? 1 : PERIODS);
    return this.#ms >= Math.max(CAREFUL_MS_MIN, CAREFUL_RTTS * this.#minRttMs);
  }

  #forget(): void {
    this.#bytes = 0;
    this.#windowBytes = 0;
    this.#ms = 0;
    this.#periods = 0;
    this.#fullPeriods = 0;
  }

  #judge(rate: number, { heldUp, full }: { heldUp: boolean; full: boolean }, nowMs: number): void {
    const { streams, settings } = this.#parts;
    const trial = this.#trial;
    this.#trial = undefined;
    if (trial !== undefined && rate < this.#bestRate * (trial.signed ? HARM : GAIN)) {
      if (trial.signed && !trial.doubted) {
        this.#trial = { ...trial, doubted: true };
        return;
      }
      streams.wanted = trial.provenCount;
      this.#probeMs = nowMs + this.#probeAgainMs;
      this.#probeAgainMs = Math.min(PROBE_AGAIN_MS_MAX, 2 * this.#probeAgainMs);
      this.#settle(nowMs);
      return;
    }
    this.#bestRate = trial === undefined ? rate : Math.max(rate, this.#bestRate);
    const early = this.#minRttMs >= LAN_MS && nowMs < (this.#startMs ?? 0) + FIRST_TRIAL_MS;
    if (nowMs < this.#probeMs || (!heldUp && (early || full))) return;
    const more = Math.min(this.#useful(), Math.ceil(streams.wanted * settings.streams.scaling));
    if (more <= streams.wanted) return;
    this.#trial = { provenCount: streams.wanted, signed: heldUp, doubted: false };
    streams.wanted = more;
    this.#settle(nowMs);
  }

  /** Another number is in use from now on. */
  #settle(nowMs: number): void {
    this.#forget();
    this.#judgeMs = nowMs + Math.max(PERIOD_MS_MIN, SETTLE_RTTS * this.#minRttMs);
  }
}
