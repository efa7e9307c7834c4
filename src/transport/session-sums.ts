/** What the sessions of a sender or a receiver did together. */
import type { Session, SessionFigures } from './types.js';

export interface TransportTotals extends SessionFigures {
  readonly sessions: number;
  /** Sessions that replaced a lost one. */
  readonly reconnects: number;
  /** Failed sessions and refused connections, by code or reason. */
  readonly errors: ReadonlyMap<string, number>;
}

const COUNTED = ['sentBytes', 'resentBytes', 'receivedBytes', 'lostStreams'] as const;
const CURRENT = [
  'sentPerSecond',
  'receivedPerSecond',
  'openStreams',
  'activeStreams',
  'inFlightBytes',
  'windowBytes',
  'congestionWindowBytes',
  'segments',
  'retransmits',
] as const;

export class SessionSums {
  sessions = 0;
  /** Of sessions that are over. */
  readonly #past = { sentBytes: 0, resentBytes: 0, receivedBytes: 0, lostStreams: 0 };
  readonly #errors = new Map<string, number>();

  /** Counts a session, now and when it is over. */
  watch(session: Session): void {
    this.sessions += 1;
    const gone = (): void => {
      for (const name of COUNTED) this.#past[name] += session.figures[name];
    };
    session.closed.then(gone, (error: { readonly code?: string }) => {
      this.failed(error.code ?? 'DK_CONNECTION');
      gone();
    });
  }

  failed(code: string): void {
    this.#errors.set(code, (this.#errors.get(code) ?? 0) + 1);
  }

  /** @param open sessions that are not over */
  totals(open: readonly Session[], reconnects: number, refusals: ReadonlyMap<string, number>): TransportTotals {
    const figures = open.map((session) => session.figures);
    const sum = (name: (typeof COUNTED | typeof CURRENT)[number]): number =>
      figures.reduce((total, one) => total + one[name], 0);
    const past = this.#past;
    return {
      sentBytes: past.sentBytes + sum('sentBytes'),
      resentBytes: past.resentBytes + sum('resentBytes'),
      receivedBytes: past.receivedBytes + sum('receivedBytes'),
      lostStreams: past.lostStreams + sum('lostStreams'),
      sentPerSecond: sum('sentPerSecond'),
      receivedPerSecond: sum('receivedPerSecond'),
      openStreams: sum('openStreams'),
      activeStreams: sum('activeStreams'),
      inFlightBytes: sum('inFlightBytes'),
      windowBytes: sum('windowBytes'),
      congestionWindowBytes: sum('congestionWindowBytes'),
      segments: sum('segments'),
      retransmits: sum('retransmits'),
      roundTripMs: Math.max(0, ...figures.map((one) => one.roundTripMs)),
      latencyMs: Math.max(0, ...figures.map((one) => one.latencyMs)),
      sessions: this.sessions,
      reconnects,
      errors: new Map([...this.#errors, ...refusals]),
    };
  }
}
