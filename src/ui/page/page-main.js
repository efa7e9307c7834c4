/** Puts the parts together: what is chosen, keys, news from the server. */
import { ask, bytes, dropped, fill, get, make, moment, number, pause, plural, say, shown } from './page-base.js';
import { Detail } from './page-detail.js';
import { help, restore, setLetters } from './page-dialogs.js';
import { Files } from './page-files.js';
import { Search } from './page-search.js';
import { Strip } from './page-strip.js';
import { Timeline } from './page-timeline.js';

const PARTS = ['timeline', 'files', 'versions', 'diff'];

let store = null;
let chosen = null;

const strip = new Strip({ go: (position) => timeline.go(position) });
const timeline = new Timeline({
  select(row, position) {
    chosen = row;
    strip.place(position, row);
    files.checkpoint(row[0]);
    describe(row);
    remember();
  },
  open: () => get('files').focus(),
  view: (oldest, newest) => strip.show(oldest, newest),
});
const detail = new Detail({
  restore: (at, entry) => restore(store, at, entry),
  checkpoint: (sequence) => void goTo(sequence),
});
const files = new Files({ open: (entry) => void openFile(entry) });
new Search({
  at: () => chosen?.[0] ?? 0,
  checkpoint: (position) => timeline.go(position),
  file: (entry) => (entry.type === 'directory' ? files.enter(entry) : void openFile(entry)),
});

async function openFile(entry, at = chosen?.[0] ?? 0) {
  await detail.file(entry, at);
  get('versions')?.focus({ preventScroll: true });
  remember();
}

async function goTo(sequence) {
  const { checkpoints } = await ask('search', { text: '', at: sequence }).then(() =>
    ask('search', { text: `#${sequence}`, at: sequence }),
  );
  if (checkpoints[0]) timeline.go(checkpoints[0].position);
}

function remember() {
  const words = new URLSearchParams({
    at: String(chosen?.[0] ?? ''),
    ...(detail.open ? { file: detail.entry.id } : {}),
  });
  history.replaceState(null, '', `#${words}`);
}

function describe(row) {
  const [sequence, timeMs, changed, removed, , storedBytes, pauseMs, tag] = row;
  get('middle-title').textContent = `#${sequence}`;
  const still = pauseMs >= 0 ? `, paused ${pause(pauseMs)}` : '';
  say(
    `Checkpoint ${sequence}, ${moment(timeMs)}: ${plural(changed, 'entry')} written, ${number(removed)} removed, ${bytes(storedBytes)} stored${still}${tag ? `, “${shown(tag)}”` : ''}`,
  );
}

function figures(stats) {
  if (!stats) return;
  const list = [
    ['checkpoints', number(timeline.total)],
    ['state now', `${plural(stats.entries, 'entry')}, ${bytes(stats.treeBytes)}`],
    ['on disk', bytes(stats.packBytes + stats.metaBytes)],
    ...(stats.factor > 1 ? [['smaller', `${stats.factor.toFixed(1)}×`]] : []),
  ];
  fill(
    get('figures'),
    ...list.map(([name, value]) => make('div', {}, make('dt', { text: name }), make('dd', { text: value }))),
  );
}

function move(by) {
  const parts = PARTS.filter((id) => get(id));
  const here = parts.findIndex((id) => get(id).contains(document.activeElement));
  get(parts[Math.max(0, Math.min(parts.length - 1, here + by))])?.focus({ preventScroll: true });
}

async function leave() {
  get('files').focus({ preventScroll: true });
  await detail.overview();
  remember();
}

function step(by) {
  get('timeline').focus({ preventScroll: true });
  timeline.list.select(timeline.list.at + by);
}

function find() {
  get('query').focus();
  get('query').select();
}

