/** Reading a store through the process that owns it: here both are one process, in `test/sidecar` they are not. */
import { existsSync, statSync } from 'node:fs';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import * as path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { openStoreToRead } from '../../src/migrate/migrate.js';
import { encodeHello, FRAME_LIMITS, frame, frames } from '../../src/store/owner-protocol.js';
import { openSharedStore } from '../../src/store/shared-store.js';
import { prune, type Store, shareStore, tagSharedStore } from '../../src/store/store.js';
import { everything, writeHistory } from './condensed-store.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const readers: Store[] = [];
const { packBytes } = LIMITS;
const setPackBytes = (bytes: number): void => {
  (LIMITS as { packBytes: number }).packBytes = bytes;
};
afterEach(async () => {
  setPackBytes(packBytes);
  for (const reader of readers.splice(0)) await reader.close();
});

async function shared(): Promise<Store> {
  const store = await openSharedStore(fixture.root);
  if (!store) throw new Error('nobody shares it');
  readers.push(store);
  return store;
}

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of source) found.push(one);
  return found;
}

const socketPath = (): string => path.join(fixture.root, 'read.sock');

/** Everything that can be asked of a store without its content, as text; lists without the borders of their batches. */
async function facts(store: Store): Promise<string> {
  const stats = await store.stats({ liveness: true });
  const newest = store.newest?.sequence ?? 0;
  const told = {
    newest: store.newest,
    // LevelDB's files change by themselves.
    stats: { ...stats, metaBytes: 0 },
    verified: await store.verify(),
    heads: await store.heads(['a', 'b', 'not there']),
    entries: (await all(store.entries())).flat(),
    earlier: (await all(store.entries({ at: newest - 1, under: ['d'] }))).flat(),
    versions: [await all(store.versions('a')), await all(store.versions('d/0007'))],
    changes: await store.changes(newest),
    checkpoints: [await all(store.checkpoints()), await all(store.checkpoints({ limit: 2 }))],
    at: [await store.checkpointAt(1), await codeOf(() => store.checkpointAt(99))],
  };
  return JSON.stringify(told, (_, value) => (typeof value === 'bigint' ? String(value) : value));
}

/** With enough entries that a list takes several answers. */
const MANY = 1200;

async function filled(count = 20): Promise<Store> {
  const store = await fixture.open();
  const many = Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`d/${String(index).padStart(4, '0')}`, noise(40, index)]),
  );
  await commitFiles(store, { a: noise(200_000, 1), b: noise(10, 2), ...many });
  await commitFiles(store, { a: noise(200_100, 1) });
  await commitFiles(store, { b: noise(11, 2), 'd/0007': noise(41, 7) });
  return store;
}

