import { describe, expect, it } from 'vitest';
import { exchangeOf, type Store } from '../../src/store/store.js';
import { codeOf, commitFiles, noise } from '../store/store-fixture.js';
import { expectFollows, push, ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();

/** Ends the session at the n-th message of a kind. */
function cutAt(n: number, only?: string): { readonly onMessage: () => undefined; readonly messages: () => number } {
  let seen = 0;
  return {
    onMessage: (kind?: string) => {
      if (only !== undefined && kind !== only) return undefined;
      if (seen === n) throw new Error('cut');
      seen += 1;
      return undefined;
    },
    messages: () => seen,
  };
}

async function source(files: number, bytes: number): Promise<Store> {
  const store = await fixture.open('source');
  for (let round = 0; round < 2; round += 1) {
    const changes: Record<string, Buffer> = {};
    for (let file = 0; file < files; file += 1) changes[`f${round}-${file}`] = noise(bytes, round * 1000 + file);
    await commitFiles(store, changes);
  }
  return store;
}

describe('a session that is cut', () => {
  it('at any message: the replica opens, holds whole checkpoints only, and the next run ends it', async () => {
    const from = await source(3, 20_000);
    const all = cutAt(Number.MAX_SAFE_INTEGER);
    await push(from, await fixture.open('whole'), all);
    expect(all.messages()).toBeGreaterThan(10);
    for (let n = 0; n < all.messages(); n += 1) {
      const replica = await fixture.open(`replica-${n}`);
      expect(await codeOf(() => push(from, replica, cutAt(n)))).not.toBe('no error');
      const again = await fixture.reopen(replica);
      expect([undefined, 1, 2]).toContain(again.newest?.sequence);
      expect((await again.verify()).damage).toEqual([]);
      await push(from, again);
      await expectFollows(from, again);
      await fixture.close(again);
    }
  });

  it('again and again: what has arrived is not sent twice, but for the batches that were on their way', async () => {
    const from = await source(50, 60_000);
    let replica = await fixture.open('replica');
    let sent = 0;
    let cuts = 0;
    for (let done = false; !done; ) {
      const before = { code: '', bytes: 0 };
      const rules = cutAt(15, 'blob');
      const counted = {
        onMessage: (kind: string, _verb: string, bytes: Buffer): undefined => {
          if (kind === 'blob') before.bytes += bytes.length;
          return (rules.onMessage as (kind: string) => undefined)(kind);
        },
      };
      before.code = await codeOf(() => push(from, replica, counted));
      sent += before.bytes;
      done = before.code === 'no error';
      if (done) continue;
      cuts += 1;
      expect(cuts).toBeLessThan(40);
      replica = await fixture.reopen(replica);
    }
    expect(cuts).toBeGreaterThan(4);
    // Eight batches of at most 64 KiB are under way at a time.
    expect(sent).toBeLessThanOrEqual(100 * 60_200 + cuts * 9 * 65_536);
    await expectFollows(from, replica);
  });

  it('keeps what is complete when a later checkpoint cannot be had', async () => {
    const from = await fixture.open('source');
    await commitFiles(from, { good: noise(3000, 1) });
    const replica = await fixture.open('replica');
    await push(from, replica);
    await commitFiles(from, { other: noise(3000, 2), more: noise(3000, 3) });
    const spoil = (kind: string, _verb: string, bytes: Buffer): undefined => {
      if (kind === 'blob') bytes[bytes.length - 20] = (bytes[bytes.length - 20] as number) ^ 1;
      return undefined;
    };
    expect(await codeOf(() => push(from, replica, { onMessage: spoil }))).toBe('DK_CORRUPT_RECORD');
    expect(replica.newest?.sequence).toBe(1);
    const again = await fixture.reopen(replica);
    expect((await again.verify()).damage).toEqual([]);
    await push(from, again);
    await expectFollows(from, again);
  });

  it('by the one who asked for it', async () => {
    const from = await source(30, 60_000);
    const replica = await fixture.open('replica');
    const stop = new AbortController();
    const options = { signal: stop.signal, onProgress: () => stop.abort() };
    expect(await codeOf(() => push(from, replica, { options }))).toBe('DK_ABORTED');
    const [first] = await from.changes(1);
    expect(first?.digest && (await exchangeOf(replica).has([first.digest]))).toBeTruthy();
    await push(from, replica);
    await expectFollows(from, replica);
  });
});
