/** The right part: figures of the store, or the history of one file and what changed in it. */
import {
  bytes,
  dropped,
  fill,
  get,
  length,
  make,
  moment,
  number,
  plural,
  Question,
  shown,
  trouble,
} from './page-base.js';
import { Diff } from './page-diff.js';
import { List } from './page-list.js';
import { savings } from './page-savings.js';

function how({ type, cost, damage, size }) {
  if (damage) return make('span', { class: 'gone', title: damage.message, text: `damaged (${damage.code})` });
  if (type === 'removed') return make('span', { class: 'gone', text: 'removed' });
  if (type !== 'file') return make('span', { class: 'soft', text: type });
  if (!cost) return make('span', { class: 'soft', text: '' });
  const { blobs, deltas, depth, reusedBytes, zeroBytes } = cost;
  const parts = [];
  if (blobs > 0)
    parts.push(
      deltas === 0
        ? plural(blobs, 'new blob')
        : deltas === blobs
          ? `${plural(deltas, 'delta')}, depth ${depth}`
          : `${plural(blobs, 'new blob')}, ${number(deltas)} as deltas`,
    );
  else parts.push(size > 0 ? 'nothing new' : 'empty');
  if (size > 0 && reusedBytes > 0) parts.push(`${Math.floor((100 * reusedBytes) / size)} % reused`);
  if (zeroBytes > 0) parts.push(`${bytes(zeroBytes)} zeros`);
  return make('span', { class: 'soft', text: parts.join(' · ') });
}

export class Detail {
  constructor({ restore, checkpoint }) {
    this.place = get('right');
    this.question = new Question();
    this.onRestore = restore;
    this.onCheckpoint = checkpoint;
    this.entry = null;
    this.versions = [];
    this.pinned = null;
  }

  get open() {
    return this.entry !== null;
  }

  /** Figures of the whole store. */
  async overview() {
    this.entry = null;
    const body = make('div', { class: 'page' }, make('p', { class: 'soft', text: 'adding up…' }));
    fill(this.place, make('div', { class: 'bar' }, make('h2', { id: 'right-title', text: 'Savings' })), body);
    try {
      return await savings(body);
    } catch (error) {
      fill(body, trouble(error));
      return null;
    }
  }

  /** A file's history; shows what the checkpoint `at` made of it. */
  async file(entry, at) {
    this.entry = entry;
    this.versions = [];
    this.pinned = null;
    const action = (name, run, key) =>
      make('button', { type: 'button', title: key ? `key ${key}` : null, text: name, click: run });
    this.download = make('a', { class: 'button', text: 'download', download: '', title: 'key d' });
    this.toggles = {
      hex: action('hex', () => this.toggle('hex'), 'x'),
      whole: action('all lines', () => this.toggle('whole'), 'a'),
    };
    const bar = make(
      'div',
      { class: 'bar' },
      make('h2', { id: 'right-title', title: shown(entry.path) }, make('bdi', { text: shown(entry.path) })),
      this.toggles.hex,
      this.toggles.whole,
      this.download,
      action('restore', () => this.restore(), 'r'),
      make('button', { type: 'button', 'aria-label': 'Close this file', text: '×', click: () => void this.overview() }),
    );
    const listed = make('div', {
      class: 'list versions',
      id: 'versions',
      role: 'listbox',
      tabindex: '0',
      'aria-label': 'Versions of this file',
    });
    const diff = make('div', { class: 'diff', id: 'diff', tabindex: '0', role: 'region', 'aria-label': 'Difference' });
    fill(this.place, bar, listed, diff);
    this.diff = new Diff(diff);
    this.list = new List(listed, {
      height: 24,
      draw: (index) => this.draw(index),
      select: () => this.compare(),
      open: (index) => this.versions[index] && this.onCheckpoint(this.versions[index].sequence),
      empty: () => '',
    });
    this.list.onView = (_, end) => void this.more(end);
    listed.addEventListener('keydown', (event) => {
      if (event.key !== ' ') return;
      event.preventDefault();
      this.pin();
    });
    await this.load(at);
  }

