/** A list that draws only the rows in view: a hundred thousand are as quick as ten. */
import { fill, make } from './page-base.js';

const SPARE = 6;
let lists = 0;

export class List {
  /** `draw(index)` gives the cells of a row; `select` and `open` are told the index. */
  constructor(element, { height, draw, select, open, empty }) {
    Object.assign(this, { element, height, draw, onSelect: select, onOpen: open, empty });
    lists += 1;
    this.id = `row${lists}`;
    this.count = 0;
    this.at = -1;
    this.rows = new Map();
    this.space = make('div', { class: 'space', role: 'presentation' });
    element.append(this.space);
    element.addEventListener('scroll', () => this.show(), { passive: true });
    new ResizeObserver(() => this.show()).observe(element);
    element.addEventListener('click', (event) => {
      const row = event.target.closest('[role=option]');
      if (!row) return;
      this.select(Number(row.dataset.at));
      this.onOpen?.(this.at);
    });
    element.addEventListener('keydown', (event) => this.key(event));
  }

  set(count, at = this.at) {
    this.count = count;
    this.space.style.height = `${Math.max(count, 1) * this.height}px`;
    this.at = Math.min(at, count - 1);
    this.refresh();
  }

  /** Draws all rows in view anew. */
  refresh() {
    this.rows.clear();
    fill(this.space);
    this.show();
  }

  get view() {
    const first = Math.floor(this.element.scrollTop / this.height);
    return [first, Math.min(this.count, first + Math.ceil(this.element.clientHeight / this.height))];
  }

  show() {
    if (this.count === 0) {
      fill(this.space, this.empty ? make('p', { class: 'empty', text: this.empty() }) : null);
      this.element.removeAttribute('aria-activedescendant');
      return;
    }
    const [first, end] = this.view;
    const [from, to] = [Math.max(0, first - SPARE), Math.min(this.count, end + SPARE)];
    for (const [index, row] of this.rows) {
      // The active row stays: assistive software follows it.
      if ((index < from || index >= to) && index !== this.at) {
        row.remove();
        this.rows.delete(index);
      }
    }
    for (let index = from; index < to; index += 1) this.row(index);
    if (this.at >= 0) this.row(this.at);
    if (this.at >= 0) this.element.setAttribute('aria-activedescendant', `${this.id}-${this.at}`);
    this.onView?.(first, end);
  }

  row(index) {
    if (this.rows.has(index)) return;
    const chosen = index === this.at;
    const facts = { role: 'option', class: 'row', id: `${this.id}-${index}`, 'data-at': String(index) };
    const places = {
      'aria-selected': String(chosen),
      'aria-posinset': String(index + 1),
      'aria-setsize': String(this.count),
    };
    const row = make('div', { ...facts, ...places }, ...this.draw(index));
    row.style.top = `${index * this.height}px`;
    this.rows.set(index, row);
    this.space.append(row);
  }

  select(index, tell = true) {
    if (this.count === 0) return;
    const at = Math.max(0, Math.min(this.count - 1, index));
    const moved = at !== this.at;
    const before = this.rows.get(this.at);
    before?.setAttribute('aria-selected', 'false');
    this.at = at;
    this.rows.get(at)?.setAttribute('aria-selected', 'true');
    this.reveal(at);
    this.show();
    if (tell && moved) this.onSelect?.(at);
  }

  reveal(index) {
    const { scrollTop, clientHeight } = this.element;
    const top = index * this.height;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
  }

  /** Puts a row into the middle of the view. */
  centre(index) {
    this.element.scrollTop = index * this.height - (this.element.clientHeight - this.height) / 2;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -this.count, End: this.count };
    const letters =
      document.documentElement.dataset.letters === 'off' ? {} : { j: 1, k: -1, g: -this.count, G: this.count };
    const move = step[event.key] ?? letters[event.key];
    if (move !== undefined) this.select(this.at + move);
    else if (event.key === 'Enter' && this.at >= 0) this.onOpen?.(this.at);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