describe('reading', () => {
  it('tells the same as the owner', async () => {
    await (await filled(MANY)).close();
    const store = await fixture.open();
    await shareStore(store);
    const other = await shared();
    expect((await facts(other)) === (await facts(store))).toBe(true);
    const before = (await store.heads(['a']))[0];
    const [content, again] = await Promise.all([contentOf(other, 'a'), contentOf(other, 'd/0007')]);
    expect(content?.equals(noise(200_100, 1))).toBe(true);
    expect(again?.equals(noise(41, 7))).toBe(true);
    expect(before).toBeDefined();
    expect(statSync(socketPath()).mode & 0o777).toBe(0o600);
    expect((await readdir(fixture.root)).filter((name) => name.startsWith('read.sock'))).toEqual(['read.sock']);
  });

  it('of an empty store finds nothing', async () => {
    const store = await fixture.open();
    await shareStore(store);
    const other = await shared();
    expect(other.newest).toBeNull();
    expect(await all(other.entries())).toEqual([]);
    expect((await other.verify()).damage).toEqual([]);
  });

  it('stays at its moment while the owner commits, large commits too', async () => {
    const store = await filled();
    await shareStore(store);
    const other = await shared();
    const before = await facts(other);
    await commitFiles(store, { a: noise(300_000, 9), c: noise(100, 3) });
    expect((await facts(other)) === before).toBe(true);
    expect((await contentOf(other, 'a'))?.equals(noise(200_100, 1))).toBe(true);
    expect(await other.heads(['c'])).toEqual([undefined]);
    expect((await (await shared()).heads(['c']))[0]?.size).toBe(100);
  });

  it('keeps what it reads from a prune; the packs go when it has ended', async () => {
    setPackBytes(100_000);
    const store = await filled();
    await shareStore(store);
    const other = await shared();
    const pruning = prune(store, { keepLast: 1 }, { compactBelow: 1 });
    const old = await other.checkpointAt(1);
    const [version] = (await all(other.entries({ at: old.sequence, under: ['a'] }))).flat();
    // Read again and again while the prune moves and switches, and once it waits for us.
    for (let round = 0; round < 20; round += 1) {
      const bytes = await other.reader(version as never).read(0, 200_000);
      expect(bytes.equals(noise(200_000, 1))).toBe(true);
    }
    await other.close();
    const report = await pruning;
    expect(report.packsLeft).toBe(0);
    expect(report.removedPacks).toBeGreaterThan(0);
    const after = await shared();
    expect(await codeOf(() => after.checkpointAt(1))).toBe('DK_NOT_FOUND');
    expect((await contentOf(after, 'a'))?.equals(noise(200_100, 1))).toBe(true);
    expect((await after.verify()).damage).toEqual([]);
  });

  it('reads what is condensed as the owner does', async () => {
    const store = await fixture.open();
    await writeHistory(store, 1, 40);
    expect((await store.condense()).packs).toBe(1);
    // Otherwise the owner has an empty pack behind what is shared.
    await commitFiles(store, { after: noise(100, 1) });
    const before = await everything(store);
    await shareStore(store);
    const other = await shared();
    expect(await everything(other)).toEqual(before);
    expect((await other.stats()).packBytes).toBe((await store.stats()).packBytes);
    expect(await codeOf(() => other.condense())).toBe('DK_STORE_LOCKED');
  });

  it('says what a prune would do, which the owner then does', async () => {
    const store = await filled();
    await commitFiles(store, { a: noise(300_000, 9) });
    await shareStore(store);
    const other = await shared();
    const dry = await prune(other, { keepLast: 1 }, { dryRun: true });
    await other.close();
    const done = await prune(store, { keepLast: 1 });
    const { kept, dropped, versions, movedBytes, removedPacks, bytesBefore } = done;
    expect(dry).toMatchObject({ dryRun: true, kept, dropped, versions, movedBytes, removedPacks, bytesBefore });
    expect(Math.abs(dry.bytesAfter - done.bytesAfter)).toBeLessThan(done.bytesAfter / 50);
  });

  it('takes no write: DK_STORE_LOCKED', async () => {
    await shareStore(await filled());
    const other = await shared();
    expect(await codeOf(async () => other.begin())).toBe('DK_STORE_LOCKED');
    expect(await codeOf(() => other.rebuildIndex())).toBe('DK_STORE_LOCKED');
    expect(await codeOf(() => prune(other, { keepLast: 1 }))).toBe('DK_STORE_LOCKED');
    expect(await codeOf(() => other.reopen())).toBe('DK_STORE_LOCKED');
  });

  it('has the owner tag', async () => {
    const store = await filled();
    const asked: string[] = [];
    const tag = async (text: string) => {
      asked.push(text);
      return store.begin().commit({ tag: text, force: true });
    };
    await shareStore(store, { tag });
    const made = await tagSharedStore(await shared(), 'release 7');
    expect(made).toMatchObject({ sequence: 4, tag: 'release 7' });
    expect(await codeOf(async () => tagSharedStore(await shared(), 'x'.repeat(2000)))).toBe('DK_ARGUMENT');
    expect(asked).toEqual(['release 7']);
    await shareStore(store);
    expect(await codeOf(async () => tagSharedStore(await shared(), 'no'))).toBe('DK_STORE_LOCKED');
    expect(await tagSharedStore(store, 'own')).toBeNull();
  });
});

describe('ends', () => {
  it('of the owner are told, at once and for good', async () => {
    const store = await filled(MANY);
    await shareStore(store);
    const other = await shared();
    const [version] = await other.heads(['a']);
    const walk = other.entries()[Symbol.asyncIterator]();
    expect((await walk.next()).value?.length).toBeGreaterThan(0);
    await store.close();
    expect(await codeOf(() => walk.next())).toBe('DK_STORE_CLOSED');
    expect(existsSync(socketPath())).toBe(false);
    for (const ask of [
      () => other.heads(['a']),
      () => all(other.checkpoints()),
      () => other.verify(),
      () => other.stats(),
      () => other.reader(version as never).read(0, 10),
    ]) {
      expect(await codeOf(ask)).toBe('DK_STORE_CLOSED');
    }
    expect(await openSharedStore(fixture.root)).toBeNull();
  });

  it('of a reader let the packs go', async () => {
    const store = await filled();
    await shareStore(store);
    const other = await shared();
    await other.close();
    expect(await codeOf(() => other.heads(['a']))).toBe('DK_STORE_CLOSED');
    expect((await prune(store, { keepLast: 1 })).packsLeft).toBe(0);
  });

  it('and a repair of the owner ends readers; new ones wait for it', async () => {
    const store = await filled();
    await shareStore(store);
    const other = await shared();
    const repairing = store.rebuildIndex();
    const next = shared();
    await repairing;
    expect(await codeOf(() => other.heads(['a']))).toBe('DK_STORE_CLOSED');
    expect((await (await next).heads(['b']))[0]?.size).toBe(11);
  });

  it('of a sharing leave the store as it was', async () => {
    const store = await filled();
    const sharing = await shareStore(store);
    await sharing?.close();
    expect(existsSync(socketPath())).toBe(false);
    await commitFiles(store, { z: noise(1, 1) });
    await shareStore(store);
    await store.close();
    expect(existsSync(socketPath())).toBe(false);
    expect(await codeOf(() => shareStore(store))).toBe('DK_STORE_CLOSED');
  });
});

