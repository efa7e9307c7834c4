/** Who may open a session: certificates, keys, rights. */
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, vi } from 'vitest';
import { Link } from '../../src/transport/link.js';
import { connect, createSender, type Trust } from '../../src/transport/transport.js';
import { MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';
import { withAuthorities } from './tls-fixture.js';

const { keeper, alice, nobody, stranger, keeperOfOthers } = withAuthorities((make) => {
  const ours = make();
  const others = make();
  return {
    keeper: ours.issue('keeper'),
    alice: ours.issue('alice'),
    nobody: ours.issue('nobody', '/O=some organisation'),
    stranger: others.issue('stranger'),
    keeperOfOthers: { ...others.issue('keeper'), authority: ours.certificate },
  };
});
const KEY = Buffer.alloc(32, 7);
const keyed = (name: string, key = KEY): Trust => ({ keys: new Map([[name, key]]) });
const BYTES = seededBytes(3 * 1024 * 1024 + 5, 1);

describe.each([
  ['certificates', keeper as Trust, alice as Trust, 'alice'],
  ['keys', keyed('alice'), keyed('alice'), 'alice'],
])('with %s', (_name, server, client, peer) => {
  it('both ways blobs travel, and the listener knows whose they are', () =>
    withPair({ listen: { trust: server }, connect: { trust: client } }, async (pair) => {
      const receivers = [new MemoryReceiver(), new MemoryReceiver()] as const;
      pair.server.onBlob('test', receivers[0].open);
      pair.client.onBlob('test', receivers[1].open);
      await Promise.all([pair.client.send(memorySource(BYTES)), pair.server.send(memorySource(BYTES))]);
      for (const { finished } of receivers) expect(finished[0]?.bytes.equals(BYTES)).toBe(true);
      expect(receivers[0].finished[0]?.offer.peer).toMatchObject({ name: peer, rights: 'append' });
      expect(pair.client.figures.openStreams).toBeGreaterThan(1);
      await pair.end();
    }));

  it('rights go by name', () =>
    withPair(
      {
        listen: { trust: server, authorize: (name) => (name === peer ? 'admin' : undefined) },
        connect: { trust: client },
      },
      async (pair) => expect(pair.server.peer.rights).toBe('admin'),
    ));

  it('who is not authorised is refused, in words', async () => {
    const refused = withPair(
      { listen: { trust: server, authorize: () => undefined }, connect: { trust: client } },
      async () => {},
    );
    await expect(refused).rejects.toMatchObject({
      code: 'DK_REFUSED',
      message: expect.stringContaining('not allowed'),
    });
  });
});

describe('is refused', () => {
  /** The listener's trust, that of one it takes, that of one it does not. */
  const cases: [string, Trust, Trust, Trust][] = [
    ['a certificate of another authority', keeper, alice, stranger],
    ['a listener of another authority', keeperOfOthers, { ...alice, authority: stranger.authority }, alice],
    ['another key', keyed('alice'), keyed('alice'), keyed('alice', Buffer.alloc(32, 8))],
    ['a name without a key', keyed('alice'), keyed('alice'), keyed('bob')],
    ['a key where certificates are wanted', keeper, alice, keyed('alice')],
    ['a certificate where keys are wanted', keyed('alice'), keyed('alice'), alice],
    ['TLS where there is none', PLAIN, PLAIN, alice],
    ['plain bytes where TLS is', keeper, alice, PLAIN],
  ];
  it.each(cases)('%s', async (_name, server, friend, client) => {
    await withPair({ listen: { trust: server }, connect: { trust: friend } }, async (pair) => {
      const place = { host: '127.0.0.1', port: pair.listener.port };
      const refused = await connect(place, { trust: client, handshakeMs: 2000 }).catch((error: unknown) => error);
      expect(refused).toMatchObject({ code: expect.stringMatching(/^DK_(REFUSED|CONNECTION|PROTOCOL)$/) });
      // The session that is there does not notice.
      const receiver = new MemoryReceiver();
      pair.server.onBlob('test', receiver.open);
      await pair.client.send(memorySource(Buffer.from('still here')));
      expect(receiver.finished).toHaveLength(1);
    });
  });

  it('a listener of another name', async () => {
    await withPair({ listen: { trust: keeper }, connect: { trust: alice } }, async ({ listener }) => {
      const place = { host: '127.0.0.1', port: listener.port };
      const wrong = connect(place, { trust: alice, serverName: 'other' });
      await expect(wrong).rejects.toMatchObject({ code: 'DK_REFUSED' });
      await (await connect(place, { trust: alice, serverName: 'keeper' })).close();
    });
  });

  it('a certificate that names nobody, in words; one of a listener may', async () => {
    await withPair({ listen: { trust: keeper }, connect: { trust: alice } }, async ({ listener }) => {
      const refused = connect({ host: '127.0.0.1', port: listener.port }, { trust: nobody });
      await expect(refused).rejects.toMatchObject({
        code: 'DK_REFUSED',
        message: expect.stringContaining('common name'),
      });
    });
    await withPair({ listen: { trust: nobody }, connect: { trust: alice } }, async ({ client, end }) => {
      expect(client.peer.name).toBe('127.0.0.1');
      await end();
    });
  });

  it('to connect with several keys', () =>
    withPair({ listen: { trust: keyed('alice') }, connect: { trust: keyed('alice') } }, async ({ listener }) => {
      const trust = {
        keys: new Map([
          ['alice', KEY],
          ['bob', KEY],
        ]),
      };
      const place = { host: '127.0.0.1', port: listener.port };
      await expect(connect(place, { trust })).rejects.toMatchObject({ code: 'DK_CONFIG' });
      const sender = createSender(`tls://127.0.0.1:${listener.port}`, { link: { trust } });
      await expect(sender).rejects.toMatchObject({ code: 'DK_CONFIG' });
    }));

  it('TLS 1.2', () =>
    withPair({ listen: { trust: keeper }, connect: { trust: alice } }, async ({ listener }) => {
      const socket = connectTls({
        host: '127.0.0.1',
        port: listener.port,
        maxVersion: 'TLSv1.2',
        ca: alice.authority,
        cert: alice.certificate,
        key: alice.key,
      });
      const error = await new Promise<Error>((resolve) => socket.once('error', resolve));
      expect(String(error)).toMatch(/protocol version/i);
    }));

  it('a key that can be guessed', async () => {
    const place = { host: '127.0.0.1', port: 1 };
    await expect(connect(place, { trust: keyed('a', Buffer.alloc(15)) })).rejects.toMatchObject({ code: 'DK_CONFIG' });
  });

  it('nobody there', async () => {
    const port = await new Promise<number>((resolve) => {
      const socket = connectTcp({ host: '127.0.0.1', port: 9 });
      socket.on('error', () => resolve(9));
    });
    await expect(connect({ host: '127.0.0.1', port }, { trust: PLAIN })).rejects.toMatchObject({
      code: 'DK_CONNECTION',
    });
  });
});

it('the kernel ends every connection of a session whose bytes nobody acknowledges', async () => {
  const tune = vi.spyOn(Link.prototype, 'tune');
  await withPair({ connect: { keepaliveMs: 2000, streams: { minimum: 1, maximum: 1 } } }, async ({ client }) => {
    while (client.figures.openStreams === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  });
  const timeouts = tune.mock.calls.map(([{ userTimeoutMs }]) => userTimeoutMs).sort();
  tune.mockRestore();
  // The control stream and a data stream, at both ends.
  expect(timeouts).toEqual([45_000, 45_000, 6000, 6000]);
});
