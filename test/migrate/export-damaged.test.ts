/** Exports of files that are damaged: they are left out and named, and the archive is whole. */
import { spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { RECORD } from '../../src/format/format.js';
import { exportBolt, exportTar } from '../../src/migrate/migrate.js';
import { openStore, type Store } from '../../src/store/store.js';
import { flipRecord } from '../store/flip-record.js';
import { noise } from '../store/store-fixture.js';
import { OlderStores } from './older-stores.js';

const older = new OlderStores();

/** A damaged file with two names, large when asked to be, and a good one. */
async function damagedStore(bytes: number): Promise<Store> {
  const state = path.join(older.base, 'state');
  const root = path.join(older.base, 'keep');
  mkdirSync(state);
  writeFileSync(path.join(state, 'bad'), noise(bytes, 1));
  linkSync(path.join(state, 'bad'), path.join(state, 'bad-too'));
  const store = await openStore(root, { create: true });
  await capture(store, state);
  writeFileSync(path.join(state, 'good'), noise(3000, 2));
  await capture(store, state);
  await store.close();
  await flipRecord(path.join(root, 'packs', '00000001.dkp'), RECORD.blob);
  return older.keep(await openStore(root));
}

describe.each([
  ['a short file', 5000],
  ['a file of several windows', 40_000_000],
])('%s that is damaged', (_name, bytes) => {
  it('is left out of a tar archive under each of its names', async () => {
    const store = await damagedStore(bytes);
    const pieces: Buffer[] = [];
    const report = await exportTar(store, async (piece) => void pieces.push(Buffer.from(piece)));
    expect(report.leftOut.map((one) => one.path)).toEqual(['bad', 'bad-too']);
    expect(report).toMatchObject({ entries: 1, bytes: 3000 });
    const file = path.join(older.base, 'out.tar');
    writeFileSync(file, Buffer.concat(pieces));
    const listed = spawnSync('tar', ['tf', file], { encoding: 'utf8' });
    expect([listed.status, listed.stdout, listed.stderr]).toEqual([0, 'good\n', '']);
  });
});

it('is left out of a file of schema 1', async () => {
  const store = await damagedStore(5000);
  const file = path.join(older.base, 'out.bolt');
  const report = await exportBolt(store, file);
  expect(report.leftOut.map((one) => one.path)).toEqual(['bad', 'bad-too']);
  expect(report.entries).toBe(1);
  expect(readFileSync(file).includes('good')).toBe(true);
});
