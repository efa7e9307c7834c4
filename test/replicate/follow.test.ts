import { describe, expect, it } from 'vitest';
import { DiffKeeperError } from '../../src/core/core.js';
import { Follower, pullOver, StoreHost } from '../../src/replicate/replicate.js';
import type { Store } from '../../src/store/store.js';
import type { Session } from '../../src/transport/transport.js';
import { commitFiles, contentOf, noise } from '../store/store-fixture.js';
import { memoryPair } from './memory-session.js';
import { expectFollows, ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();

/** A receiver that can be away. */
class Receiver {
  readonly host: StoreHost;
  away = false;
  sessions: Session[] = [];

  constructor(store: Store) {
    this.host = new StoreHost(store);
  }

  readonly connect = async (): Promise<Session> => {
    if (this.away) throw new DiffKeeperError('DK_CONNECTION', 'nobody is there');
    const { client, server } = memoryPair();
    this.host.attach(server);
    this.sessions.push(client);
    return client;
  };

  leave(): void {
    this.away = true;
    for (const session of this.sessions.splice(0)) session.destroy(new DiffKeeperError('DK_CONNECTION', 'gone'));
  }
}

describe('a follower', () => {
  it('brings each checkpoint to several receivers, and one that was away catches up', async () => {
    const source = await fixture.open('source');
    const stores = [await fixture.open('near'), await fixture.open('far')] as const;
    const receivers = stores.map((store) => new Receiver(store));
    const [near, far] = receivers as [Receiver, Receiver];
    far.away = true;
    await commitFiles(source, { one: noise(3000, 1) });
    const followers = receivers.map(({ connect }, index) => new Follower(source, { name: `r${index}`, connect }));
    const [first, second] = followers as [Follower, Follower];
    expect(await first.caughtUp(5000)).toBe(true);
    for (let round = 2; round <= 4; round += 1) {
      await commitFiles(source, { one: noise(3000, round) });
      expect(await first.caughtUp(5000)).toBe(true);
    }
    expect(first.figures()).toMatchObject({
      state: 'following',
      sequence: 4,
      lagCheckpoints: 0,
      lagMs: 0,
      lastError: '',
    });
    const lagging = second.figures();
    expect(lagging).toMatchObject({ state: 'waiting', sequence: 0, lagCheckpoints: 4, lastError: 'nobody is there' });
    expect(lagging.lagMs).toBeGreaterThan(0);
    far.away = false;
    expect(await second.caughtUp(10_000)).toBe(true);
    near.leave();
    await commitFiles(source, { two: noise(500, 9) });
    expect(await second.caughtUp(5000)).toBe(true);
    expect(await first.caughtUp(100)).toBe(false);
    near.away = false;
    expect(await first.caughtUp(10_000)).toBe(true);
    expect(first.figures().connections).toBe(2);
    for (const follower of followers) await follower.close(1000);
    for (const { host } of receivers) await host.idle();
    for (const store of stores) await expectFollows(source, store);
  });

  it('is no obstacle to reading the replica meanwhile', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    const receiver = new Receiver(replica);
    const follower = new Follower(source, { name: 'r', connect: receiver.connect });
    const copy = await fixture.open('copy');
    for (let round = 1; round <= 6; round += 1) {
      await commitFiles(source, { [`f${round}`]: noise(90_000, round) });
      const { client, server } = memoryPair({ rights: 'read' });
      receiver.host.attach(server);
      await pullOver(copy, client);
      await client.close();
    }
    expect(await follower.caughtUp(5000)).toBe(true);
    expect((await contentOf(replica, 'f6'))?.equals(noise(90_000, 6))).toBe(true);
    await follower.close();
    await receiver.host.idle();
    expect(copy.newest?.sequence ?? 0).toBeLessThanOrEqual(6);
    expect((await copy.verify()).damage).toEqual([]);
  });

  it('ends while it waits, and sends what is new before it ends when there is time', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    const receiver = new Receiver(replica);
    receiver.away = true;
    const waiting = new Follower(source, { name: 'w', connect: receiver.connect });
    await commitFiles(source, { f: noise(10, 1) });
    await waiting.close(5000);
    expect(waiting.figures().state).toBe('closed');
    receiver.away = false;
    const follower = new Follower(source, { name: 'f', connect: receiver.connect });
    expect(await follower.caughtUp(5000)).toBe(true);
    await commitFiles(source, { g: noise(10, 2) });
    await follower.close(5000);
    await receiver.host.idle();
    expect(replica.newest?.sequence).toBe(2);
  });

  it('says for how long a checkpoint has been waiting, from when it came, though nobody asked', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    const receiver = new Receiver(replica);
    const follower = new Follower(source, { name: 'r', connect: receiver.connect });
    await commitFiles(source, { f: noise(10, 1) });
    expect(await follower.caughtUp(5000)).toBe(true);
    receiver.leave();
    const startMs = performance.now();
    await commitFiles(source, { f: noise(10, 2) });
    const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    await pause(400);
    await commitFiles(source, { f: noise(10, 3) });
    await pause(400);
    const { lagMs, lagCheckpoints } = follower.figures();
    expect(lagCheckpoints).toBe(2);
    expect(lagMs).toBeGreaterThan(700);
    expect(lagMs).toBeLessThanOrEqual(performance.now() - startMs);
    receiver.away = false;
    expect(await follower.caughtUp(10_000)).toBe(true);
    expect(follower.figures().lagMs).toBe(0);
    await follower.close(1000);
    await receiver.host.idle();
  });
});
