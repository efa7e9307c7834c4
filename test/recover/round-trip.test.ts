import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { capture } from '../../src/capture/capture.js';
import { recover } from '../../src/recover/recover.js';
import { engines, Fixture, facts, listTree, noise } from './tree-fixture.js';

describe.each(engines())('capture and recover with the %s engine', (_name, engine) => {
  let fixture: Fixture;
  let state: string;
  beforeEach(async () => {
    fixture = await Fixture.create(engine);
    state = join(fixture.directory, 'state');
    mkdirSync(join(state, 'deep/er/est'), { recursive: true });
    writeFileSync(join(state, 'small'), 'small');
    writeFileSync(join(state, 'empty'), '');
    writeFileSync(join(state, 'deep/large'), noise(5_000_001));
    writeFileSync(Buffer.concat([Buffer.from(`${state}/deep/`), Buffer.from([0xff, 0xfe])]), 'bytes');
    writeFileSync(join(state, 'deep/holes'), noise(4096));
    truncateSync(join(state, 'deep/holes'), 9_000_000);
    linkSync(join(state, 'deep/large'), join(state, 'deep/er/linked'));
    symlinkSync('../small', join(state, 'deep/link'));
    lutimesSync(join(state, 'deep/link'), 1_000_000_000.5, 1_000_000_000.5);
    chmodSync(join(state, 'deep/er/est'), 0o700);
    chmodSync(join(state, 'small'), 0o600);
  });
  afterEach(() => fixture.remove());

  /** Everything that two trees can be compared by. */
  function snapshot(root: string): Map<string, unknown> {
    const names = new Map<bigint, string>();
    const found = new Map<string, unknown>();
    for (const path of listTree(root)) {
      const at = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
      const { isDirectory, mode, mtimeNs, ino, link } = facts(at);
      if (!names.has(ino)) names.set(ino, path);
      const content = link === null && !isDirectory ? readFileSync(at).toString('base64') : link;
      // Node sets no nanoseconds, so the twin's times are compared in another test, with a tolerance.
      const time = engine.info.kind === 'native' ? mtimeNs : null;
      found.set(path, { isDirectory, mode, time, sameAs: names.get(ino), content });
    }
    return found;
  }

  test('every checkpoint of a changing tree comes back', async () => {
    const wanted: Map<string, unknown>[] = [];
    const take = async () => {
      const { checkpoint, skipped } = await capture(fixture.store, state);
      expect(skipped).toEqual([]);
      expect(checkpoint?.sequence).toBe(wanted.length + 1);
      wanted.push(snapshot(state));
    };
    await take();
    const large = readFileSync(join(state, 'deep/large'));
    large.write('changed in the middle', 2_500_000);
    writeFileSync(join(state, 'deep/large'), large);
    rmSync(join(state, 'empty'));
    await take();
    writeFileSync(join(state, 'deep/large'), Buffer.concat([Buffer.from('shifted'), large, noise(300_000, 'tail')]));
    renameSync(join(state, 'deep/er'), join(state, 'moved'));
    rmSync(join(state, 'small'));
    mkdirSync(join(state, 'small'));
    await take();
    truncateSync(join(state, 'deep/large'), 1_200_000);
    await take();
    for (const at of [1, 4, 2, 3, 1]) {
      const report = await recover(fixture.store, fixture.target, { at });
      expect(report).toMatchObject({ damaged: [], rootVerified: true });
      expect(snapshot(fixture.target)).toEqual(wanted[at - 1]);
    }
    expect(facts(fixture.at('deep/holes')).blocks).toBeLessThan(64);
    await recover(fixture.store, fixture.target);
    const again = await recover(fixture.store, fixture.target);
    expect(again).toMatchObject({ written: 0, removed: 0, rootVerified: true });
  });

  test('what was recovered is what the next capture expects', async () => {
    await capture(fixture.store, state);
    await recover(fixture.store, fixture.target);
    const { checkpoint } = await capture(fixture.store, fixture.target);
    // Link ids name inodes of this machine, so hard links count as changed in another place; nothing else does.
    if (engine.info.kind === 'native') expect(checkpoint?.changed ?? 0).toBeLessThanOrEqual(2);
  });
});
