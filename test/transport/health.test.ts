/** Whether a listener is there: pings, and what it tells over HTTP. */
import { statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { VERSION_MAX } from '../../src/transport/greeting.js';
import { Pace } from '../../src/transport/session-meter.js';
import { createReceiver, createSender, listen, pingPeer, type Trust } from '../../src/transport/transport.js';
import { PLAIN, seededBytes, withPair } from './session-fixture.js';

const MIB = 1 << 20;
const KEYS: Trust = { keys: new Map([['alice', Buffer.alloc(32, 7)]]) };
const HERE = { host: '127.0.0.1', port: 0 };

function ask(socketPath: string, path: string, method = 'GET'): Promise<{ code: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ code: answer.statusCode, text }));
    });
    asked.once('error', reject).end();
  });
}

describe('a ping', () => {
  it('tells who is there, how far, and what we may do', async () => {
    const listener = await listen({ ...HERE, trust: KEYS, authorize: () => 'read', onSession: () => {} });
    const report = await pingPeer(`tls://127.0.0.1:${listener.port}`, { link: { trust: KEYS } });
    expect(report).toMatchObject({ host: '127.0.0.1', port: listener.port, version: VERSION_MAX, rights: 'read' });
    expect(report.roundTripMs).toBeGreaterThan(0);
    expect(report.roundTripMs).toBeLessThan(1000);
    expect(report.connectMs).toBeGreaterThan(0);
    await expect.poll(() => listener.sessions.size).toBe(0);
    await listener.close(100);
  });

  it('is refused as a session would be', async () => {
    const listener = await listen({ ...HERE, trust: KEYS, authorize: () => undefined, onSession: () => {} });
    const refused = pingPeer(`tls://127.0.0.1:${listener.port}`, { link: { trust: KEYS } });
    await expect(refused).rejects.toMatchObject({ code: 'DK_REFUSED' });
    const wrong: Trust = { keys: new Map([['alice', Buffer.alloc(32, 8)]]) };
    const unknown = pingPeer(`tls://127.0.0.1:${listener.port}`, { link: { trust: wrong } });
    await expect(unknown).rejects.toMatchObject({ code: expect.stringMatching(/^DK_(REFUSED|CONNECTION)$/) });
    await listener.close(100);
    const config = pingPeer('tcp://127.0.0.1:1', { link: { trust: KEYS } });
    await expect(config).rejects.toMatchObject({ code: 'DK_CONFIG' });
  });

  it('fails in time where somebody listens and says nothing', async () => {
    const mute = createServer(() => {}).listen(0, '127.0.0.1');
    await new Promise((resolve) => mute.once('listening', resolve));
    const { port } = mute.address() as { port: number };
    const asked = pingPeer(`tcp://127.0.0.1:${port}`, { link: { trust: PLAIN, handshakeMs: 100 } });
    await expect(asked).rejects.toMatchObject({ code: 'DK_CONNECTION' });
    mute.close();
  });

  it('in a session waits for its own answer, and ends with the session', () =>
    withPair({ connect: { keepaliveMs: 60 } }, async ({ client, server }) => {
      const times = await Promise.all([client.ping(), server.ping(), client.ping()]);
      for (const ms of times) expect(ms).toBeGreaterThan(0);
      // Silence, so that the client has asked by itself.
      await new Promise((resolve) => setTimeout(resolve, 250));
      expect(await client.ping()).toBeGreaterThan(0);
      const lost = client.ping();
      client.destroy(new Error('gone'));
      await expect(lost).rejects.toThrow('gone');
      await expect(client.ping()).rejects.toMatchObject({ code: 'DK_CONNECTION' });
    }));
});

describe('over HTTP a receiver', () => {
  it('tells health, status and metrics until it has ended', async () => {
    const root = await mkdtemp(join(tmpdir(), 'dk-health-'));
    const socket = join(root, 'health');
    const link = { trust: PLAIN };
    const metricsAddress = `unix:${socket}`;
    const receiver = await createReceiver({ ...HERE, link, directory: join(root, 'out'), metricsAddress });
    expect(receiver.metricsAddress).toBe(metricsAddress);
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    expect(await ask(socket, '/healthz')).toEqual({ code: 200, text: 'ok\n' });
    expect(await ask(socket, '/readyz')).toEqual({ code: 200, text: 'ready\n' });
    expect((await ask(socket, '/checkpoint', 'POST')).code).toBe(404);
    const sender = await createSender(`tcp://127.0.0.1:${receiver.port}`, { link });
    await writeFile(join(root, 'source'), seededBytes(8 * MIB, 1));
    await sender.sendFile(join(root, 'source'), 'x');
    const status = JSON.parse((await ask(socket, '/status')).text);
    expect(status).toMatchObject({ state: 'listening', port: receiver.port, directory: join(root, 'out') });
    expect(status.sessions).toMatchObject([{ name: 'anonymous', rights: 'append', receivedBytes: 8 * MIB }]);
    const { text } = await ask(socket, '/metrics');
    for (const line of [
      'up 1',
      'ready 1',
      `transport_bytes_transferred_total{direction="received"} ${8 * MIB}`,
      'transport_sessions_total 1',
      'transport_active_streams [1-9]\\d*',
      'transport_congestion_window_bytes [1-9]\\d*',
    ]) {
      expect(text).toMatch(new RegExp(`^diffkeeper_${line}$`, 'm'));
    }
    await sender.close();
    await receiver.close(100);
    await expect(ask(socket, '/healthz')).rejects.toThrow();
    await rm(root, { recursive: true });
  });

  it('does not begin where it cannot listen', async () => {
    const busy = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => busy.once('listening', resolve));
    const { port } = busy.address() as { port: number };
    const options = { ...HERE, link: { trust: PLAIN } };
    await expect(createReceiver({ ...options, metricsAddress: `127.0.0.1:${port}` })).rejects.toMatchObject({
      code: 'DK_IO',
    });
    await expect(createReceiver({ ...options, metricsAddress: 'nowhere' })).rejects.toMatchObject({
      code: 'DK_CONFIG',
    });
    busy.close();
  });
});

it('the pace is that of the last seconds', () => {
  const pace = new Pace(0);
  for (let ms = 50; ms <= 10_000; ms += 50) pace.look(ms * 1000, ms);
  expect(pace.perSecond).toBeGreaterThan(0.98e6);
  expect(pace.perSecond).toBeLessThanOrEqual(1e6);
  for (let ms = 10_050; ms <= 20_000; ms += 50) pace.look(10e6, ms);
  expect(pace.perSecond).toBeLessThan(0.01e6);
});
