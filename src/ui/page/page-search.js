/** Finding checkpoints and paths. */
import { bytes, dropped, fill, get, make, Question, shown, trouble } from './page-base.js';

/** The box in the head: checkpoints and paths. */
export class Search {
  constructor({ at, checkpoint, file }) {
    this.input = get('query');
    this.box = get('found');
    this.question = new Question();
    this.items = [];
    this.active = 0;
    this.input.addEventListener('input', () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.look(at()), 120);
    });
    this.input.addEventListener('keydown', (event) => this.key(event));
    this.input.addEventListener('blur', () => setTimeout(() => this.close(), 150));
    get('search').addEventListener('submit', (event) => event.preventDefault());
    this.choose = (item) => {
      this.close();
      this.input.value = '';
      this.input.blur();
      if (item.row) checkpoint(item.position);
      else file(item);
    };
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) this.mark((this.active + step + this.items.length) % Math.max(1, this.items.length));
    else if (event.key === 'Enter' && this.items[this.active]) this.choose(this.items[this.active]);
    else if (event.key === 'Escape') {
      this.close();
      this.input.blur();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  close() {
    this.box.hidden = true;
    this.input.setAttribute('aria-expanded', 'false');
    this.input.removeAttribute('aria-activedescendant');
  }

  async look(at) {
    const text = this.input.value;
    if (text.trim() === '') return this.close();
    try {
      const { checkpoints, entries, more } = await this.question.ask('search', { text, at });
      this.items = [...checkpoints, ...entries];
      const rows = this.items.map((item, index) =>
        make(
          'div',
          { role: 'option', id: `found-${index}`, class: 'hit', mousedown: () => this.choose(item) },
          item.row ? make('b', { text: `#${item.row[0]}` }) : make('bdi', { text: shown(item.path) }),
          make('span', {
            class: 'soft',
            text: item.row ? shown(item.row[7]) : item.type === 'directory' ? 'directory' : bytes(item.size),
          }),
        ),
      );
      const rest = more ? 'There are more: go on typing.' : this.items.length === 0 ? 'Nothing found.' : null;
      fill(
        this.box,
        ...rows,
        rest && make('p', { class: 'empty', role: 'option', 'aria-disabled': 'true', text: rest }),
      );
      this.box.hidden = false;
      this.input.setAttribute('aria-expanded', 'true');
      this.mark(0);
    } catch (error) {
      if (!dropped(error)) fill(this.box, trouble(error));
    }
  }

  mark(index) {
    this.box.children[this.active]?.removeAttribute('aria-selected');
    this.active = index;
    const row = this.items.length > 0 ? this.box.children[index] : undefined;
    row?.setAttribute('aria-selected', 'true');
    row?.scrollIntoView({ block: 'nearest' });
    if (row) this.input.setAttribute('aria-activedescendant', row.id);
  }
}
