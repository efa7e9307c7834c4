/** Figures of the whole store. */
import { ask, bytes, fill, make, number } from './page-base.js';

/** What is kept, and what made it small. */
export async function savings(place) {
  const stats = await ask('stats');
  const { originalBytes, packBytes, metaBytes, savings: saved, depths, pauses } = stats;
  const stored = packBytes + metaBytes;
  const parts = [
    [
      'once',
      'stored once',
      saved?.dedupBytes ?? 0,
      'equal files and pieces, stretches that did not change, runs of zeros',
    ],
    ['delta', 'as deltas', saved?.deltaBytes ?? 0, 'against older bytes'],
    ['packed', 'compressed', saved?.compressionBytes ?? 0, 'by itself'],
    ['kept', 'on disk', stored, 'packs and metadata'],
  ];
  const sum = parts.reduce((total, [, , value]) => total + Math.max(0, value), 0) || 1;
  const rows = parts.map(([kind, name, value, why], index) => {
    const before = parts.slice(0, index).reduce((total, [, , part]) => total + Math.max(0, part), 0);
    const bar = make('i', { class: `part ${kind}` });
    bar.style.marginInlineStart = `${(100 * before) / sum}%`;
    bar.style.inlineSize = `${(100 * Math.max(0, value)) / sum}%`;
    const shownValue = kind === 'kept' ? bytes(value) : value > 0 ? `−${bytes(value)}` : 'nothing';
    return make(
      'tr',
      {},
      make('th', { scope: 'row', text: name }),
      make('td', { class: 'size', text: shownValue }),
      make('td', { class: 'flow', title: why }, bar),
    );
  });
  const whole = make('i', { class: 'part whole' });
  const first = make(
    'tr',
    {},
    make('th', { scope: 'row', text: 'every version whole' }),
    make('td', { class: 'size', text: bytes(originalBytes) }),
    make('td', { class: 'flow' }, whole),
  );
  const most = Math.max(...depths, 1);
  const steps = depths.map((blobs, depth) => {
    const bar = make('i', { class: 'part layer' });
    bar.style.inlineSize = `${(100 * blobs) / most}%`;
    return make(
      'tr',
      {},
      make('th', { scope: 'row', text: depth === 0 ? 'absolute' : `depth ${depth}` }),
      make('td', { class: 'size', text: number(blobs) }),
      make('td', { class: 'flow' }, bar),
    );
  });
  const still = pauses
    ? `${number(pauses.count)} freeze points: half of them held the application for at most ${pauses.p50Ms.toFixed(1)} ms, the longest for ${pauses.maxMs.toFixed(1)} ms.`
    : '';
  fill(
    place,
    make('h3', { text: 'What makes it small' }),
    make('table', { class: 'savings' }, make('tbody', {}, first, ...rows)),
    make('h3', { text: 'Blobs by layers above absolute bytes' }),
    make('table', { class: 'savings' }, make('tbody', {}, ...steps)),
    still ? make('p', { class: 'soft', text: still }) : null,
  );
  return { ...stats, factor: stored > 0 ? originalBytes / stored : 0 };
}
