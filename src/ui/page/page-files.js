/** Files of the chosen checkpoint: what it changed, or its tree, a directory at a time. */
import { bytes, dropped, fill, get, make, Question, shown, trouble } from './page-base.js';
import { List } from './page-list.js';

const SIGNS = { '+': 'new', '~': 'changed', '-': 'removed' };

export class Files {
  constructor({ open }) {
    this.mode = 'changes';
    this.at = 0;
    this.directory = { id: '', path: '' };
    this.entries = [];
    this.total = 0;
    this.question = new Question();
    this.onOpen = open;
    this.failure = null;
    this.list = new List(get('files'), {
      height: 24,
      draw: (index) => this.draw(index),
      open: (index) => this.open(index),
      empty: () => (this.failure ? '' : this.mode === 'tree' ? 'An empty directory.' : 'Nothing changed.'),
    });
    this.list.onView = (_, end) => void this.more(end);
    get('show-changes').addEventListener('click', () => this.show('changes'));
    get('show-tree').addEventListener('click', () => this.show('tree'));
  }

  show(mode) {
    this.mode = mode;
    get('show-changes').setAttribute('aria-pressed', String(mode === 'changes'));
    get('show-tree').setAttribute('aria-pressed', String(mode === 'tree'));
    void this.load();
  }

  checkpoint(at) {
    this.at = at;
    void this.load();
  }

  enter(directory) {
    this.directory = directory;
    if (this.mode === 'tree') void this.load();
    else this.show('tree');
  }

  up() {
    if (this.mode !== 'tree' || this.directory.path === '') return false;
    this.enter(this.above.at(-2));
    return true;
  }

  /** The directories from the top down to this one. */
  get above() {
    const raw = atob(this.directory.id.replaceAll('-', '+').replaceAll('_', '/'));
    const list = [{ id: '', path: '', name: 'state' }];
    for (let cut = raw.indexOf('/'); raw !== ''; cut = raw.indexOf('/', cut + 1)) {
      const path = cut < 0 ? raw : raw.slice(0, cut);
      const text = new TextDecoder().decode(Uint8Array.from(path, (sign) => sign.charCodeAt(0)));
      const id = btoa(path).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
      list.push({ id, path: text, name: text.slice(text.lastIndexOf('/') + 1) });
      if (cut < 0) break;
    }
    return list;
  }

  crumbs() {
    const place = get('crumbs');
    place.hidden = this.mode !== 'tree';
    const parts = this.above.map((part, index, all) =>
      make('button', {
        type: 'button',
        text: shown(part.name),
        'aria-current': index === all.length - 1 ? 'location' : null,
        click: () => this.enter(part),
      }),
    );
    fill(place, ...parts);
  }

  async load() {
    if (this.at === 0) return;
    this.crumbs();
    const { at, mode } = this;
    get('files').setAttribute('aria-busy', 'true');
    try {
      const query = mode === 'tree' ? { at, id: this.directory.id } : { at };
      const facts = await this.question.ask(mode, query);
      this.take(facts, null);
    } catch (error) {
      if (!dropped(error)) this.take({ entries: [], total: 0, more: false }, error);
    }
  }

  take({ entries, total, more }, failure) {
    get('files').removeAttribute('aria-busy');
    this.failure = failure;
    this.entries = entries;
    this.waiting = false;
    this.after = more ? entries.at(-1) : null;
    this.total = total ?? entries.length;
    this.list.element.scrollTop = 0;
    this.list.set(this.mode === 'tree' ? entries.length + (this.after ? 1 : 0) : this.total, 0);
    if (failure) fill(this.list.space, trouble(failure));
  }

  /** Long lists come in parts. */
  async more(end) {
    if (this.waiting || end < this.entries.length || this.entries.length === 0) return;
    const tree = this.mode === 'tree';
    if (tree ? !this.after : this.entries.length >= this.total) return;
    this.waiting = true;
    const raw = tree && atob(this.after.id.replaceAll('-', '+').replaceAll('_', '/'));
    const after =
      tree &&
      btoa(raw.slice(raw.lastIndexOf('/') + 1))
        .replaceAll('+', '-')
        .replaceAll('/', '_')
        .replaceAll('=', '');
    const query = tree ? { at: this.at, id: this.directory.id, after } : { at: this.at, start: this.entries.length };
    try {
      const facts = await this.question.ask(this.mode, query);
      this.entries = [...this.entries, ...facts.entries];
      this.after = facts.more ? facts.entries.at(-1) : null;
      this.waiting = false;
      this.list.set(tree ? this.entries.length + (this.after ? 1 : 0) : this.total);
    } catch (error) {
      if (!dropped(error)) this.take({ entries: [], total: 0, more: false }, error);
    }
  }

  open(index) {
    const entry = this.entries[index];
    // What is still shown may belong to another checkpoint.
    if (!entry || get('files').hasAttribute('aria-busy')) return;
    if (entry.type === 'directory') this.enter(entry);
    else this.onOpen(entry);
  }

  draw(index) {
    const entry = this.entries[index];
    if (!entry) return [make('span', { class: 'name soft', text: '…' })];
    const { mark, type, name, path, size, link } = entry;
    const sign = mark
      ? make('span', { class: `sign sign-${SIGNS[mark]}`, text: mark === '-' ? '−' : mark, 'aria-label': SIGNS[mark] })
      : make('span', { class: 'sign' });
    const cut = path.lastIndexOf('/') + 1;
    const whole =
      this.mode === 'changes' && cut > 0 ? make('span', { class: 'soft', text: shown(path.slice(0, cut)) }) : null;
    const label = type === 'directory' ? `${shown(name) || 'state'}/` : shown(name);
    const facts = type === 'directory' || type === 'removed' ? '' : bytes(size);
    return [
      sign,
      make(
        'bdi',
        { class: `name ${type}`, title: shown(path) },
        whole,
        label,
        link ? make('span', { class: 'soft', text: ` → ${shown(link)}` }) : null,
      ),
      make('span', { class: 'size', text: facts }),
    ];
  }
}
