/** Strangers that connect and say nothing take nobody's place. */
import { connect as connectTcp, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { crowdMax } from '../../src/transport/crowd.js';
import { connect, createReceiver, listen, type Session, type Trust } from '../../src/transport/transport.js';
import { PLAIN, withPair } from './session-fixture.js';

const KEYS = ['alice', 'bob'].map((name, at) => [name, Buffer.alloc(32, at + 1)] as const);
const ALL: Trust = { keys: new Map(KEYS) };
const only = (at: number): Trust => ({ keys: new Map([KEYS[at] as (typeof KEYS)[number]]) });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.each<[string, Trust, Trust]>([
  ['plain', PLAIN, PLAIN],
  ['TLS', ALL, only(0)],
])('silent connections, %s', (_name, trust, own) => {
  it('are cut, the oldest first, and sessions and their streams come through', async () => {
    const streams = { minimum: 4, initial: 4, maximum: 4 };
    await withPair(
      { listen: { trust, connectionsMax: 24, streams }, connect: { trust: own, streams } },
      async (pair) => {
        const { client, listener } = pair;
        const strangers: Socket[] = [];
        const ended: number[] = [];
        for (let at = 0; at < 60; at += 1) {
          const stranger = connectTcp({ host: '127.0.0.1', port: listener.port });
          stranger.on('error', () => {});
          stranger.on('close', () => ended.push(at));
          stranger.resume();
          strangers.push(stranger);
          await new Promise((resolve) => stranger.once('connect', resolve));
        }
        while (ended.length < 48) await pause(5);
        expect(Math.max(...ended)).toBeLessThan(60 - 12 + 8);
        expect(listener.refusals.get('crowd')).toBeGreaterThanOrEqual(48);
        const second = await connect({ host: '127.0.0.1', port: listener.port }, { trust: own, streams });
        while (second.figures.openStreams < 4 || client.figures.openStreams < 4) await pause(5);
        await second.ping();
        for (const stranger of strangers) stranger.destroy();
        await second.close();
      },
    );
  });
});

describe('connections that have not greeted', () => {
  it.each([
    [1, 1],
    [25, 13],
    [400, 200],
    [1024, 256],
    [4096, 1024],
  ])('of %i are at most %i', (connectionsMax, most) => expect(crowdMax(connectionsMax)).toBe(most));
});

describe('connections that are known', () => {
  it('are not counted among those that are not', async () => {
    await withPair({ listen: { connectionsMax: 40 } }, async ({ listener }) => {
      const sessions: Session[] = [];
      const place = { host: '127.0.0.1', port: listener.port };
      const streams = { minimum: 1, initial: 1, maximum: 1 };
      for (let at = 0; at < 15; at += 1) sessions.push(await connect(place, { trust: PLAIN, streams }));
      for (const session of sessions) while (session.figures.openStreams < 1) await pause(5);
      expect(listener.refusals.size).toBe(0);
      for (const session of sessions) await session.close();
    });
  });
});

describe('sessions of one name', () => {
  it('are half of all, or as many as was said', async () => {
    for (const [options, most] of [
      [{ sessionsMax: 5 }, 3],
      [{ sessionsMax: 5, sessionsPerPeer: 2 }, 2],
    ] as const) {
      const listener = await listen({ host: '127.0.0.1', port: 0, trust: ALL, ...options, onSession: () => {} });
      const dial = (at: number) => connect({ host: '127.0.0.1', port: listener.port }, { trust: only(at) });
      for (let count = 0; count < most; count += 1) await dial(0);
      await expect(dial(0)).rejects.toMatchObject({ code: 'DK_LIMIT', message: expect.stringContaining('alice') });
      await (await dial(1)).ping();
      await listener.close(0);
    }
  });

  it('may be all where nobody has a name', async () => {
    const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: { trust: PLAIN }, sessionsMax: 3 });
    const dial = () => connect({ host: '127.0.0.1', port: receiver.port }, { trust: PLAIN });
    for (let count = 0; count < 3; count += 1) await dial();
    await expect(dial()).rejects.toMatchObject({ code: 'DK_LIMIT' });
    await receiver.close(0);
  });
});
