/** Replication over real sessions: the store of one side is served on a loopback address. */
import { describe, expect, it } from 'vitest';
import { followStore, type LinkOptions, pullStore, pushStore, serveStore } from '../../src/replicate/replicate.js';
import type { Store } from '../../src/store/store.js';
import { closeSoon, connect } from '../../src/transport/transport.js';
import { codeOf, commitFiles, noise } from '../store/store-fixture.js';
import { TcpProxy } from '../transport/tcp-proxy.js';
import { expectFollows, ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();
const PLAIN: LinkOptions = { trust: { plaintext: true } };

async function serve(store: Store, link: LinkOptions, allow?: Record<string, 'read' | 'append' | 'admin'>) {
  const authorize = allow && { authorize: (name: string) => allow[name] };
  const server = await serveStore(store, { host: '127.0.0.1', port: 0, link, ...authorize });
  const scheme = 'plaintext' in link.trust ? 'tcp' : 'tls';
  return { url: `${scheme}://127.0.0.1:${server.port}`, close: () => server.close() };
}

describe('a store that is served', () => {
  it('is pushed to, pulled from and followed over a real session', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    const copy = await fixture.open('copy');
    for (let round = 1; round <= 3; round += 1) {
      await commitFiles(source, { [`f${round}`]: noise(600_000, round), same: noise(2000, round) });
    }
    const server = await serve(replica, PLAIN);
    let seen = 0;
    const onProgress = (done: number): void => {
      seen = Math.max(seen, done);
    };
    const report = await pushStore(source, server.url, { link: PLAIN, onProgress });
    expect(report).toMatchObject({ checkpoints: 3, sequence: 3 });
    expect(seen).toBe(report.bytes);
    expect(await pushStore(source, server.url, { link: PLAIN })).toMatchObject({ checkpoints: 0, questions: 0 });
    expect(await pullStore(copy, server.url, { link: PLAIN })).toMatchObject({ checkpoints: 3 });
    const follower = followStore(source, server.url, { link: PLAIN });
    await commitFiles(source, { late: noise(50_000, 9) });
    expect(await follower.caughtUp(10_000)).toBe(true);
    await follower.close(1000);
    await server.close();
    await expectFollows(source, replica);
    expect(copy.newest?.sequence).toBe(3);
  });

  it('lets peers do what they may, by the name of their key', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    await commitFiles(source, { f: noise(5000, 1) });
    const keys = new Map(['reader', 'writer', 'second', 'stranger'].map((name, index) => [name, noise(32, index + 1)]));
    const allow = { reader: 'read', writer: 'append', second: 'append' } as const;
    const server = await serve(replica, { trust: { keys } }, allow);
    const as = (name: string): LinkOptions => ({ trust: { keys: new Map([[name, keys.get(name) as Buffer]]) } });
    expect(await codeOf(() => pushStore(source, server.url, { link: as('reader') }))).toBe('DK_REFUSED');
    expect(await codeOf(() => pushStore(source, server.url, { link: as('stranger') }))).toBe('DK_REFUSED');
    expect(await pushStore(source, server.url, { link: as('writer') })).toMatchObject({ checkpoints: 1 });
    expect(await codeOf(() => pushStore(source, server.url, { link: as('second') }))).toBe('DK_REPLICA');
    const copy = await fixture.open('copy');
    expect(await pullStore(copy, server.url, { link: as('reader') })).toMatchObject({ checkpoints: 1 });
    await server.close();
  });

  it('is not reached by an address that does not fit the trust', async () => {
    const source = await fixture.open('source');
    for (const url of ['tls://127.0.0.1:1', 'http://127.0.0.1:1', 'tcp://127.0.0.1:0', 'tcp://127.0.0.1:99999', '']) {
      expect(await codeOf(() => pushStore(source, url, { link: PLAIN })), url).toBe('DK_CONFIG');
    }
    const trust = { keys: new Map([['a', noise(32, 1)]]) };
    expect(await codeOf(() => pushStore(source, 'tcp://127.0.0.1:1', { link: { trust } }))).toBe('DK_CONFIG');
    expect(await codeOf(() => pushStore(source, 'tcp://127.0.0.1:1', { link: PLAIN }))).toBe('DK_CONNECTION');
  });

  it('that falls silent holds up neither the end of a follower nor that of a run', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    const server = await serveStore(replica, { host: '127.0.0.1', port: 0, link: PLAIN });
    const proxy = await TcpProxy.start(() => server.port);
    const url = `tcp://127.0.0.1:${proxy.port}`;
    const stopAll = (): void => {
      for (const relay of proxy.relays) relay.stop();
    };
    const took = async (work: () => Promise<unknown>): Promise<number> => {
      const startMs = performance.now();
      await work();
      return performance.now() - startMs;
    };
    await commitFiles(source, { f: noise(5000, 1) });
    const follower = followStore(source, url, { link: PLAIN });
    expect(await follower.caughtUp(10_000)).toBe(true);
    stopAll();
    await commitFiles(source, { g: noise(5000, 2) });
    expect(await took(() => follower.close(300))).toBeLessThan(3000);
    expect(follower.figures().state).toBe('closed');
    // Its answer arrives, and nothing after it.
    const session = await connect({ host: '127.0.0.1', port: proxy.port }, PLAIN);
    stopAll();
    expect(await took(() => closeSoon(session))).toBeLessThan(3000);
    proxy.close();
    await server.close();
  });
});
