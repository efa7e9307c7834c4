/** What a state decoder lacks crosses the wire, where both sides speak version 2 of the protocol; else as much as the sender knows. */
import { describe, expect, it } from 'vitest';
import { StateDecoder, StateEncoder } from '../../src/baseline/baseline.js';
import { DiffKeeperError, type ErrorFacts, isDiffKeeperError } from '../../src/core/core.js';
import { FRAME } from '../../src/transport/frame.js';
import { encodeRequest } from '../../src/transport/messages.js';
import { createReceiver, createSender } from '../../src/transport/transport.js';
import { decodeError, encodeError } from '../../src/transport/wire-error.js';
import { frameBytes, RawClient } from './raw-client.js';
import { startRawReceiver } from './raw-receiver.js';
import { PLAIN, seededBytes, withPair } from './session-fixture.js';

const LINK = { trust: PLAIN };
const FACTS: ErrorFacts = { key: 'world\u0000ü', baselineId: 2 ** 40, expected: 'ab'.repeat(32) };
const lack = (facts: ErrorFacts = FACTS): DiffKeeperError => new DiffKeeperError('DK_BASELINE_MISSING', 'none', facts);

describe('an error with facts', () => {
  it('keeps them in version 2, and only those of a state decoder', () => {
    expect(decodeError(encodeError(lack(), 2))).toMatchObject({ code: 'DK_BASELINE_MISSING', facts: FACTS });
    const dictionary = new DiffKeeperError('DK_DICTIONARY_MISSING', 'none', { key: 'k', name: 'class', expected: 7 });
    expect(decodeError(encodeError(dictionary, 2)).facts).toEqual({ key: 'k', name: 'class', expected: 7 });
    const elsewhere = new DiffKeeperError('DK_NOT_FOUND', 'none', { ...FACTS, path: '/secret' });
    for (const version of [1, 2])
      expect(decodeError(encodeError(elsewhere, version)).facts).toEqual({ name: 'DK_NOT_FOUND' });
    expect(decodeError(encodeError(lack(), 1)).facts).toEqual({ name: 'DK_BASELINE_MISSING' });
  });

  it('leaves out what does not fit', () => {
    const odd = { key: 'k'.repeat(1025), baselineId: -1, expected: 1.5, name: 5 as unknown as string };
    expect(decodeError(encodeError(lack(odd), 2)).facts).toEqual({ name: 'DK_BASELINE_MISSING' });
  });

  it('is refused when it is damaged', () => {
    const bytes = encodeError(lack(), 2);
    for (const bad of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)])]) {
      expect(() => decodeError(bad)).toThrow(expect.objectContaining({ code: 'DK_PROTOCOL' }));
    }
  });

  it.each([
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 4],
    [9, 4],
  ])('goes to a client of version %i in version %i', (versionMax, version) =>
    withPair({}, async ({ listener }) => {
      const client = new RawClient(listener.port);
      expect((await client.hello(versionMax)).version).toBe(version);
      [...listener.sessions].at(-1)?.onRequest('lacks', async () => Promise.reject(lack()));
      client.write(frameBytes(FRAME.request, encodeRequest('lacks', Buffer.alloc(0)), { id: 1 }));
      let frame = await client.next();
      while (frame !== undefined && frame.type !== FRAME.failure) frame = await client.next();
      expect(frame?.payload.equals(encodeError(lack(), version))).toBe(true);
      client.socket.destroy();
    }),
  );
});

describe('a sender of states', () => {
  it('learns what is missing, asks, and goes on', async () => {
    const decoder = new StateDecoder();
    const states: Buffer[] = [];
    const onState = async (_key: string, message: Buffer): Promise<void> => {
      states.push((await decoder.decode(message)).bytes);
    };
    const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: LINK, onState });
    const sender = await createSender(`tcp://127.0.0.1:${receiver.port}`, { link: LINK });
    const encoder = new StateEncoder();
    const world = seededBytes(100_000, 8);
    const full = await encoder.encode('world', world);
    const changed = Buffer.from(world);
    changed[5] = 1;
    const delta = await encoder.encode('world', changed);
    expect(delta.kind).toBe('delta');
    try {
      await sender.sendState('world', delta.toBuffer());
      expect.fail('it is missing');
    } catch (error) {
      if (!isDiffKeeperError(error, 'DK_BASELINE_MISSING')) throw error;
      expect(error.facts).toMatchObject({ key: 'world', baselineId: full.baselineId, expected: full.targetDigest });
      const answer = await encoder.resync(error.facts.key as string);
      await sender.sendState('world', answer?.toBuffer() ?? Buffer.alloc(0));
      await sender.sendState('world', delta.toBuffer());
    }
    expect(states.map((state) => [world, changed].findIndex((one) => one.equals(state)))).toEqual([0, 1]);
    await Promise.all([sender.close(), encoder.close(), decoder.close()]);
    await receiver.close(100);
  });

  it('knows the key when the receiver is of an early release', async () => {
    const early = await startRawReceiver({ version: 1 }, lack());
    const sender = await createSender(early.url, { link: LINK });
    await expect(sender.sendState('world', Buffer.from('x'))).rejects.toMatchObject({
      code: 'DK_BASELINE_MISSING',
      facts: { key: 'world' },
    });
    early.close();
    await sender.close().catch(() => {});
  });
});
