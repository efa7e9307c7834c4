/** The page in a real browser: what is seen, keys, names that try to be markup, live news, accessibility. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Checkpoint } from '../../src/format/format.js';
import { openStore, type Store } from '../../src/store/store.js';
import { serveUi, type UiServer } from '../../src/ui/ui.js';
import { Browser, type Page } from './browser.js';
import { HOSTILE, type Story, tellStory } from './ui-story.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let base = '';
let story: Story;
let ui: UiServer;
let browser: Browser;
let page: Page;

const text = (selector: string): Promise<string> =>
  page.eval(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? ''`);
const chosen = (list: string): Promise<string> => text(`#${list} [aria-selected=true] :is(.seq, .name)`);
const filled = `document.querySelector('#files:not([aria-busy]) .name')`;
const ready = `document.querySelectorAll('#timeline .row time').length > 3 && document.querySelector('.savings')`;

/** Opens a file of the chosen checkpoint by a part of its path. */
async function openFile(name: string): Promise<void> {
  await page.press('/');
  await page.send('Input.insertText', { text: name });
  await page.until(`document.querySelector('.hit[aria-selected] bdi')?.textContent.includes(${JSON.stringify(name)})`);
  await page.press('Enter');
  await page.until(`document.querySelector('#right-title').textContent.includes(${JSON.stringify(name)})`);
  await page.until(`document.querySelector('.diff .told, .diff .trouble')`);
}

async function goTo(sequence: number): Promise<void> {
  await page.press('/');
  await page.send('Input.insertText', { text: `#${sequence}` });
  await page.until(`document.querySelector('.hit b')?.textContent === '#${sequence}'`);
  await page.press('Enter');
  await page.until(`document.querySelector('#middle-title').textContent === '#${sequence}'`);
  await page.until(`!document.querySelector('#files[aria-busy]')`);
}

async function violations(): Promise<string[]> {
  await page.eval(`${AXE}; 0`);
  return page.eval(`axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join(' | ')))`);
}

function isPicture(bytes: Buffer): boolean {
  return bytes.subarray(1, 4).toString('latin1') === 'PNG' && bytes.length > 20_000;
}

beforeAll(async () => {
  base = mkdtempSync(path.join(tmpdir(), 'dk-page-'));
  story = await tellStory(base, 16);
  await story.store.close();
  const open = () => openStore(story.storePath);
  ui = await serveUi({ open, restoreDir: path.join(base, 'back'), idleMs: 300 });
  browser = await Browser.start();
  page = await browser.page();
  await page.goto(ui.url);
  await page.until(ready);
}, 90_000);
afterAll(async () => {
  await browser?.close();
  await ui?.close();
  rmSync(base, { recursive: true, force: true });
});