  async load(at) {
    const { entry } = this;
    try {
      const facts = await this.question.ask('history', { id: entry.id });
      this.take(facts);
      let index = this.versions.findIndex(({ sequence }) => sequence <= at);
      // An old checkpoint of a long history: its part of the list comes from there on.
      if (index < 0 && facts.more) {
        this.take(await this.question.ask('history', { id: entry.id, before: at + 1 }), true);
        index = this.versions.findIndex(({ sequence }) => sequence <= at);
      }
      this.list.set(this.versions.length + (this.rest ? 1 : 0), Math.max(0, index));
      this.list.centre(this.list.at);
      this.compare();
    } catch (error) {
      if (dropped(error)) return;
      fill(this.list.space, trouble(error));
      // The content may be readable although the history is not.
      void this.diff.show({ id: entry.id, to: at });
    }
  }

  take({ versions, more, damage }, anew = false) {
    this.versions = anew ? versions : [...this.versions, ...versions];
    this.rest = more;
    this.largest = Math.max(1, ...this.versions.map(({ cost }) => cost?.storedBytes ?? 0));
    if (damage) this.list.element.before(trouble(damage));
  }

  async more(end) {
    if (!this.rest || this.waiting || end < this.versions.length || this.versions.length === 0) return;
    this.waiting = true;
    try {
      this.take(await this.question.ask('history', { id: this.entry.id, before: this.versions.at(-1).sequence }));
      this.list.set(this.versions.length + (this.rest ? 1 : 0));
    } catch (error) {
      if (!dropped(error)) fill(this.diff.place, trouble(error));
    } finally {
      this.waiting = false;
    }
  }

  draw(index) {
    const version = this.versions[index];
    if (!version) return [make('span', { class: 'seq', text: '…' })];
    const { sequence, timeMs, size, cost, type } = version;
    const bar = make('i', { class: 'fill' });
    bar.style.inlineSize = `${(100 * length(cost?.storedBytes ?? 0, this.largest)).toFixed(1)}%`;
    return [
      make('span', { class: 'seq', text: this.pinned === sequence ? `◆ ${sequence}` : `${sequence}` }),
      make('time', { datetime: new Date(timeMs).toISOString(), text: moment(timeMs) }),
      make('span', { class: 'size', text: type === 'file' ? bytes(size) : '' }),
      make('span', { class: 'lane' }, bar),
      make('span', { class: 'size', title: 'stored for this version', text: cost ? bytes(cost.storedBytes) : '' }),
      how(version),
    ];
  }

  get chosen() {
    return this.versions[this.list?.at];
  }

  /** The pinned version, or the one before the chosen one, against the chosen one. */
  compare() {
    const version = this.chosen;
    if (!version) return;
    const before = this.pinned ?? this.versions[this.list.at + 1]?.sequence;
    const alone = before === undefined || before === version.sequence;
    const [from, to] = alone
      ? [undefined, version.sequence]
      : [Math.min(before, version.sequence), Math.max(before, version.sequence)];
    void this.diff.show({ id: this.entry.id, from, to });
    const readable = version.type === 'file';
    this.download.toggleAttribute('hidden', !readable);
    this.download.href = `/download?id=${this.entry.id}&at=${version.sequence}`;
  }

  pin() {
    const sequence = this.chosen?.sequence;
    this.pinned = this.pinned === sequence ? null : (sequence ?? null);
    this.list.refresh();
    this.compare();
  }

  toggle(name) {
    if (!this.open) return;
    const on = !this.diff[name];
    this.toggles[name].setAttribute('aria-pressed', String(on));
    this.diff.again({ [name]: on });
  }

  restore() {
    const version = this.chosen;
    if (version && version.type !== 'removed') this.onRestore(version.sequence, this.entry);
  }
}
