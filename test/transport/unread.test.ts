/** Who asks and never reads the answers: what waits for it in memory is bounded. */
import { expect, it } from 'vitest';
import { loadEngine } from '../../src/engine/load.js';
import { FRAME } from '../../src/transport/frame.js';
import { encodeOffer } from '../../src/transport/messages.js';
import type { Session } from '../../src/transport/transport.js';
import { frameBytes, RawClient } from './raw-client.js';
import { withPair } from './session-fixture.js';

const MIB = 1 << 20;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Runs with a client that has greeted and reads nothing more, and the session that it has. */
async function withDeaf(body: (client: RawClient, session: Session) => Promise<void>): Promise<void> {
  await withPair({}, async ({ listener }) => {
    const client = new RawClient(listener.port);
    await client.hello();
    client.socket.pause();
    await body(client, [...listener.sessions].at(-1) as Session);
    client.socket.destroy();
  });
}

it('answers are made as fast as they are read, and no faster', () =>
  withDeaf(async (client, session) => {
    let answers = 0;
    session.onRequest('much', async () => {
      answers += 1;
      return Buffer.alloc(MIB);
    });
    for (let id = 1; id <= 400; id += 1) client.write(frameBytes(FRAME.request, Buffer.from('\x04much'), { id }));
    // A loaded machine takes its time for the first.
    while (answers === 0) await pause(20);
    let before = -1;
    while (answers !== before) {
      before = answers;
      await pause(300);
    }
    // Sixteen at once, and what two kernels hold.
    expect(answers).toBeLessThan(60);
    client.socket.resume();
    while (answers < 400) await pause(20);
    session.destroy(new Error('enough'));
  }));

/** A blob in one frame. */
function blobFrame(id: number): Buffer {
  const content = Buffer.from(`content ${id}`);
  const digest = loadEngine().digest('blake3', content);
  const offer = { service: 'test', key: content, size: content.length, digest, meta: Buffer.alloc(0) };
  return frameBytes(FRAME.blob, encodeOffer(offer).bytes(content).finish(), { id });
}

it('answers to blobs that wait to be read are open blobs: as many as there may be end nothing, more do', () =>
  withDeaf(async (client, session) => {
    const answer = Buffer.alloc(65_536);
    let finished = 0;
    session.onBlob('test', async () => ({
      write: async () => {},
      finish: async () => {
        finished += 1;
        return answer;
      },
      abort: async () => {},
    }));
    const send = (from: number, to: number): void => {
      for (let id = from; id <= to; id += 1) client.write(blobFrame(id));
    };
    send(1, 600);
    while (finished < 600) await pause(5);
    await pause(50);
    client.socket.resume();
    let done = 0;
    while (done < 600) {
      const frame = await client.next();
      expect(frame).toBeDefined();
      if (frame?.type === FRAME.done) done += 1;
    }
    client.socket.pause();
    let over = false;
    session.closed.catch(() => {
      over = true;
    });
    for (let from = 601; !over && from < 8000; from += 100) {
      send(from, from + 99);
      while (!over && finished < from + 99) await pause(2);
      // Giving them up frees nothing.
      const abort = (_: unknown, at: number) => frameBytes(FRAME.abort, Buffer.of(1, 88, 0), { id: from + at });
      client.write(Buffer.concat(Array.from({ length: 100 }, abort)));
    }
    expect(over).toBe(true);
    await expect(session.closed).rejects.toMatchObject({ code: 'DK_PROTOCOL' });
  }));

it('the session ends when nothing of what it is told is read', () =>
  withDeaf(async (client, session) => {
    const ended = session.closed.then(
      () => 'in order',
      (error: Error) => error.message,
    );
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => frameBytes(FRAME.ping)));
    let over = false;
    void ended.then(() => {
      over = true;
    });
    for (let turn = 0; turn < 1000 && !over; turn += 1) {
      client.write(pings);
      await pause(1);
    }
    expect(over).toBe(true);
    expect(await ended).toMatch(/does not read/);
    await expect(session.closed).rejects.toMatchObject({ code: 'DK_CONNECTION' });
  }));
