/** Who may write to a served store when sessions of one name come at the same time. */
import { expect, it } from 'vitest';
import { VERB } from '../../src/replicate/protocol.js';
import { Pusher } from '../../src/replicate/push-pull.js';
import { StoreHost } from '../../src/replicate/replicate.js';
import { codeOf, commitFiles, noise } from '../store/store-fixture.js';
import { memoryPair } from './memory-session.js';
import { ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();

it('of two that come when the writer is gone, one takes its place and the other is refused', async () => {
  const source = await fixture.open('source');
  const host = new StoreHost(await fixture.open('replica'));
  await commitFiles(source, { f: noise(100, 1) });
  const join = () => {
    const { client, server } = memoryPair({ name: 'writer' });
    host.attach(server);
    return { client, pusher: new Pusher(source, client) };
  };
  const first = join();
  expect((await first.pusher.push()).checkpoints).toBe(1);
  // It is asked, and does not answer any more.
  first.client.onRequest(VERB.hello, () => new Promise(() => {}));
  await commitFiles(source, { f: noise(100, 2) });
  const others = [join(), join()];
  const codes = await Promise.all(others.map(({ pusher }) => codeOf(() => pusher.push())));
  expect(codes.filter((code) => code === 'DK_REPLICA')).toHaveLength(1);
  expect(codes.filter((code) => code !== 'DK_REPLICA')).toEqual(['no error']);
  await expect(first.client.closed).rejects.toMatchObject({ code: 'DK_CONNECTION' });
  for (const { client } of others) await client.close();
  await host.idle();
});