const ACTIONS = {
  ArrowLeft: () => move(-1),
  ArrowRight: () => move(1),
  Escape: () => detail.open && void leave(),
  Backspace: () => files.up(),
};
const LETTERS = {
  h: ACTIONS.ArrowLeft,
  l: ACTIONS.ArrowRight,
  j: () => step(1),
  k: () => step(-1),
  '/': find,
  '?': help,
  t: () => files.show(files.mode === 'tree' ? 'changes' : 'tree'),
  n: () => detail.diff?.step(1),
  p: () => detail.diff?.step(-1),
  x: () => detail.toggle('hex'),
  a: () => detail.toggle('whole'),
  d: () => detail.open && detail.download.click(),
  r: () => (detail.open ? detail.restore() : chosen && restore(store, chosen[0])),
  w: () => document.body.classList.toggle('wide'),
};

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.matches('input') || document.querySelector('dialog[open]')) return;
  const letters = document.documentElement.dataset.letters === 'off' ? {} : LETTERS;
  const run = ACTIONS[event.key] ?? letters[event.key];
  if (!run) return;
  event.preventDefault();
  run();
});

/** News while something writes to the store. A hidden page does not listen: browsers allow few connections. */
let source = null;
function listen() {
  if (document.hidden || source) return;
  source = new EventSource('/api/events');
  source.addEventListener('news', (event) => news(JSON.parse(event.data)));
  source.addEventListener('error', () => live('waiting', 'not connected'));
}
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) return listen();
  source?.close();
  source = null;
});

function live(state, text, title = '') {
  const place = get('live');
  place.dataset.state = state;
  place.lastElementChild.textContent = text;
  place.title = title;
}

let known = 0;
async function news({ total, generation, newest, trouble }) {
  if (trouble)
    live('waiting', trouble.code === 'DK_STORE_LOCKED' ? 'store in use' : 'store not readable', trouble.message);
  else live('live', 'live', 'new checkpoints appear by themselves');
  if (total === timeline.total && generation === timeline.generation) return;
  const follow = timeline.at === timeline.total - 1 && timeline.list.element.scrollTop < timeline.list.height;
  if (newest) timeline.largest = Math.max(timeline.largest, newest[5]);
  timeline.update({ total, generation }, follow);
  await strip.load(total);
  if (!follow) {
    const button = get('newer');
    button.textContent = `${number(total - known)} new ↑`;
    button.hidden = total <= known;
  } else known = total;
  if (!detail.open) figures(await detail.overview());
}
get('newer').addEventListener('click', () => {
  known = timeline.total;
  get('newer').hidden = true;
  timeline.go(timeline.total - 1);
});

async function start() {
  setLetters(localStorage.getItem('letters') !== 'off');
  get('helper').addEventListener('click', help);
  get('restore-all').addEventListener('click', () => chosen && restore(store, chosen[0]));
  store = await ask('store');
  get('where').textContent = shown(store.path.split('/').slice(-2).join('/'));
  get('where').title = shown(store.path);
  document.title = `${shown(store.path.split('/').at(-1))} – DiffKeeper`;
  known = store.total;
  await strip.load(store.total);
  timeline.largest = Math.max(1, ...(strip.facts?.stored ?? []));
  const words = new URLSearchParams(location.hash.slice(1));
  timeline.update(store, true);
  const at = Number(words.get('at'));
  if (at > 0 && store.total > 0) await goTo(at).catch(() => {});
  const file = words.get('file');
  if (file && store.total > 0) {
    const raw = Uint8Array.from(atob(file.replaceAll('-', '+').replaceAll('_', '/')), (sign) => sign.charCodeAt(0));
    void detail.file({ id: file, path: new TextDecoder().decode(raw), type: 'file' }, at || Number.MAX_SAFE_INTEGER);
  } else figures(await detail.overview());
  listen();
}

function begin() {
  start().catch((error) => {
    if (dropped(error)) return;
    live('waiting', error.code === 'DK_STORE_LOCKED' ? 'store in use' : 'waiting', error.message);
    say(shown(error.message));
    setTimeout(begin, 2000);
  });
}
begin();
