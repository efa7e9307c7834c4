/** A store with a believable history: what the tests look at, and the picture in the documents. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { capture } from '../../src/capture/capture.js';
import { openStore, type Store } from '../../src/store/store.js';

/** Names that must stay text whatever they look like. */
export const HOSTILE = {
  markup: '<img src=x onerror=document.title=1>.txt',
  turned: 'invoice\u202egpj.exe',
  lines: 'two\nlines',
} as const;
export const RAW_NAME = Buffer.from([0x72, 0x61, 0x77, 0xff, 0x2e, 0x62, 0x69, 0x6e]);

const START_MS = Date.UTC(2026, 10, 20, 22, 40, 0);

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 8) / 2 ** 24;
  };
}

function settings(step: number): string {
  const lines = [
    '{',
    '  "listen": "0.0.0.0:8080",',
    `  "workers": ${step < 20 ? 4 : 8},`,
    `  "cache": { "megabytes": ${64 + 16 * Math.floor(step / 9)}, "ttl": "${step < 31 ? '10m' : '2m'}" },`,
    `  "features": ["search"${step > 12 ? ', "export"' : ''}${step > 33 ? ', "beta-dashboard"' : ''}],`,
    '  "database": {',
    `    "path": "data/orders.db",`,
    `    "pool": ${step < 36 ? 10 : 32}${step > 36 ? ',\n    "timeout": "1500ms"' : ''}`,
    '  },',
    `  "log": { "level": "${step % 13 === 12 ? 'debug' : 'info'}" }`,
    '}',
  ];
  return `${lines.join('\n')}\n`;
}

const WORDS = 'order paid item shipped cart user opened closed refund note address stock page retry'.split(' ');

export interface Story {
  readonly store: Store;
  readonly stateDir: string;
  readonly storePath: string;
}

/** @param steps checkpoints that change something; tags and a freeze point come on top */
export async function tellStory(base: string, steps = 40): Promise<Story> {
  const stateDir = path.join(base, 'state');
  const storePath = path.join(base, 'keep');
  const at = (...names: string[]): string => path.join(stateDir, ...names);
  for (const name of ['config', 'data', 'logs', 'sessions']) mkdirSync(at(name), { recursive: true });
  const random = seeded(7);
  const database = Buffer.alloc(768 * 1024);
  for (let index = 0; index < database.length; index += 1) database[index] = index % 64 < 40 ? random() * 26 + 97 : 0;
  for (const name of Object.values(HOSTILE)) writeFileSync(at('config', name), 'harmless\n');
  writeFileSync(Buffer.concat([Buffer.from(`${at('config')}/`), RAW_NAME]), Buffer.from([0, 255, 1]));
  writeFileSync(at('data', 'old.db'), database);
  let nowMs = START_MS;
  const clock = { nowMs: () => nowMs, steadyMs: () => performance.now() };
  const store = await openStore(storePath, { create: true, clock });
  let log = '';
  for (let step = 1; step <= steps; step += 1) {
    nowMs += 40_000 + random() * 260_000;
    if (settings(step) !== settings(step - 1) || step === 1) writeFileSync(at('config', 'app.json'), settings(step));
    for (let line = 0; line < 3 + random() * 30; line += 1) {
      log += `${new Date(nowMs + line * 700).toISOString()} ${WORDS.map((word) => (random() > 0.7 ? word : ''))
        .join(' ')
        .trim()} id=${Math.floor(random() * 1e6)}\n`;
    }
    writeFileSync(at('logs', 'app.log'), log);
    for (let change = 0; change < 2 + random() * 24; change += 1) {
      database.write(`order ${Math.floor(random() * 1e7)} paid`, Math.floor(random() * 190) * 4096 + 64, 'latin1');
    }
    writeFileSync(at('data', 'orders.db'), database);
    if (step % 3 === 0)
      writeFileSync(at('sessions', `s-${1000 + step}.json`), `{"user":${step},"cart":[${random()}]}\n`);
    if (step % 7 === 0) rmSync(at('sessions', `s-${1000 + step - (step % 3) - 3}.json`), { force: true });
    const tag = step === 12 ? 'release 1.4' : step === 33 ? 'before the migration' : undefined;
    await capture(store, stateDir, tag === undefined ? {} : { tag });
    if (step % 10 === 0) await store.begin().commit({ force: true, frozen: true, pauseMs: 2 + random() * 30 });
  }
  return { store, stateDir, storePath };
}
