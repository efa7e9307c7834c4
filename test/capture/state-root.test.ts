/** The state directory itself: its mode, owner and times come back with what is in it. */
import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LinkGroups } from '../../src/capture/link-groups.js';
import { StateScan } from '../../src/capture/state-scan.js';
import { CHANGE, STAT_COLUMNS, type StatIndex } from '../../src/engine/engine.js';
import { recover } from '../../src/recover/recover.js';
import { engines, letTheClockTick, StateFixture } from './state-fixture.js';

let fixture: StateFixture;
afterEach(() => fixture?.close());

const ROOT = process.getuid?.() === 0;

function facts(path: string): unknown {
  const { mode, uid, gid, mtimeMs } = lstatSync(path);
  return { mode: (mode & 0o7777).toString(8), uid, gid, second: Math.floor(mtimeMs / 1000) };
}

describe.each(engines())('the state directory itself (%s)', (name, engine) => {
  it('comes back as it was, at each checkpoint', async () => {
    fixture = await StateFixture.create(engine);
    const { state, store } = fixture;
    fixture.write('db', 'rows');
    // A PostgreSQL that finds its directory open to others refuses to start.
    chmodSync(state, 0o700);
    if (ROOT) chownSync(state, 1234, 4321);
    utimesSync(state, 1_000_000_000, 1_000_000_000);
    const before = facts(state);
    const first = await fixture.capture();
    expect(first).toMatchObject({ added: 1, changed: 0, removed: 0 });
    chmodSync(state, 0o2750);
    const second = await fixture.capture();
    expect(second.checkpoint).toMatchObject({ sequence: 2, changed: 1 });
    const after = facts(state);
    for (const [at, expected] of [
      [1, before],
      [2, after],
    ] as const) {
      const target = join(fixture.directory, `back-${at}`);
      // There already, and otherwise: recovered nevertheless.
      if (at === 1) mkdirSync(target, { mode: 0o755 });
      const report = await recover(store, target, { at, setuid: true });
      expect(report).toMatchObject({ damaged: [], rootVerified: true });
      expect(facts(target)).toEqual(expected);
    }
    expect(name).toBe(engine.info.kind);
  });

  it('makes no checkpoint when only its time moved, nor an empty one its first', async () => {
    fixture = await StateFixture.create(engine);
    expect((await fixture.capture()).checkpoint).toBeNull();
    fixture.write('kept', 'x');
    await fixture.capture();
    await letTheClockTick();
    writeFileSync(fixture.path('passing'), '');
    rmSync(fixture.path('passing'));
    expect((await fixture.capture()).checkpoint).toBeNull();
    fixture.write('another', 'y');
    await fixture.capture();
    const [head] = await fixture.store.heads(['']);
    expect(head?.mtimeNs).toBe(lstatSync(fixture.state, { bigint: true }).mtimeNs);
  });

  it('is no removal when the caches are lost, and is left alone when only some paths come back', async () => {
    fixture = await StateFixture.create(engine);
    fixture.write('db', 'rows');
    chmodSync(fixture.state, 0o700);
    await fixture.capture();
    await fixture.reopen('.');
    expect(await fixture.capture()).toMatchObject({ checkpoint: null, removed: 0 });
    const target = join(fixture.directory, 'some');
    mkdirSync(target, { mode: 0o755 });
    await recover(fixture.store, target, { paths: ['db'] });
    expect(lstatSync(target).mode & 0o777).toBe(0o755);
  });
});

it('says why the state directory cannot be listed', async () => {
  const row = new BigInt64Array(STAT_COLUMNS);
  row[0] = -13n;
  const unreadable = async () => ({ paths: [''], kinds: Uint8Array.of(CHANGE.changed), rows: row, scanned: 1 });
  const index = { scan: unreadable, scanPaths: unreadable } as unknown as StatIndex;
  const links = new LinkGroups();
  const scan = new StateScan({ index, links, root: '/state', rules: null, skip: [], store: { dev: 0n, ino: 0n } });
  await expect(scan.full()).rejects.toMatchObject({
    code: 'DK_STATE_DIR',
    message: 'cannot list /state: permission denied (EACCES)',
  });
});
