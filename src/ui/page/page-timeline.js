/** The list of checkpoints, newest first. Rows come in blocks, when they are looked at. */
import { ask, bytes, clock, day, dropped, get, length, make, number, pause, plural, say, shown } from './page-base.js';
import { List } from './page-list.js';

const BLOCK = 200;
const BLOCKS_KEPT = 60;

export class Timeline {
  constructor({ select, open, view }) {
    this.total = 0;
    this.generation = -1;
    this.largest = 1;
    this.blocks = new Map();
    this.onSelect = select;
    this.list = new List(get('timeline'), {
      height: 26,
      draw: (index) => this.draw(this.position(index)),
      select: (index) => this.chosen(this.position(index)),
      open,
      empty: () => 'No checkpoints yet.',
    });
    this.list.onView = (first, end) => {
      const top = this.row(this.position(first));
      get('day').textContent = top ? day(top[1]) : '';
      view(this.position(end - 1), this.position(first));
    };
  }

  /** Row 0 is the newest; positions count from the oldest, so that they stay when new ones come. */
  position(index) {
    return this.total - 1 - index;
  }
  get at() {
    return this.list.at < 0 ? -1 : this.position(this.list.at);
  }

  row(position) {
    const block = Math.floor(position / BLOCK);
    const known = this.blocks.get(block);
    if (known === undefined) void this.load(block);
    return Array.isArray(known) ? known[position % BLOCK] : undefined;
  }

  async load(block) {
    const generation = this.generation;
    const loading = ask('checkpoints', { start: block * BLOCK, count: BLOCK });
    this.blocks.set(block, loading);
    if (this.blocks.size > BLOCKS_KEPT) this.blocks.delete(this.blocks.keys().next().value);
    try {
      const { rows } = await loading;
      if (this.generation !== generation) return;
      this.blocks.set(block, rows);
      this.list.refresh();
    } catch (error) {
      this.blocks.delete(block);
      if (!dropped(error)) say(error.message);
    }
  }

  /** The row, when it has come. */
  async sure(position) {
    const block = Math.floor(position / BLOCK);
    if (!Array.isArray(this.row(position) ? [] : null)) await this.blocks.get(block);
    return this.row(position);
  }

  /** Takes over how many there are; stays on the same checkpoint, or on the newest one when that was chosen. */
  update({ total, generation }, follow) {
    if (total === this.total && generation === this.generation) return;
    const at = this.at;
    if (generation !== this.generation) this.blocks.clear();
    // The block at the end was not full.
    else this.blocks.delete(Math.floor(Math.max(0, this.total - 1) / BLOCK));
    const grown = total - this.total;
    const { scrollTop } = this.list.element;
    this.total = total;
    this.generation = generation;
    get('count').textContent = number(total);
    const index = follow || at < 0 ? 0 : Math.max(0, this.position(at));
    this.list.set(total, index);
    if (!follow && scrollTop > 0) this.list.element.scrollTop = scrollTop + grown * this.list.height;
    if (total > 0 && (follow || at < 0)) void this.chosen(this.position(index));
  }

  async chosen(position) {
    const row = await this.sure(position).catch(() => undefined);
    if (row && this.at === position) this.onSelect(row, position);
  }

  go(position) {
    const index = this.position(position);
    this.list.centre(index);
    this.list.select(index);
  }

  draw(position) {
    const row = this.row(position);
    if (row === undefined) return [make('span', { class: 'seq', text: '…' })];
    const [sequence, timeMs, changed, removed, changedBytes, storedBytes, pauseMs, tag] = row;
    const above = this.row(Math.min(position + 1, this.total - 1));
    const turned = above && day(above[1]) !== day(timeMs);
    const bar = make('i', { class: 'fill' });
    bar.style.inlineSize = `${(100 * length(storedBytes, this.largest)).toFixed(1)}%`;
    const title = `${plural(changed, 'entry')} written, ${number(removed)} removed, ${bytes(changedBytes)} of content, ${bytes(storedBytes)} stored`;
    return [
      make('span', { class: 'seq', text: `${sequence}` }),
      make('time', { datetime: new Date(timeMs).toISOString(), text: clock(timeMs) }),
      make(
        'span',
        { class: 'marks', title },
        make('span', { class: 'wrote', text: `${number(changed)}` }),
        removed > 0 ? make('span', { class: 'gone', text: `−${number(removed)}` }) : null,
      ),
      make(
        'span',
        { class: 'lane', title },
        bar,
        tag === '' ? null : make('bdi', { class: 'tag', title: shown(tag), text: shown(tag) }),
        turned ? make('span', { class: 'day', text: day(timeMs) }) : null,
        pauseMs >= 0
          ? make('span', { class: 'pause', title: 'the application stood still', text: pause(pauseMs) })
          : null,
      ),
      make('span', { class: 'size', text: bytes(storedBytes) }),
    ];
  }
}
