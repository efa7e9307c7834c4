/** Tells open pages about new checkpoints: server-sent events, one look at the store per second while anybody listens. */
import type { ServerResponse } from 'node:http';
import type { CheckpointIndex } from './checkpoint-index.js';
import type { StoreSession } from './store-session.js';
import { type Damage, damageOf } from './version-history.js';

const TICK_MS = 1000;
/** A comment now and then keeps proxies from ending the stream, and finds listeners that are gone. */
const BEAT_TICKS = 15;
const LISTENERS_MAX = 32;

export class LiveFeed {
  readonly #session: StoreSession;
  readonly #index: CheckpointIndex;
  readonly #listeners = new Set<ServerResponse>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #ticks = 0;
  #state = '';

  constructor(session: StoreSession, index: CheckpointIndex) {
    this.#session = session;
    this.#index = index;
  }

  /** Takes a listener; false when there are too many. */
  add(answer: ServerResponse): boolean {
    if (this.#listeners.size >= LISTENERS_MAX) return false;
    answer.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    this.#listeners.add(answer);
    answer.on('close', () => this.#remove(answer));
    this.#send(answer, 'news', this.#news());
    this.#timer ??= setInterval(() => void this.#tick(), TICK_MS);
    return true;
  }

  close(): void {
    clearInterval(this.#timer);
    for (const answer of this.#listeners) answer.end();
    this.#listeners.clear();
  }

  #remove(answer: ServerResponse): void {
    this.#listeners.delete(answer);
    if (this.#listeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #news(trouble: Damage | null = null): object {
    const { total, generation } = this.#index;
    return { total, generation, newest: this.#index.row(total - 1) ?? null, trouble };
  }

  #send(answer: ServerResponse, event: string, data: object): void {
    // Somebody who does not read must not fill our memory: the next message tells all anyway.
    if (answer.writableLength > 64 * 1024) return;
    answer.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  async #tick(): Promise<void> {
    this.#ticks += 1;
    if (this.#ticks % BEAT_TICKS === 0) for (const answer of this.#listeners) answer.write(':\n\n');
    if (this.#looking) return;
    this.#looking = true;
    let news: object;
    try {
      // A closed store is not opened for nothing: whoever wrote to it has changed its files.
      if (await this.#session.changed()) {
        await this.#session.ask((store) => this.#index.update(store));
      }
      news = this.#news();
    } catch (error) {
      news = this.#news(damageOf(error));
    } finally {
      this.#looking = false;
    }
    const state = JSON.stringify(news);
    if (state === this.#state) return;
    this.#state = state;
    for (const answer of this.#listeners) this.#send(answer, 'news', news);
  }
}