describe('the socket', () => {
  it('of a killed owner is nobody, and the next owner takes its place', async () => {
    const store = await filled();
    await shareStore(store);
    await rename(socketPath(), path.join(fixture.base, 'abandoned'));
    await store.close();
    await rename(path.join(fixture.base, 'abandoned'), socketPath());
    const own = await openStoreToRead(fixture.root);
    expect(existsSync(socketPath())).toBe(true);
    await shareStore(own);
    expect((await shared()).newest?.sequence).toBe(3);
    await own.close();
  });

  it('works where its path is longer than a socket takes', async () => {
    fixture.root = path.join(fixture.base, 'x'.repeat(120), 'keep');
    await mkdir(path.dirname(fixture.root));
    await shareStore(await filled());
    expect((await contentOf(await shared(), 'b'))?.equals(noise(11, 2))).toBe(true);
    expect((await readdir(fixture.root)).filter((name) => name.startsWith('read.sock'))).toEqual(['read.sock']);
  });

  it('is not waited for where an owner shares nothing: DK_STORE_LOCKED as ever', async () => {
    await fixture.open();
    expect(await codeOf(() => openStoreToRead(fixture.root))).toBe('DK_STORE_LOCKED');
  });
});

/** Speaks to the owner as no reader of ours would. */
class Stranger {
  readonly #socket: Socket;
  readonly #answers: AsyncGenerator<Buffer>;

  constructor() {
    this.#socket = connect(socketPath());
    this.#socket.on('error', () => {});
    this.#answers = frames(this.#socket, FRAME_LIMITS.answerMax);
  }

  async say(bytes: Uint8Array): Promise<Buffer | 'gone'> {
    this.#socket.write(bytes);
    const answer = await this.#answers.next().catch(() => ({ done: true as const, value: undefined }));
    return answer.done ? 'gone' : answer.value;
  }

  end(): void {
    this.#socket.destroy();
  }
}

describe('the owner', () => {
  it('refuses nonsense and goes on', async () => {
    const store = await filled();
    await shareStore(store);
    const hello = frame(1, encodeHello(store.id));
    const wrong = frame(1, encodeHello('00'.repeat(16)));
    const cases: [Uint8Array[], RegExp | 'gone'][] = [
      [[wrong], /DK_UNSUPPORTED/],
      [[frame(2, Buffer.from([0]))], /DK_UNSUPPORTED/],
      [[Buffer.from([0xff, 0xff, 0xff, 0xff, 1])], 'gone'],
      [[Buffer.from([0, 0, 0, 0, 1])], 'gone'],
      [[hello, frame(9, Buffer.alloc(0))], /DK_UNSUPPORTED/],
      [[hello, frame(2, Buffer.from([0xff, 0xff, 0xff, 0x7f]))], /DK_IO/],
      [[hello, frame(2, Buffer.from([1, 200, 1]))], /DK_IO/],
      [[hello, frame(3, Buffer.from([0, 0xff, 0x7f]))], /DK_IO/],
      [[hello, frame(3, Buffer.from([7]))], /DK_IO/],
    ];
    for (const [said, expected] of cases) {
      const stranger = new Stranger();
      let answer: Buffer | 'gone' = 'gone';
      for (const bytes of said) answer = await stranger.say(bytes);
      stranger.end();
      if (expected === 'gone') expect(answer).toBe('gone');
      else expect(answer.toString('latin1')).toMatch(expected);
    }
    const other = await shared();
    expect((await other.heads(['b']))[0]?.size).toBe(11);
    await other.close();
    expect((await prune(store, { keepLast: 1 })).packsLeft).toBe(0);
  });

  it('holds one answer for a reader that takes none', async () => {
    const store = await filled(MANY);
    await shareStore(store);
    const socket = connect(socketPath());
    socket.pause();
    // All answers together were 2 GB.
    const ask = frame(3, Buffer.from([0, 0xe8, 7, 1, 0x68, 1, 0x69]));
    const before = process.memoryUsage().rss;
    socket.write(frame(1, encodeHello(store.id)));
    for (let count = 0; count < 20_000; count += 1) socket.write(ask);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
    expect((await (await shared()).heads(['b']))[0]?.size).toBe(11);
    socket.destroy();
  });
});
