/** The data streams of a session: which carry, which are spare, and which should be given up. */
import type { Link } from './link.js';

/** A stream takes more while less than this is waiting in it, or less than two pieces. */
const BUSY_FRAMES_MAX = 64;
/** A join that has no answer after so long, and so many round trips, may never get one. */
const OVERDUE_MS = 1000;
const OVERDUE_RTTS = 3;

export class StreamSet {
  readonly #control: Link;
  readonly #links: Link[] = [];
  /** Streams whose joins have no answer yet. */
  readonly #lent = new Map<Link, { readonly sinceMs: number; used: boolean }>();
  /** How many of them are in use; the others stand by. */
  #active: number;
  /** The next to be asked, so that all get their turn. */
  #turn = 0;
  lost = 0;

  constructor(control: Link, active: number) {
    this.#control = control;
    this.#active = active;
  }

  get links(): readonly Link[] {
    return this.#links;
  }

  get active(): number {
    return Math.min(this.#active, this.#links.length);
  }

  /** How many should be in use. */
  set wanted(count: number) {
    this.#active = count;
  }

  get wanted(): number {
    return this.#active;
  }

  add(link: Link): void {
    this.#lent.delete(link);
    this.#links.push(link);
  }

  /** A stream whose join is under way. It gets one early piece: nobody knows yet whether what it carries arrives. */
  lend(link: Link, nowMs: number): void {
    this.#lent.set(link, { sinceMs: nowMs, used: false });
  }

  /** It did not join. Whether it may have carried something. */
  unlend(link: Link): boolean {
    return this.#lent.delete(link);
  }

  /**
   * Those that were lent and have not joined for too long: what they carried should go another way. Given once.
   *
   * @param awakeMs since when this process has not stood still itself: answers may wait to be read
   */
  overdue(nowMs: number, awakeMs: number, minRttMs: number): Link[] {
    const patience = Math.max(OVERDUE_MS, OVERDUE_RTTS * minRttMs);
    const late = [...this.#lent].flatMap(([link, { sinceMs }]) =>
      nowMs - Math.max(sinceMs, awakeMs) > patience ? [link] : [],
    );
    for (const link of late) this.#lent.delete(link);
    return late;
  }

  /** A stream for a piece whose blob is not accepted; undefined: it had better wait for the answer. */
  pickEarly(pieceBytes: number): Link | undefined {
    if (this.active > 0) return this.pick(pieceBytes);
    for (const [link, lent] of this.#lent) {
      if (lent.used) continue;
      lent.used = true;
      return link;
    }
    return undefined;
  }

  remove(link: Link): void {
    const at = this.#links.indexOf(link);
    if (at < 0) return;
    this.#links.splice(at, 1);
    this.lost += 1;
  }

  /**
   * A stream that can take a piece of about `pieceBytes`, the least busy of those in use; undefined when all are busy.
   * Before the first data stream has joined, the control stream carries, one piece at a time.
   */
  pick(pieceBytes: number): Link | undefined {
    const count = this.active;
    if (count === 0)
      return this.#control.busyFrames === 0 && this.#control.phase === 'control' ? this.#control : undefined;
    let best: Link | undefined;
    for (let step = 0; step < count; step += 1) {
      const link = this.#links[(this.#turn + step) % count] as Link;
      if (link.busyBytes >= 2 * pieceBytes || link.busyFrames >= BUSY_FRAMES_MAX) continue;
      if (best === undefined || link.busyBytes < best.busyBytes) best = link;
      if (best.busyBytes === 0) break;
    }
    this.#turn = (this.#turn + 1) % count;
    return best;
  }

  /** Streams in use on which all has arrived: what they are given goes out at once. */
  drained(): Set<Link> {
    return new Set(this.#links.slice(0, this.active).filter((link) => link.drained));
  }

  /** A stream in use that waits for nothing of us, other than those given. */
  pickIdle(except: ReadonlySet<Link>): Link | undefined {
    return this.#links.slice(0, this.active).find((link) => link.busyFrames === 0 && !except.has(link));
  }
}
