/** Received bytes land where they belong; memory for them is used again. */
import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dialPlain, type Socket } from 'node:net';
import { createServer as createTls, connect as dialTls } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { FRAME_HEADER_BYTES } from '../../src/transport/frame.js';
import { FramePool } from '../../src/transport/frame-pool.js';
import { attach, type Intake, turnDirect } from '../../src/transport/stream-socket.js';
import { seededBytes } from './session-fixture.js';

const TLS13 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' } as const;
const KEY = Buffer.alloc(32, 7);

/** Keeps all that comes, one behind the other. */
class Gathered implements Intake {
  readonly bytes: Buffer;
  readonly over: Promise<Error | undefined>;
  filled = 0;
  failAt = Number.POSITIVE_INFINITY;
  closed: (error: Error | undefined) => void = () => {};

  constructor(size: number) {
    this.bytes = Buffer.alloc(size + 1);
    this.over = new Promise((resolve) => {
      this.closed = resolve;
    });
  }

  tail(): Buffer {
    return this.bytes.subarray(this.filled);
  }

  took(count: number): void {
    this.filled += count;
    if (this.filled >= this.failAt) throw new Error('no more of this');
  }
}

/** Sends bytes to a TLS server, which takes the connection as `take` says. */
async function sendTls(bytes: Buffer, take: (socket: Socket) => void): Promise<void> {
  const server = createTls({ ...TLS13, pskCallback: () => KEY }, take);
  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const psk = { pskCallback: () => ({ psk: KEY, identity: 'a' }), checkServerIdentity: () => undefined };
  const client = dialTls({ ...TLS13, ...psk, port, host: '127.0.0.1' });
  client.on('error', () => {});
  const over = new Promise((resolve) => client.once('close', resolve));
  client.end(bytes);
  await over;
  server.close();
}

describe('an accepted TLS connection', () => {
  const bytes = seededBytes(3_000_001, 5);

  it("is read directly by this release of Node: nothing listens for 'data'", async () => {
    const intake = new Gathered(bytes.length);
    let listeners = -1;
    await sendTls(bytes, (socket) => {
      expect(turnDirect(socket, intake)).toBe(true);
      attach(socket, intake, true);
      listeners = socket.listenerCount('data');
      socket.resume();
    });
    expect(await intake.over).toBeUndefined();
    expect(listeners).toBe(0);
    expect(intake.bytes.subarray(0, intake.filled).equals(bytes)).toBe(true);
  });

  it('ends with what the intake throws', async () => {
    const intake = new Gathered(bytes.length);
    intake.failAt = 100_000;
    await sendTls(bytes, (socket) => {
      turnDirect(socket, intake);
      attach(socket, intake, true);
      socket.resume();
    });
    expect(await intake.over).toMatchObject({ message: 'no more of this' });
    expect(intake.filled).toBeLessThan(bytes.length);
  });

  it('that has bytes already is left as it is', async () => {
    let turned: boolean | undefined;
    await sendTls(bytes, (socket) => {
      socket.once('readable', () => {
        turned = turnDirect(socket, new Gathered(1));
        socket.destroy();
      });
    });
    expect(turned).toBe(false);
  });
});

it('a connection that cannot be read directly is copied from', async () => {
  const bytes = seededBytes(500_000, 6);
  const intake = new Gathered(bytes.length);
  const server = createServer((socket) => attach(socket, intake, false));
  server.listen({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  dialPlain((server.address() as AddressInfo).port, '127.0.0.1').end(bytes);
  expect(await intake.over).toBeUndefined();
  server.close();
  expect(intake.bytes.subarray(0, intake.filled).equals(bytes)).toBe(true);
});

describe('the pool of frames', () => {
  it('gives what it was given, when it is large enough', () => {
    const pool = new FramePool();
    const large = pool.take(1 << 20);
    const small = pool.take(1 << 16);
    expect(large).toHaveLength((1 << 20) + FRAME_HEADER_BYTES);
    pool.give(large);
    pool.give(small);
    expect(pool.take(1 << 17)).toBe(large);
    expect(pool.take(1 << 15)).toBe(small);
    expect(pool.take(1 << 15)).not.toBe(small);
  });

  it('forgets the oldest first: pieces of another length do not keep those in use out', () => {
    const pool = new FramePool();
    const before = Array.from({ length: 600 }, () => pool.take(1 << 16));
    for (const buffer of before) pool.give(buffer);
    const now = pool.take(1 << 19);
    pool.give(now);
    expect(pool.take(1 << 19)).toBe(now);
  });
});
