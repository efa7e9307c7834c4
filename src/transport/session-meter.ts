/** What a session tells about itself. */
import type { Clock } from '../core/core.js';
import { SOCKET_FIGURES } from '../engine/engine.js';
import type { Inbox } from './inbox.js';
import type { Outbox } from './outbox.js';
import type { StreamSet } from './stream-set.js';
import type { SessionFigures } from './types.js';

/** Older bytes count less and less: those of so long ago a third of the newest. */
const MEMORY_MS = 2000;

/** Bytes a second, of late. */
export class Pace {
  perSecond = 0;
  #bytes = 0;
  #lookedMs: number;

  constructor(nowMs: number) {
    this.#lookedMs = nowMs;
  }

  /** To be told of the sum so far, now and then. */
  look(bytes: number, nowMs: number): void {
    const elapsedMs = nowMs - this.#lookedMs;
    if (elapsedMs <= 0) return;
    const share = 1 - Math.exp(-elapsedMs / MEMORY_MS);
    this.perSecond += share * (((bytes - this.#bytes) / elapsedMs) * 1000 - this.perSecond);
    this.#bytes = bytes;
    this.#lookedMs = nowMs;
  }
}

export interface MeterParts {
  readonly streams: StreamSet;
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  readonly windowBytes: number;
  readonly clock: Clock;
}

export class SessionMeter {
  readonly #parts: MeterParts;
  readonly #sent: Pace;
  readonly #received: Pace;

  constructor(parts: MeterParts) {
    this.#parts = parts;
    this.#sent = new Pace(parts.clock.steadyMs());
    this.#received = new Pace(parts.clock.steadyMs());
  }

  /** To be called often. */
  look(): void {
    const { outbox, inbox, clock } = this.#parts;
    this.#sent.look(outbox.shipper.sentBytes, clock.steadyMs());
    this.#received.look(inbox.receivedBytes, clock.steadyMs());
  }

  get figures(): SessionFigures {
    const { streams, outbox, inbox, windowBytes } = this.#parts;
    const kernel = streams.links.map((link) => link.figures()).filter((figures) => figures !== undefined);
    const sum = (column: number): number => kernel.reduce((total, figures) => total + (figures[column] ?? 0), 0);
    const trips = kernel.map((figures) => figures[SOCKET_FIGURES.minRttMs] ?? 0).filter((ms) => ms > 0);
    return {
      sentBytes: outbox.shipper.sentBytes,
      resentBytes: outbox.shipper.resentBytes,
      receivedBytes: inbox.receivedBytes,
      sentPerSecond: this.#sent.perSecond,
      receivedPerSecond: this.#received.perSecond,
      openStreams: streams.links.length,
      activeStreams: streams.active,
      lostStreams: streams.lost,
      inFlightBytes: outbox.inFlightBytes,
      windowBytes,
      latencyMs: outbox.hedge.meanMs,
      roundTripMs: trips.length > 0 ? Math.min(...trips) : 0,
      congestionWindowBytes: sum(SOCKET_FIGURES.windowBytes),
      segments: sum(SOCKET_FIGURES.segments),
      retransmits: sum(SOCKET_FIGURES.retransmits),
    };
  }
}
