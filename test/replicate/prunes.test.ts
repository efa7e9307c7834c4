import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { pullOver, StoreHost } from '../../src/replicate/replicate.js';
import { OpenExchange } from '../../src/store/exchange.js';
import { condense } from '../../src/store/store.js';
import { commitFiles, contentOf, directory, noise, sequencesOf } from '../store/store-fixture.js';
import { memoryPair } from './memory-session.js';
import { expectFollows, push, ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();

describe('a prune', () => {
  it('at the source leaves the replica its longer history, which goes on', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    for (let round = 1; round <= 4; round += 1) await commitFiles(source, { [`f${round}`]: noise(2000, round) });
    await push(source, replica);
    await source.prune({ keepLast: 1 });
    const same = await push(source, replica);
    expect(same.count.questions).toBe(1);
    await commitFiles(source, { f5: noise(2000, 5), f1: null });
    await push(source, replica);
    expect(await sequencesOf(replica)).toEqual([1, 2, 3, 4, 5]);
    await expectFollows(source, replica, false);
    expect((await contentOf(replica, 'f1')) === null).toBe(true);
  });

  it('at the source before the first push: only what is kept arrives, under its own numbers', async () => {
    const source = await fixture.open('source');
    for (let round = 1; round <= 6; round += 1) {
      await commitFiles(source, { [`f${round % 3}`]: noise(2000, round), both: noise(900, round) });
    }
    await source.prune({ keepLast: 2 });
    await commitFiles(source, { last: noise(10, 3) });
    const replica = await fixture.open('replica');
    await push(source, replica);
    expect(await sequencesOf(replica)).toEqual([5, 6, 7]);
    await expectFollows(source, replica);
    const again = await fixture.reopen(replica);
    await expectFollows(source, again);
    expect((await again.rebuildIndex()).damage).toEqual([]);
    await expectFollows(source, again);
  });

  it('that drops the newest checkpoint of the replica does not bring back what was removed', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    const other = await fixture.open('other');
    await commitFiles(source, { kept: noise(500, 1), old: noise(700, 2) });
    await push(source, other);
    await commitFiles(source, { passing: noise(500, 3), stays: noise(400, 4) });
    const transaction = source.begin();
    transaction.put(directory('inner'));
    await transaction.commit();
    await push(source, replica);
    await commitFiles(source, { passing: null, old: null, inner: null });
    await commitFiles(source, { last: noise(500, 5) });
    await source.prune({ keepLast: 1 });
    // One has checkpoint 3, the other 1: neither is in the history of the source any more.
    for (const store of [replica, other]) {
      await push(source, store);
      await expectFollows(source, store, false);
      expect(await contentOf(store, 'passing')).toBeNull();
    }
    expect(await sequencesOf(replica)).toEqual([1, 2, 3, 5]);
    await commitFiles(source, { more: noise(500, 6) });
    await push(source, replica);
    await expectFollows(source, replica, false);
  });

  it('of the replica drops its own, and it follows on', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    for (let round = 1; round <= 4; round += 1) {
      await commitFiles(source, { changing: noise(300_000, round), same: noise(400, 1) });
      await push(source, replica);
    }
    const { removedPacks } = await replica.prune({ keepLast: 1 }, { compactBelow: 1 });
    expect(removedPacks).toBeGreaterThanOrEqual(0);
    await commitFiles(source, { back: noise(300_000, 1) });
    await push(source, replica);
    expect(await sequencesOf(replica)).toEqual([4, 5]);
    await expectFollows(source, replica, false);
  });

  it('of both between a push and the next, whatever each of them keeps', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    for (let round = 1; round <= 3; round += 1) await commitFiles(source, { [`f${round}`]: noise(2000, round) });
    await push(source, replica);
    await commitFiles(source, { f2: null, f4: noise(2000, 4) });
    await push(source, replica);
    await replica.prune({ keepLast: 1 });
    await commitFiles(source, { f4: null, f5: noise(10, 5) });
    await source.prune({ keepLast: 1 });
    await push(source, replica);
    await expectFollows(source, replica, false);
    expect(await contentOf(replica, 'f4')).toBeNull();
  });

  it('while a replica is being pulled', async () => {
    const source = await fixture.open('source');
    for (let round = 1; round <= 5; round += 1) await commitFiles(source, { [`f${round}`]: noise(70_000, round) });
    await commitFiles(source, { f1: null, f2: null });
    const replica = await fixture.open('replica');
    let pruned: Promise<unknown> | undefined;
    const { client, server } = memoryPair({
      onMessage: (kind) => {
        if (kind === 'blob') pruned ??= source.prune({ keepLast: 1 }, { compactBelow: 1 });
        return undefined;
      },
    });
    new StoreHost(source).attach(server);
    await pullOver(replica, client);
    await pruned;
    await expectFollows(source, replica, false);
  });
});

describe('a condense', () => {
  it('at the source while a page of its history is made: the page is made again', async () => {
    const { packBytes } = LIMITS;
    const { readVersions } = OpenExchange.prototype;
    try {
      Object.assign(LIMITS, { packBytes: 60 << 10 });
      const source = await fixture.open('source');
      const replica = await fixture.open('replica');
      for (let round = 1; round <= 60; round += 1) {
        const files = Array.from({ length: 20 }, (_, file) => [`config/of/the/application/${file}`, noise(90, round)]);
        await commitFiles(source, Object.fromEntries(files));
      }
      let condensed = 0;
      let calls = 0;
      OpenExchange.prototype.readVersions = async function (this: OpenExchange, ...question) {
        calls += 1;
        if (calls === 5) condensed = (await condense(source)).packs;
        return readVersions.apply(this, question);
      };
      await push(source, replica);
      expect(condensed).toBeGreaterThan(0);
      await expectFollows(source, replica);
    } finally {
      OpenExchange.prototype.readVersions = readVersions;
      Object.assign(LIMITS, { packBytes });
    }
  });
});
