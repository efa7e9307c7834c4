/**
 * Bounds what events may cost. The kernel hands over queued events for as long as there are any, without a turn of
 * the event loop in between: a process that writes in a tight loop could keep us there, and nothing else would run.
 */
import { readFileSync } from 'node:fs';

/** Time that events may take in one turn of the event loop, ms. */
const TURN_MS = 10;
/** Events of one directory between two captures, however large it is. */
const DIRECTORY_EVENTS = 10_000;
/** An event costs us as much as listing this many names: a directory that has more events than that is listed instead. */
const EVENT_NAMES = 8;
/**
 * The same where the next capture has its time whatever is heard: such an event is a wake of ours beside an application that wants
 * the processor, 0.1 ms and more.
 */
const EVENT_NAMES_TIMED = 32;
/** A directory with more names is not listed for that while the application stands still. */
const NAMES_MAX_TIMED = 1024;
/** Fewer events of one directory are always taken: what is quiet again soon is captured sooner when all of it was heard. */
const EVENTS_MIN = 256;
/** The same where the next capture has its time whatever is heard. */
const EVENTS_MIN_TIMED = 16;
/** Events that the kernel keeps for us before it drops some (default of fs.inotify.max_queued_events). */
const QUEUE_EVENTS_DEFAULT = 16_384;
/** Events between two looks at the clock. */
const LOOK_EVERY = 64;

/** Events of one watched directory since the last capture. */
export interface EventCount {
  events: number;
  /** Names in it when it was last listed. */
  names: number;
}

/**
 * What is to be done about an event: take it; take its directory off watch, since listing that costs less (`busy`), or
 * since events cannot be handled in time and those of others may be lost (`spent`).
 */
export type EventVerdict = 'take' | 'busy' | 'spent';

/** Half of it, because events of directories that are no longer watched do not reach us. */
const QUEUE_SHARE = queueEvents() / 2;

function queueEvents(): number {
  try {
    const limit = Number(readFileSync('/proc/sys/fs/inotify/max_queued_events', 'latin1'));
    return limit > 0 ? limit : QUEUE_EVENTS_DEFAULT;
  } catch {
    return QUEUE_EVENTS_DEFAULT;
  }
}

export class EventBudget {
  readonly #timed: boolean;
  #turnEvents = 0;
  #turnStartMs = 0;
  #spent = false;

  /** @param timed whether captures come at their time, however soon it is quiet */
  constructor(timed: boolean) {
    this.#timed = timed;
  }

  /** Counts one event. */
  judge(count: EventCount): EventVerdict {
    if (this.#turnEvents === 0) {
      this.#turnStartMs = performance.now();
      // Runs once the kernel's queue is empty: the event loop turned.
      setImmediate(() => {
        this.#turnEvents = 0;
        this.#spent = false;
      });
    }
    this.#turnEvents += 1;
    count.events += 1;
    // Whatever the kernel had queued arrives in one turn. A queue that was full would bring at least this many.
    if (this.#turnEvents >= QUEUE_SHARE) this.#spent = true;
    if (!this.#spent && this.#turnEvents % LOOK_EVERY === 0) {
      this.#spent = performance.now() - this.#turnStartMs > TURN_MS;
    }
    if (this.#spent || count.events > DIRECTORY_EVENTS) return 'spent';
    return count.events > this.#eventsOf(count.names) ? 'busy' : 'take';
  }

  /** Events of a directory with this many names that are taken. */
  #eventsOf(names: number): number {
    const soon = this.#timed && names <= NAMES_MAX_TIMED;
    return Math.max(this.#timed ? EVENTS_MIN_TIMED : EVENTS_MIN, names / (soon ? EVENT_NAMES_TIMED : EVENT_NAMES));
  }
}
