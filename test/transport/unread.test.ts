/** Who asks and never reads the answers: what waits for it in memory is bounded. */
import { expect, it } from 'vitest';
import { FRAME } from '../../src/transport/frame.js';
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
    let before = -1;
    while (answers !== before) {
      before = answers;
      await pause(300);
    }
    // Sixteen at once, and what two kernels hold.
    expect(answers).toBeGreaterThan(0);
    expect(answers).toBeLessThan(60);
    client.socket.resume();
    while (answers < 400) await pause(20);
    session.destroy(new Error('enough'));
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
