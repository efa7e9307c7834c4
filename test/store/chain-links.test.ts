/** Links of chains that lie between what is asked for: not verified for themselves, and named when they are what is wrong. */
import { expect, it } from 'vitest';
import type { Digest } from '../../src/format/format.js';
import type { Store } from '../../src/store/store.js';
import { noise, putExtents, StoreFixture } from './store-fixture.js';

const fixture = new StoreFixture();
const BYTES = 20_000;

interface Link {
  /** What the record decodes to. */
  readonly bytes: Buffer;
  /** What it claims to be the digest of; by default the right one. */
  readonly digest?: Digest;
  /** What later links take it for. */
  readonly taken?: Buffer;
}

/** Commits a file, link by link, each coded against the one before. */
async function keepChain(store: Store, path: string, links: readonly Link[]): Promise<Digest[]> {
  const digests: Digest[] = [];
  let last: { readonly digest: Digest; readonly bytes: Buffer } | undefined;
  for (const { bytes, digest, taken } of links) {
    const transaction = store.begin();
    const extents = last && [{ digest: last.digest, offset: 0, length: last.bytes.length }];
    const context = last && extents && { bytes: last.bytes, extents, aligned: false };
    const input = { bytes, kind: 'blob' as const, ...(digest && { digest }), ...(context && { context }) };
    const stored = (await transaction.storeBlobs([input]))[0] as Digest;
    await putExtents(transaction, path, {
      extents: [{ digest: stored, offset: 0, length: bytes.length }],
      digest: stored,
    });
    await transaction.commit();
    digests.push(stored);
    last = { digest: stored, bytes: taken ?? bytes };
  }
  return digests;
}

function edited(bytes: Buffer, seed: number): Buffer {
  const copy = Buffer.from(bytes);
  noise(100, seed).copy(copy, 50 * seed);
  return copy;
}

it('names the link that decodes to other bytes, not what stands on it, and gives all the rest', async () => {
  const store = await fixture.open();
  const first = noise(BYTES, 1);
  const [second, third] = [edited(first, 2), edited(first, 3)];
  const right = store.engine.digest(store.hashAlgo, second);
  const wrong: Link = { bytes: edited(second, 4), digest: right, taken: second };
  const damaged = await keepChain(store, 'damaged', [{ bytes: first }, wrong, { bytes: third }]);
  const others = [noise(BYTES, 7), edited(noise(BYTES, 7), 8)];
  const whole = await keepChain(store, 'whole', [{ bytes: others[0] as Buffer }, { bytes: others[1] as Buffer }]);
  const [lost, found] = await store.readBlobs([damaged[2] as Digest, whole[1] as Digest]);
  expect(lost).toMatchObject({ code: 'DK_DIGEST_MISMATCH', facts: { name: right.toString('hex') } });
  expect(Buffer.isBuffer(found) && found.equals(others[1] as Buffer)).toBe(true);
  await store.close();
});

it('gives what stands on a link whose digest alone is wrong; verify names that link', async () => {
  const store = await fixture.open();
  const first = noise(BYTES, 11);
  const [second, third] = [edited(first, 12), edited(first, 13)];
  const digest = noise(32, 14);
  const chain = await keepChain(store, 'f', [{ bytes: first }, { bytes: second, digest }, { bytes: third }]);
  const [end] = await store.readBlobs([chain[2] as Digest]);
  expect(Buffer.isBuffer(end) && end.equals(third)).toBe(true);
  const [link] = await store.readBlobs([digest]);
  expect(link).toMatchObject({ code: 'DK_DIGEST_MISMATCH', facts: { name: digest.toString('hex') } });
  const { damage } = await store.verify();
  expect(damage.map(({ where }) => where)).toContain(digest.toString('hex'));
  await store.close();
});
