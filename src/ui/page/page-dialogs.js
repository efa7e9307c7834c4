/** The boxes that ask and explain. */
import { bytes, fill, get, make, number, pause, plural, shown } from './page-base.js';

const KEYS = [
  ['j k ↑ ↓', 'next, previous row'],
  ['h l ← →', 'part on the left, on the right'],
  ['Enter', 'open; on a version: go to its checkpoint'],
  ['Backspace', 'directory above'],
  ['g G Home End', 'first, last row'],
  ['/', 'find a path, #number, tag or day'],
  ['t', 'changed files, or all'],
  ['Space', 'pin a version to compare others with'],
  ['n p', 'next, previous change'],
  ['x a', 'hex, all lines'],
  ['d r', 'download, restore the version'],
  ['w', 'wide view'],
  ['Esc', 'close'],
];

/** Asks first; gives back nothing, the answer stands in the box. */
export function restore(store, at, entry) {
  const box = get('ask');
  const title = make('h2', { id: 'ask-title', text: 'Restore' });
  const close = make('button', { type: 'button', text: 'Close', click: () => box.close() });
  const what = entry ? make('bdi', { text: shown(entry.path) }) : 'the whole tree';
  if (store?.restoreDir === null || store === null) {
    const words =
      'Start "diffkeeper ui" with --restore-dir=DIR to restore from here: nothing is written anywhere else.';
    fill(box, title, make('p', { text: words }), make('p', { class: 'keys' }, close));
  } else {
    const go = make('button', { type: 'button', class: 'main', text: 'Restore' });
    const words = make(
      'p',
      {},
      'Write ',
      what,
      ` as of checkpoint ${at} into `,
      make('bdi', { class: 'where', text: shown(store.restoreDir) }),
      '? What has the same name there is replaced, nothing else is touched.',
    );
    fill(box, title, words, make('p', { class: 'keys' }, go, close));
    go.addEventListener('click', () => void write(box, words, go, { at, ...(entry ? { ids: [entry.id] } : {}) }));
    queueMicrotask(() => go.focus());
  }
  box.showModal();
}

async function write(box, words, go, order) {
  go.disabled = true;
  words.textContent = 'Restoring…';
  let text;
  try {
    const answer = await fetch('/api/restore', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(order),
    });
    const facts = await answer.json();
    const damage =
      facts.damagedCount > 0
        ? ` ${plural(facts.damagedCount, 'entry')} damaged: ${facts.damaged
            .map(({ path, code }) => `${shown(path)} (${code})`)
            .slice(0, 5)
            .join(', ')}.`
        : '';
    text = answer.ok
      ? `Done: ${number(facts.written)} written, ${number(facts.kept)} right already, ${bytes(facts.bytes)} in ${pause(facts.elapsedMs)}.${damage}`
      : facts.message;
  } catch (error) {
    text = error.message;
  }
  go.remove();
  words.textContent = text;
  words.setAttribute('role', 'alert');
  box.querySelector('button')?.focus();
}

export function help() {
  const box = get('help');
  const rows = KEYS.map(([keys, does]) =>
    make(
      'tr',
      {},
      make('th', { scope: 'row' }, ...keys.split(' ').flatMap((key) => [make('kbd', { text: key }), ' '])),
      make('td', { text: does }),
    ),
  );
  const letters = make('input', { type: 'checkbox', id: 'letters', change: () => setLetters(letters.checked) });
  letters.checked = document.documentElement.dataset.letters !== 'off';
  fill(
    box,
    make('h2', { id: 'help-title', text: 'Keys' }),
    make('table', {}, make('tbody', {}, ...rows)),
    make('p', {}, letters, make('label', { for: 'letters', text: ' single letters work as keys' })),
    make('p', { class: 'keys' }, make('button', { type: 'button', text: 'Close', click: () => box.close() })),
  );
  box.showModal();
}

export function setLetters(on) {
  document.documentElement.dataset.letters = on ? 'on' : 'off';
  localStorage.setItem('letters', on ? 'on' : 'off');
}
