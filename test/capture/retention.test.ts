/** A watcher that prunes by itself. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { capture, watch } from '../../src/capture/capture.js';
import { Retention } from '../../src/capture/retention.js';
import { DiffKeeperError, LIMITS, type Logger, silentLogger } from '../../src/core/core.js';
import { openStore, type Store } from '../../src/store/store.js';
import { everything, textOf } from '../store/condensed-store.js';
import { sequencesOf } from '../store/store-fixture.js';

let base = '';
let store: Store;
beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-retention-'));
  await mkdir(path.join(base, 'data'));
  store = await openStore(path.join(base, 'keep'), { create: true });
});
afterEach(async () => {
  await store.close();
  await rm(base, { recursive: true, force: true });
});

async function until(done: () => Promise<boolean> | boolean): Promise<void> {
  for (let tries = 0; !(await done()); tries += 1) {
    if (tries > 400) throw new Error('it never came');
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const file = (content: string): Promise<void> => writeFile(path.join(base, 'data', 'file'), content);

describe('a retention policy', () => {
  it('is carried out while the directory is watched', async () => {
    const watcher = await watch(store, path.join(base, 'data'), {
      retention: { policy: { keepLast: 2 }, intervalMs: 30 },
    });
    for (let version = 1; version <= 6; version += 1) {
      await file(`version ${version}`);
      await watcher.flush({ force: true });
    }
    await until(async () => (await sequencesOf(store)).length <= 2);
    expect(watcher.state).toBe('watching');
    await watcher.close();
    const newest = store.newest?.sequence ?? 0;
    expect((await sequencesOf(store)).at(-1)).toBe(newest);
    const [head] = await store.heads(['file']);
    expect(head && (await store.reader(head).read(0, head.size)).toString()).toBe('version 6');
    expect((await store.verify()).damage).toEqual([]);
  });

  it('that fails makes the watcher degraded, and well again when it works', async () => {
    let failing = true;
    const flaky = new Proxy(store, {
      get(target, key) {
        if (key === 'prune' && failing) return () => Promise.reject(new DiffKeeperError('DK_IO', 'no luck'));
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const retention = { policy: { keepLast: 1 }, intervalMs: 30 };
    const watcher = await watch(flaky, path.join(base, 'data'), { retention });
    const states: string[] = [];
    watcher.on('state', (state, reason) => states.push(`${state} ${reason}`));
    await file('one');
    await watcher.flush({ force: true });
    await watcher.flush({ force: true });
    await until(() => states.some((state) => /^degraded pruning failed.*no luck/.test(state)));
    // Captures go on.
    await file('two');
    expect((await watcher.flush()).checkpoint).not.toBeNull();
    expect(watcher.state).toBe('degraded');
    failing = false;
    await until(async () => (await sequencesOf(store)).length === 1);
    await until(() => watcher.state === 'watching');
    await watcher.close();
  });

  it('does not hold up the last checkpoint when the watcher is closed', async () => {
    let end: () => void = () => {};
    let begun = false;
    const slow = new Proxy(store, {
      get(target, key) {
        const prune = (): Promise<never> => {
          begun = true;
          // As one in which a group is being compressed: it hears nothing until that is over.
          return new Promise((_, reject) => {
            end = () => reject(new DiffKeeperError('DK_ABORTED', 'stopped'));
          });
        };
        if (key === 'prune') return prune;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const watcher = await watch(slow, path.join(base, 'data'), {
      retention: { policy: { keepLast: 1 }, intervalMs: 5 },
    });
    await file('one');
    await watcher.flush({ force: true });
    await watcher.flush({ force: true });
    await until(() => begun);
    await file('the last words');
    const closing = watcher.close();
    await until(async () => {
      const [head] = await store.heads(['file']);
      return head?.size === 'the last words'.length;
    });
    end();
    await closing;
    expect(watcher.state).toBe('closed');
  });

  it('counts as work when it takes a good part of the time', async () => {
    let end: () => void = () => {};
    const sequences: readonly number[] = [1, 2];
    const pruned = { kept: [], dropped: [], bytesBefore: 0, bytesAfter: 0 };
    const fake = {
      async *checkpoints() {
        for (const sequence of sequences) yield { sequence, timeMs: sequence, tag: '' };
      },
      prune: () => new Promise((resolve) => (end = () => resolve(pruned))),
    } as unknown as Store;
    const idle = new Retention(fake, { policy: { keepLast: 2 }, intervalMs: 50 }, silentLogger, () => {});
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(idle.takeWorked()).toBe(false);
    await idle.close();
    const busy = new Retention(fake, { policy: { keepLast: 1 }, intervalMs: 1 }, silentLogger, () => {});
    await until(() => busy.takeWorked());
    // It is still at it.
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(busy.takeWorked()).toBe(true);
    const closing = busy.close();
    end();
    await closing;
  });

  it('must make sense', async () => {
    const bad = (retention: Parameters<typeof watch>[2]) => watch(store, path.join(base, 'data'), retention);
    await expect(bad({ retention: { policy: {} } })).rejects.toThrow(TypeError);
    await expect(bad({ retention: { policy: { keepLast: 1 }, intervalMs: 0 } })).rejects.toThrow(RangeError);
    await expect(bad({ retention: {} })).rejects.toThrow(TypeError);
    await expect(bad({ retention: { condense: true, policy: {} } })).rejects.toThrow(TypeError);
    await expect(store.condense({ packBytesMin: Number.NaN })).rejects.toThrow(RangeError);
  });
});

describe('condensing by itself', () => {
  const { condensedPackBytesMin } = LIMITS;
  const limits = LIMITS as { condensedPackBytesMin: number };
  afterEach(() => {
    limits.condensedPackBytesMin = condensedPackBytesMin;
  });

  /** What the watcher says in its log. */
  function listening(): { readonly logger: Logger; readonly said: string[] } {
    const said: string[] = [];
    const note = (_: object, text: string): void => void said.push(text);
    return { logger: { debug: note, info: note, warn: note, error: note }, said };
  }

  it('goes on while the directory is watched, and changes nothing of what it holds', async () => {
    limits.condensedPackBytesMin = 4096;
    const { logger, said } = listening();
    const retention = { condense: true, intervalMs: 30 };
    const watcher = await watch(store, path.join(base, 'data'), { retention, logger });
    const digests: string[] = [];
    // The newest state must need little of a pack that is condensed: there have to be some versions.
    while (!said.includes('condensed')) {
      if (digests.length >= 400) throw new Error('nothing was condensed');
      const bytes = textOf(digests.length + 1, 'file');
      digests.push(store.engine.digest(store.hashAlgo, bytes).toString('hex'));
      await writeFile(path.join(base, 'data', 'file'), bytes);
      await watcher.flush({ force: true });
    }
    expect(watcher.state).toBe('watching');
    await watcher.close();
    const contents = new Set((await everything(store)).values());
    for (const digest of digests) expect(contents).toContain(digest);
    expect((await store.verify()).damage).toEqual([]);
    expect((await store.stats()).savings?.denseBytes).toBeGreaterThan(0);
  });

  it('leaves short packs alone', async () => {
    for (let version = 1; version <= 20; version += 1) {
      await writeFile(path.join(base, 'data', 'file'), textOf(version, 'file'));
      await capture(store, path.join(base, 'data'));
    }
    const { packs, considered } = await store.condense({ packBytesMin: 1 << 20 });
    expect({ packs, considered }).toEqual({ packs: 0, considered: 0 });
    expect((await store.condense()).packs).toBe(1);
  });

  it('is left off for an encrypted store, which is told once', async () => {
    const key = { keyBytes: Buffer.alloc(32, 3) };
    const sealed = await openStore(path.join(base, 'sealed'), { create: true, encrypt: true, key });
    const { logger, said } = listening();
    let rounds = 0;
    const counting = new Proxy(sealed, {
      get(target, key) {
        if (key === 'checkpoints') rounds += 1;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const retention = { condense: true, policy: { keepLast: 1000 }, intervalMs: 20 };
    const watcher = await watch(counting, path.join(base, 'data'), { retention, logger });
    await until(() => rounds > 4);
    expect(said.filter((text) => text === 'this store is not condensed')).toHaveLength(1);
    expect(watcher.state).toBe('watching');
    await watcher.close();
    await sealed.close();
  });
});