describe('the page', () => {
  it('shows the history and what made it small', async () => {
    expect(await page.eval('location.search')).toBe('');
    expect(await chosen('timeline')).toBe('17');
    expect(await text('#count')).toBe('17');
    expect(await text('.savings')).toMatch(/every version whole.*stored once.*as deltas.*compressed.*on disk/);
    expect(await text('#timeline')).toContain('release 1.4');
    expect(isPicture(await page.picture(path.join(base, 'light.png')))).toBe(true);
  });

  it('is driven by keys', async () => {
    await page.press('j', 'j');
    expect(await chosen('timeline')).toBe('15');
    await page.press('G');
    expect(await chosen('timeline')).toBe('1');
    await page.press('g', 'ArrowDown', 'k');
    expect(await chosen('timeline')).toBe('17');
    await goTo(13);
    await page.until(`document.querySelectorAll('#files .row .name').length >= 3`);
    await page.press('l', 'l');
    expect(await page.eval('document.activeElement.id')).toBe('files');
    await page.press('Enter');
    await page.until(`document.querySelector('.diff table')`);
    expect(await page.eval('document.activeElement.id')).toBe('versions');
    await page.press('?');
    expect(await page.eval(`document.querySelector('#help').open`)).toBe(true);
    await page.press('Escape');
    expect(await page.eval(`document.querySelector('#help').open`)).toBe(false);
    await page.press('Escape');
    await page.until(`document.querySelector('.savings')`);
    expect(await page.eval('document.activeElement.id')).toBe('files');
    await page.press('t');
    await page.until(filled);
    await page.press('Enter');
    await page.until(`document.querySelector('#crumbs').textContent === 'stateconfig'`);
    await page.press('Backspace');
    await page.until(`document.querySelector('#crumbs').textContent === 'state'`);
    await page.press('t');
  });

  it('compares text by words and bytes by bytes', async () => {
    await goTo(14);
    await openFile('app.json');
    await page.until(`document.querySelector('.diff ins')`);
    expect(await text('.diff .is-changed del')).toBe('debug');
    expect(await page.eval(`[...document.querySelectorAll('.diff ins')].map((one) => one.textContent)`)).toEqual([
      ', "export"',
      'info',
    ]);
    await page.press('a');
    await page.until(`!document.querySelector('.diff .skip')`);
    await page.press('a', 'x');
    await page.until(`document.querySelector('.diff .hex ins')`);
    await page.press('x', 'Escape');
    await openFile('orders.db');
    await page.until(`document.querySelector('.diff .hex del')`);
    await page.dark(true);
    expect(isPicture(await page.picture(path.join(base, 'dark.png')))).toBe(true);
    await page.dark(false);
    await page.press(' ');
    expect(await chosen('versions')).toMatch(/^◆/);
    await page.press('Escape');
  });

  it('shows names as text, whatever they look like', async () => {
    await goTo(2);
    await page.press('t');
    await page.until(filled);
    await page.eval(`document.querySelector('#files .row').click()`);
    await page.until(`document.querySelectorAll('#files .row').length >= 5`);
    const names = await page.eval<string[]>(
      `[...document.querySelectorAll('#files .name')].map((one) => one.textContent)`,
    );
    expect(names).toContain(HOSTILE.markup);
    expect(names).toContain('invoice\ufffdgpj.exe');
    expect(names).toContain('two\u240alines');
    await openFile('onerror');
    expect(await text('.diff')).toContain('harmless');
    expect(await page.eval(`document.images.length`)).toBe(0);
    expect(await page.eval(`document.title`)).toBe('keep – DiffKeeper');
    await page.press('Escape', 't');
  });

  it('restores after asking', async () => {
    await goTo(5);
    await openFile('app.json');
    await page.press('r');
    await page.until(`document.querySelector('#ask').open`);
    expect(await text('#ask')).toContain(path.join(base, 'back'));
    await page.eval(`document.querySelector('#ask .main').click()`);
    await page.until(`document.querySelector('#ask').textContent.includes('Done: 1 written')`);
    expect(existsSync(path.join(base, 'back', 'config', 'app.json'))).toBe(true);
    await page.press('Escape', 'Escape');
  });

  it('has no barriers that a checker finds, in light and dark', async () => {
    for (const dark of [false, true]) {
      await page.dark(dark);
      expect(await violations()).toEqual([]);
      await openFile('app.json');
      await page.press('?');
      expect(await violations()).toEqual([]);
      await page.press('Escape');
      expect(await violations()).toEqual([]);
      await page.press('Escape');
      await page.until(`document.querySelector('.savings')`);
    }
    await page.dark(false);
  });

  it('tells what comes while it is open', async () => {
    await page.press('g');
    await page.eval(`document.querySelector('#timeline').focus()`);
    await goTo(17);
    let store: Store | undefined;
    while (store === undefined) store = await openStore(story.storePath).catch(() => undefined);
    await store.begin().commit({ force: true, tag: 'just now' });
    await store.close();
    await page.until(`document.querySelector('#count').textContent === '18'`);
    await page.until(`document.querySelector('#timeline').textContent.includes('just now')`);
  });

  it('works on a small screen', async () => {
    await page.resize(500, 800);
    await page.until(`document.querySelector('#timeline').clientWidth > 400`);
    expect(await page.eval(`document.documentElement.scrollWidth`)).toBeLessThanOrEqual(500);
    await page.resize(1440, 900);
  });

  it('did nothing that its policy forbids, and nothing failed', () => {
    expect(page.problems).toEqual([]);
  });
});

describe('a hundred thousand checkpoints', () => {
  const TOTAL = 100_000;
  const row = (sequence: number): Checkpoint => ({
    ...{ sequence, timeMs: 1_700_000_000_000 + sequence * 60_000, root: Buffer.alloc(32), entries: 9, treeBytes: 9000 },
    ...{ changed: sequence % 40, removed: sequence % 3, storedBytes: (sequence * 7919) % 90_000, changedBytes: 5000 },
    ...{ frozen: sequence % 5 === 0, pauseMs: sequence % 21, tag: sequence % 20_000 === 0 ? `tag ${sequence}` : '' },
  });
  /** Only what the page needs for its first look. */
  const long = {
    path: '/long',
    cachePath: '/long/cache',
    id: '00',
    hashAlgo: 'blake3',
    newest: row(TOTAL),
    async *checkpoints() {
      for (let sequence = TOTAL; sequence > 0; sequence -= 1) yield row(sequence);
    },
    changes: async () => [],
    async *entries() {},
    stats: async () => ({
      entries: 9,
      treeBytes: 9000,
      originalBytes: 9e9,
      packBytes: 9e7,
      metaBytes: 1e6,
      depths: [1],
    }),
    close: async () => {},
  } as unknown as Store;

  it('any of them is there at once', async () => {
    const server = await serveUi({ open: async () => long });
    try {
      await page.goto(server.url);
      await page.until(`location.port === '${server.port}' && ${ready}`);
      expect(await text('#count')).toBe('100,000');
      await goTo(31_415);
      expect(await chosen('timeline')).toBe('31415');
      await page.eval(`document.querySelector('#timeline').scrollTop = 1e9`);
      await page.until(`[...document.querySelectorAll('#timeline .seq')].some((one) => one.textContent === '1')`);
      expect(await page.eval(`document.querySelectorAll('#timeline .row').length`)).toBeLessThan(80);
      await page.press('/');
      await page.send('Input.insertText', { text: 'tag 40' });
      await page.until(`document.querySelector('.hit b')?.textContent === '#40000'`);
      await page.press('Escape');
      expect(isPicture(await page.picture(path.join(base, 'long.png')))).toBe(true);
    } finally {
      await page.goto('about:blank');
      await server.close();
    }
  });
});
