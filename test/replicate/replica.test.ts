import { describe, expect, it } from 'vitest';
import { LIMITS } from '../../src/core/core.js';
import { pullOver, readNote, StoreHost } from '../../src/replicate/replicate.js';
import { writeHistory } from '../store/condensed-store.js';
import { codeOf, commitFiles, contentOf, noise } from '../store/store-fixture.js';
import { memoryPair } from './memory-session.js';
import { expectFollows, push, ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();

describe('a replica', () => {
  it('has every checkpoint bit by bit', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    const big = noise(3 * LIMITS.blobBytes + 77, 4);
    await commitFiles(source, { one: noise(5000, 1), two: noise(70_000, 2), empty: Buffer.alloc(0) });
    await commitFiles(source, { one: null, three: noise(300, 3), big });
    await source.begin().commit({ tag: 'release', force: true });
    const { report } = await push(source, replica);
    expect(report).toMatchObject({ sequence: 3, checkpoints: 3 });
    await expectFollows(source, replica);
    expect((await contentOf(replica, 'big'))?.equals(big)).toBe(true);
    expect(replica.id).not.toBe(source.id);
    expect(await readNote(replica.path)).toMatchObject({ source: source.id, writer: 'anonymous' });
    await expectFollows(source, await fixture.reopen(replica));
  });

  it('takes only what it lacks, and an unchanged store costs one question', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    await commitFiles(source, { one: noise(500_000, 1) });
    await push(source, replica);
    await commitFiles(source, { two: noise(1000, 2) });
    const second = await push(source, replica);
    expect(second.report).toMatchObject({ checkpoints: 1, blobs: 1 });
    expect(second.count.blobBytes).toBeLessThan(1200);
    const third = await push(source, replica);
    expect(third.report).toMatchObject({ checkpoints: 0, blobs: 0, questions: 0 });
    expect(third.count).toMatchObject({ questions: 1, blobBytes: 0 });
    expect(third.count.messageBytes).toBeLessThan(1000);
  });

  it('can be pulled from, and so can a replica of it', async () => {
    const source = await fixture.open('source');
    const [middle, last] = [await fixture.open('middle'), await fixture.open('last')];
    await commitFiles(source, { one: noise(5000, 1), two: noise(90_000, 2) });
    await commitFiles(source, { two: noise(90_000, 3) });
    await push(source, middle);
    const { client, server } = memoryPair({ rights: 'read' });
    new StoreHost(middle).attach(server);
    expect(await pullOver(last, client)).toMatchObject({ sequence: 2, checkpoints: 2 });
    await expectFollows(source, last);
    expect(await readNote(last.path)).toMatchObject({ source: middle.id, writer: '' });
  });

  it('keeps blobs as they are stored: coded against others', async () => {
    const source = await fixture.open('source', { snapshotInterval: 5 });
    const replica = await fixture.open('replica');
    await deltaLife(source, 8);
    await push(source, replica);
    await expectFollows(source, replica);
    const depths = (await replica.stats()).depths;
    expect(depths).toEqual((await source.stats()).depths);
    expect(depths.length).toBeGreaterThan(3);
  });

  it('follows a store that is condensed, and may be condensed itself while it goes on', async () => {
    const source = await fixture.open('source');
    const [early, late, never] = [await fixture.open('early'), await fixture.open('late'), await fixture.open('never')];
    await writeHistory(source, 1, 30);
    await push(source, early);
    await push(source, never);
    expect((await source.condense()).packs).toBe(1);
    expect((await early.condense()).packs).toBe(1);
    const third = await fixture.open('third');
    await push(source, third);
    // What comes now is coded against blobs that are stored as they are here, and against others there.
    await writeHistory(source, 31, 45);
    for (const replica of [early, late, never, third]) {
      await push(source, replica);
      await expectFollows(source, replica);
      expect((await replica.verify()).damage).toEqual([]);
    }
    expect((await late.condense()).packs).toBe(1);
    await writeHistory(source, 46, 50);
    await push(source, late);
    await expectFollows(source, await fixture.reopen(late));
  });

  it('may be encrypted, and must be when its source is', async () => {
    const secret = (seed: number) => ({ encrypt: true, key: { keyBytes: noise(32, seed) } });
    const source = await fixture.open('source', secret(1));
    await commitFiles(source, { one: noise(5000, 1), two: noise(90_000, 2) });
    await deltaLife(source, 4);
    expect(await codeOf(async () => push(source, await fixture.open('open')))).toBe('DK_REPLICA');
    const replica = await fixture.open('replica', secret(2));
    await push(source, replica);
    await expectFollows(source, replica);
    const plain = await fixture.open('plain');
    await commitFiles(plain, { one: noise(5000, 1) });
    const sealed = await fixture.open('sealed', secret(3));
    await push(plain, sealed);
    await expectFollows(plain, sealed);
  });

  it('is refused to strangers', async () => {
    const source = await fixture.open('source');
    const other = await fixture.open('other');
    const replica = await fixture.open('replica');
    await commitFiles(source, { one: noise(5000, 1) });
    await commitFiles(other, { one: noise(5000, 2) });
    expect(await codeOf(() => push(source, replica, { rights: 'read' }))).toBe('DK_REFUSED');
    await push(source, replica, { name: 'alice' });
    expect(await codeOf(() => push(other, replica, { name: 'alice' }))).toBe('DK_REPLICA');
    expect(await codeOf(() => push(source, replica, { name: 'bob' }))).toBe('DK_REPLICA');
    const options = { takeOver: true };
    expect(await codeOf(() => push(source, replica, { name: 'bob', options }))).toBe('DK_REFUSED');
    await push(source, replica, { name: 'bob', rights: 'admin', options });
    expect(await readNote(replica.path)).toMatchObject({ writer: 'bob' });
    expect(await codeOf(() => push(source, replica, { name: 'alice' }))).toBe('DK_REPLICA');
    expect(await codeOf(() => push(source, source))).toBe('DK_REPLICA');
  });

  it('is not written by two sessions at once', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    await commitFiles(source, { one: noise(5000, 1) });
    const host = new StoreHost(replica);
    const first = memoryPair({ name: 'alice' });
    host.attach(first.server);
    const { pushOver } = await import('../../src/replicate/replicate.js');
    await pushOver(source, first.client);
    for (const name of ['alice', 'bob']) {
      const second = memoryPair({ name });
      host.attach(second.server);
      expect(await codeOf(() => pushOver(source, second.client))).toBe('DK_REPLICA');
    }
    await first.client.close();
    const third = memoryPair({ name: 'alice' });
    host.attach(third.server);
    expect(await pushOver(source, third.client)).toMatchObject({ sequence: 1 });
  });

  it('that went its own way is not overwritten', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    await commitFiles(source, { one: noise(5000, 1) });
    await push(source, replica);
    await commitFiles(replica, { own: noise(100, 9) });
    expect(await codeOf(() => push(source, replica))).toBe('DK_DIVERGED');
    await commitFiles(source, { two: noise(5000, 2) });
    expect(await codeOf(() => push(source, replica))).toBe('DK_DIVERGED');
    expect((await contentOf(replica, 'own'))?.length).toBe(100);
    const strange = await fixture.open('strange');
    await commitFiles(strange, { own: noise(100, 9) });
    expect(await codeOf(() => push(source, strange))).toBe('DK_DIVERGED');
    expect(await readNote(strange.path)).toBeNull();
  });

  it('needs the digest algorithm of its source', async () => {
    const source = await fixture.open('source', { hashAlgo: 'sha256' });
    await commitFiles(source, { one: noise(5000, 1) });
    expect(await codeOf(async () => push(source, await fixture.open('replica')))).toBe('DK_REPLICA');
    const replica = await fixture.open('fitting', { hashAlgo: 'sha256' });
    await push(source, replica);
    await expectFollows(source, replica);
  });
});

/** A file whose versions are coded against one another, as captures make them. */
async function deltaLife(store: Awaited<ReturnType<ReplicaFixture['open']>>, checkpoints: number): Promise<void> {
  const bytes = noise(60_000, 7);
  let extents: { digest: Buffer; offset: number; length: number }[] = [];
  for (let round = 0; round < checkpoints; round += 1) {
    const transaction = store.begin();
    const before = Buffer.from(bytes);
    noise(200, 100 + round).copy(bytes, (round * 7919) % 50_000);
    const context = extents.length > 0 ? { bytes: before, extents, aligned: true } : undefined;
    const [digest] = await transaction.storeBlobs([{ bytes, kind: 'blob', ...(context && { context }) }]);
    extents = [{ digest: digest as Buffer, offset: 0, length: bytes.length }];
    const { putExtents } = await import('../store/store-fixture.js');
    await putExtents(transaction, 'file', { extents, digest: digest as Buffer });
    await transaction.commit();
  }
}
