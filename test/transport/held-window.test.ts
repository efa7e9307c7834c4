/** What holds the window of a session while it waits, and who is told that it need not wait any more. */
import { expect, it } from 'vitest';
import { createReceiver, createSender } from '../../src/transport/transport.js';
import { memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';

const MIB = 1 << 20;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

it('large messages that fill the memory and small ones that fill the window let each other through', async () => {
  const came: number[] = [];
  const onState = async (_key: string, message: Buffer): Promise<void> => void came.push(message.length);
  const link = { trust: PLAIN, windowBytes: 2 * MIB };
  const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link, onState });
  const sender = await createSender(`tcp://127.0.0.1:${receiver.port}`, { link: { trust: PLAIN } });
  const large = Buffer.alloc(64 * MIB);
  const sending = [1, 2].map((key) => sender.sendState(`${key}`, large));
  while (sender.totals.inFlightBytes === 0) await pause(1);
  const small = Buffer.alloc(400 << 10, 1);
  for (let key = 3; key <= 22; key += 1) sending.push(sender.sendState(`${key}`, small));
  await Promise.all(sending);
  expect(came).toHaveLength(22);
  await sender.close();
  await receiver.close(0);
});

it.each(['the blob is given up', 'the session ends'])('who opens a sink is told when %s', (what) =>
  withPair({}, async ({ client, server }) => {
    const signals: AbortSignal[] = [];
    server.onBlob('test', (_offer, signal) => {
      signals.push(signal);
      return new Promise(() => {});
    });
    const controller = new AbortController();
    const { signal } = controller;
    const sending = [2 * MIB, 1000].map((size) => client.send(memorySource(seededBytes(size, 1)), { signal }));
    const ended = Promise.allSettled(sending);
    while (signals.length < 2) await pause(2);
    if (what === 'the session ends') client.destroy(new Error('over'));
    else controller.abort();
    while (!signals.every(({ aborted }) => aborted)) await pause(2);
    expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  }),
);
