/** Signals end senders and receivers at once, whatever they wait for. */
import { getEventListeners } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { createReceiver, createSender, type Receiver } from '../../src/transport/transport.js';
import { PLAIN } from './session-fixture.js';
import { TcpProxy } from './tcp-proxy.js';

const LINK = { trust: PLAIN };
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Parts {
  readonly receiver: Receiver;
  readonly proxy: TcpProxy;
  readonly url: string;
  /** Ends the receiver. */
  readonly ending: AbortController;
}

async function withReceiver(body: (parts: Parts) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'dk-abort-'));
  const ending = new AbortController();
  const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: LINK, directory, signal: ending.signal });
  const proxy = await TcpProxy.start(() => receiver.port);
  try {
    await body({ receiver, proxy, url: `tcp://127.0.0.1:${proxy.port}`, ending });
  } finally {
    proxy.close();
    await receiver.close(0);
    await rm(directory, { recursive: true, force: true });
  }
}

it('the signal of a sender ends its session', () =>
  withReceiver(async ({ receiver, url }) => {
    const controller = new AbortController();
    const sender = await createSender(url, { link: LINK, signal: controller.signal });
    expect(receiver.totals.openStreams + receiver.totals.sessions).toBeGreaterThan(0);
    controller.abort();
    while (receiver.totals.windowBytes > 0) await pause(5);
    await expect(sender.sendState('x', Buffer.alloc(1))).rejects.toMatchObject({ code: 'DK_ABORTED' });
    await sender.close();
  }));

it('a sender that was aborted closes at once, though the other side is silent', () =>
  withReceiver(async ({ proxy, url }) => {
    const controller = new AbortController();
    const sender = await createSender(url, { link: LINK, signal: controller.signal });
    for (const relay of proxy.relays) relay.stop();
    const sending = sender.sendState('x', Buffer.alloc(1)).catch((error: { code?: string }) => error.code);
    controller.abort();
    const startMs = performance.now();
    await sender.close();
    expect(await sending).toBe('DK_ABORTED');
    expect(performance.now() - startMs).toBeLessThan(2000);
  }));

it.each(['sender', 'call'])('a stream that brings nothing is no reason to wait for: signal of the %s', (whose) =>
  withReceiver(async ({ url }) => {
    const controller = new AbortController();
    const { signal } = controller;
    const sender = await createSender(url, { link: LINK, ...(whose === 'sender' && { signal }) });
    const stream = new PassThrough();
    stream.write('the beginning');
    const sending = sender.sendStream(stream, 'name', whose === 'call' ? { signal } : {});
    setTimeout(() => controller.abort(), 100);
    await expect(sending).rejects.toMatchObject({ code: 'DK_ABORTED' });
    expect(stream.destroyed).toBe(true);
    await sender.close();
  }),
);

it.each<[string, (abort: () => void) => void]>([
  ['at once', (abort) => abort()],
  ['in the next turn of the loop', (abort) => void setImmediate(abort)],
])('a stream is ended though nobody reads it yet: %s', (_when, soon) =>
  withReceiver(async ({ url }) => {
    const controller = new AbortController();
    const sender = await createSender(url, { link: LINK });
    const stream = new PassThrough();
    const sending = sender.sendStream(stream, 'name', { signal: controller.signal });
    soon(() => controller.abort());
    await expect(sending).rejects.toMatchObject({ code: 'DK_ABORTED' });
    expect(stream.destroyed).toBe(true);
    await sender.close();
  }),
);

it('a sender that does not come about leaves nothing on the signal', async () => {
  const { signal } = new AbortController();
  await expect(createSender('tcp://127.0.0.1:1', { link: LINK, signal })).rejects.toMatchObject({
    code: 'DK_CONNECTION',
  });
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('the signal of a sender ends the wait before the next attempt', () =>
  withReceiver(async ({ receiver, url }) => {
    const controller = new AbortController();
    const sender = await createSender(url, { link: LINK, signal: controller.signal, retries: 100 });
    await receiver.close(0);
    const sending = sender.sendState('x', Buffer.alloc(1)).catch((error: { code?: string }) => error.code);
    // By now it waits for more than two seconds until the next attempt.
    await pause(3300);
    controller.abort();
    const startMs = performance.now();
    expect(await sending).toBe('DK_ABORTED');
    expect(performance.now() - startMs).toBeLessThan(2000);
  }));

it('the signal of a receiver ends it and its sessions', () =>
  withReceiver(async ({ receiver, url, ending }) => {
    const sender = await createSender(url, { link: LINK, retries: 0 });
    ending.abort();
    await expect(createSender(url, { link: LINK })).rejects.toMatchObject({ code: 'DK_CONNECTION' });
    while (receiver.totals.windowBytes > 0) await pause(5);
    await expect(sender.sendState('x', Buffer.alloc(1))).rejects.toMatchObject({ code: 'DK_CONNECTION' });
    const late = createReceiver({ host: '127.0.0.1', port: 0, link: LINK, signal: ending.signal });
    await expect(late).rejects.toMatchObject({ code: 'DK_ABORTED' });
  }));
