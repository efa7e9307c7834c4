/** Sessions over loopback: questions, blobs, closing. */
import { describe, expect, it } from 'vitest';
import { DiffKeeperError } from '../../src/core/core.js';
import { connect, listen, type Session } from '../../src/transport/transport.js';
import { MemoryReceiver, memorySource, PLAIN, seededBytes, withPair } from './session-fixture.js';

const MIB = 1 << 20;

describe('questions', () => {
  it('are answered, both ways, many at once', () =>
    withPair({}, async ({ client, server }) => {
      server.onRequest('twice', async (body) => Buffer.concat([body, body]));
      client.onRequest('size', async (body) => Buffer.from(String(body.length)));
      const answers = await Promise.all(
        Array.from({ length: 600 }, (_, index) => client.request('twice', Buffer.from(`${index} `))),
      );
      expect(answers.map(String)).toEqual(Array.from({ length: 600 }, (_, index) => `${index} ${index} `));
      expect(String(await server.request('size', Buffer.alloc(MIB)))).toBe(String(MIB));
    }));

  it('fail with the code of the other side, or DK_REMOTE without its words', () =>
    withPair({}, async ({ client, server }) => {
      server.onRequest('ours', async () => {
        throw new DiffKeeperError('DK_NOT_FOUND', 'no such thing');
      });
      server.onRequest('other', async () => {
        throw new Error('secret path');
      });
      await expect(client.request('ours', Buffer.alloc(0))).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
      const other = await client.request('other', Buffer.alloc(0)).catch((error: unknown) => error);
      expect(other).toMatchObject({ code: 'DK_REMOTE' });
      expect(String(other)).not.toContain('secret');
      await expect(client.request('unknown', Buffer.alloc(0))).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
      await expect(client.request('big', Buffer.alloc(MIB + 1))).rejects.toBeInstanceOf(RangeError);
    }));

  it('can be given up, and the handler is told', () =>
    withPair({}, async ({ client, server }) => {
      const controller = new AbortController();
      const told = new Promise<void>((resolve) => {
        server.onRequest('slow', async (_body, { signal }) => {
          await new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
          resolve();
          return Buffer.alloc(0);
        });
      });
      setTimeout(() => controller.abort(), 20);
      const slow = client.request('slow', Buffer.alloc(0), { signal: controller.signal });
      await expect(slow).rejects.toMatchObject({ code: 'DK_ABORTED' });
      await told;
    }));
});

describe('blobs', () => {
  it.each([0, 1, 4096, 65536, 512 * 1024, 512 * 1024 + 1, 3 * MIB, 20 * MIB + 12345])('of %i bytes arrive', (size) =>
    withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      receiver.answer = Buffer.from('kept');
      server.onBlob('test', receiver.open);
      const bytes = seededBytes(size, size);
      const progress: number[] = [];
      const meta = Buffer.from('about it');
      const answer = await client.send(memorySource(bytes, { meta }), { onProgress: (sent) => progress.push(sent) });
      expect(String(answer)).toBe('kept');
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      expect(receiver.finished[0]?.offer).toMatchObject({ service: 'test', size, peer: { name: 'anonymous' } });
      expect(receiver.finished[0]?.offer.meta.equals(meta)).toBe(true);
      expect(progress.at(-1)).toBe(size);
      expect(client.figures.sentBytes - client.figures.resentBytes).toBe(size);
    }),
  );

  it('go both ways at once, many together', () =>
    withPair({}, async ({ client, server }) => {
      const receivers = [new MemoryReceiver(), new MemoryReceiver()] as const;
      server.onBlob('test', receivers[0].open);
      client.onBlob('test', receivers[1].open);
      const blobs = Array.from({ length: 40 }, (_, index) => seededBytes(index * 40_000 + 1, index + 1));
      await Promise.all([client, server].flatMap((side) => blobs.map((bytes) => side.send(memorySource(bytes)))));
      for (const { finished } of receivers) {
        const came = new Map(finished.map(({ offer, bytes }) => [offer.key.toString('hex'), bytes]));
        for (const bytes of blobs) {
          expect(came.get(memorySource(bytes).key.toString('hex'))?.equals(bytes)).toBe(true);
        }
      }
    }));

  it('that are here already are not sent', () =>
    withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      server.onBlob('test', receiver.open);
      const source = memorySource(seededBytes(2 * MIB, 7));
      await client.send(source);
      const { sentBytes } = client.figures;
      expect(await client.send(source)).toHaveLength(0);
      expect(client.figures.sentBytes).toBe(sentBytes);
      expect(receiver.finished).toHaveLength(1);
    }));

  it('are taken up where they were left, whole groups of them, and verified', () =>
    withPair({}, async ({ client, server }) => {
      const bytes = seededBytes(9 * MIB + 77, 3);
      const source = memorySource(bytes);
      const receiver = new MemoryReceiver();
      receiver.kept.set(source.key.toString('hex'), {
        bytes: Buffer.from(bytes),
        have: [
          [100, 3 * MIB],
          [8 * MIB, MIB + 77],
        ],
      });
      server.onBlob('test', receiver.open);
      await client.send(source);
      expect(receiver.finished[0]?.bytes.equals(bytes)).toBe(true);
      // Three MiB from byte 100 on are 47 whole groups; the end was here, the rest was not.
      const { sentBytes, resentBytes } = client.figures;
      expect(sentBytes - resentBytes).toBe(8 * MIB - 47 * 65536);
    }));

  it('with a wrong digest are refused and not kept', () =>
    withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      server.onBlob('test', receiver.open);
      for (const size of [1000, 3 * MIB]) {
        const source = memorySource(seededBytes(size, 1), { digest: Buffer.alloc(32, 1) });
        await expect(client.send(source)).rejects.toMatchObject({ code: 'DK_DIGEST_MISMATCH' });
      }
      expect(receiver.finished).toEqual([]);
      expect(receiver.aborted).toHaveLength(1);
      expect(await client.send(memorySource(Buffer.from('still alive')))).toHaveLength(0);
    }));

  it('fail with what the sink says, and with what the source says', () =>
    withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      receiver.beforeWrite = async (offset) => {
        if (offset > MIB) throw new DiffKeeperError('DK_DISK_FULL', 'no space');
      };
      server.onBlob('test', receiver.open);
      await expect(client.send(memorySource(seededBytes(8 * MIB, 1)))).rejects.toMatchObject({ code: 'DK_DISK_FULL' });
      const short = memorySource(seededBytes(MIB, 2), { size: 2 * MIB });
      await expect(client.send(short)).rejects.toMatchObject({ code: 'DK_IO' });
      const unknown = memorySource(Buffer.from('x'), { service: 'nobody' });
      await expect(client.send(unknown)).rejects.toMatchObject({ code: 'DK_UNSUPPORTED' });
    }));

  it('can be given up, and others go on', () =>
    withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      receiver.beforeWrite = () => held;
      server.onBlob('test', receiver.open);
      const controller = new AbortController();
      const first = client.send(memorySource(seededBytes(4 * MIB, 1)), { signal: controller.signal });
      setTimeout(() => controller.abort(), 50);
      await expect(first).rejects.toMatchObject({ code: 'DK_ABORTED' });
      // What is answered behind the word about it has been taken after it.
      await client.ping();
      release();
      await client.send(memorySource(seededBytes(4 * MIB, 2)));
      expect(receiver.finished).toHaveLength(1);
      expect(receiver.aborted).toHaveLength(1);
      expect(client.figures.inFlightBytes).toBe(0);
    }));

  it('from who may only read are refused', () =>
    withPair({ listen: { authorize: () => 'read' } }, async ({ client, server }) => {
      server.onBlob('test', new MemoryReceiver().open);
      await expect(client.send(memorySource(Buffer.from('x')))).rejects.toMatchObject({ code: 'DK_REFUSED' });
      await expect(client.send(memorySource(seededBytes(MIB, 1)))).rejects.toMatchObject({ code: 'DK_REFUSED' });
    }));
});

describe('the window', () => {
  it('bounds what is under way, and a slow sink holds the sender up', () =>
    withPair({ listen: { windowBytes: 2 * MIB } }, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      let most = 0;
      receiver.beforeWrite = async () => {
        most = Math.max(most, client.figures.inFlightBytes);
        await new Promise((resolve) => setTimeout(resolve, 2));
      };
      server.onBlob('test', receiver.open);
      await client.send(memorySource(seededBytes(16 * MIB, 1)));
      expect(most).toBeGreaterThan(MIB);
      expect(most).toBeLessThanOrEqual(3 * MIB);
    }));
});

describe('the end', () => {
  it('in order waits for what was sent', () =>
    withPair({}, async ({ client, server, end }) => {
      const receiver = new MemoryReceiver();
      server.onBlob('test', receiver.open);
      const sending = client.send(memorySource(seededBytes(6 * MIB, 1)));
      await end();
      await sending;
      await server.closed;
      expect(receiver.finished).toHaveLength(1);
      await expect(client.request('any', Buffer.alloc(0))).rejects.toMatchObject({ code: 'DK_CONNECTION' });
    }));

  it('of the other side fails what is open', () =>
    withPair({}, async ({ client, server }) => {
      const receiver = new MemoryReceiver();
      let release = (): void => {};
      const held = new Promise<void>((resolve) => {
        release = resolve;
      });
      receiver.beforeWrite = () => {
        setImmediate(() => server.destroy(new Error('enough')));
        return held;
      };
      server.onBlob('test', receiver.open);
      const sending = client.send(memorySource(seededBytes(6 * MIB, 1)));
      await expect(sending).rejects.toMatchObject({ code: 'DK_CONNECTION' });
      await expect(client.closed).rejects.toMatchObject({ code: 'DK_CONNECTION' });
      await expect(server.closed).rejects.toMatchObject({ code: 'DK_CONNECTION' });
      // Told only when nothing is being written any more.
      expect(receiver.aborted).toHaveLength(0);
      release();
      while (receiver.aborted.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }));

  it('comes when the other side falls silent', async () => {
    const listener = await listen({ host: '127.0.0.1', port: 0, trust: PLAIN, onSession: () => {} });
    const client: Session = await connect(
      { host: '127.0.0.1', port: listener.port },
      { trust: PLAIN, keepaliveMs: 120, clock: systemLike() },
    );
    // Asked for a sign it answers: ten intervals pass without an end. Long ones: this machine may be busy.
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(await Promise.race([client.closed.then(() => 'over'), Promise.resolve('open')])).toBe('open');
    await client.close();
    await listener.close();
  });
});

function systemLike() {
  return { nowMs: () => Date.now(), steadyMs: () => performance.now() };
}

describe('plaintext', () => {
  it('is refused beyond loopback', async () => {
    const options = { trust: PLAIN, onSession: () => {} };
    await expect(listen({ ...options, host: '0.0.0.0', port: 0 })).rejects.toMatchObject({ code: 'DK_CONFIG' });
  });
});
