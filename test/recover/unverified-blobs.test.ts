/** Large files are read without comparing the digest of each blob: the file's tells, and then the blob is named as ever. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import type { Digest, Extent } from '../../src/format/format.js';
import { recover } from '../../src/recover/recover.js';
import type { Store } from '../../src/store/store.js';
import { noise, putExtents, StoreFixture } from '../store/store-fixture.js';
import { engines } from './tree-fixture.js';

const PIECES = 9;
const PIECE = 1 << 20;

/** Text over noise, which compresses: such blobs are decoded, not read to their places. */
function piece(number: number): Buffer {
  const bytes = noise(PIECE, number + 1);
  for (let at = 0; at < bytes.length; at += 2) bytes[at] = 0x61 + ((bytes[at] as number) & 7);
  return bytes;
}

interface Stored {
  readonly bytes: Buffer;
  /** What it claims to be the digest of; by default the right one. */
  readonly digest?: Digest;
}

async function keep(store: Store, name: string, digest: Digest, pieces: readonly Stored[]): Promise<void> {
  const transaction = store.begin();
  const extents: Extent[] = [];
  for (const { bytes, digest: claimed } of pieces) {
    const input = { bytes, kind: 'blob' as const, ...(claimed && { digest: claimed }) };
    const [stored] = await transaction.storeBlobs([input]);
    extents.push({ digest: stored as Digest, offset: 0, length: bytes.length });
  }
  await putExtents(transaction, name, { extents, digest });
  await transaction.commit();
}

describe.each(engines())('%s', (_name, engine: Engine) => {
  const fixture = new StoreFixture();
  const right = Array.from({ length: PIECES }, (_, number) => piece(number));
  const content = Buffer.concat(right);
  const digestOf = (store: Store, bytes: Buffer): Digest => store.engine.digest(store.hashAlgo, bytes);
  const withPiece = (number: number, stored: Stored): Stored[] =>
    right.map((bytes, index) => (index === number ? stored : { bytes }));

  it('names the blob whose record is whole and holds other bytes, leaves what was there, and brings the rest', async () => {
    const store = await fixture.open({ engine });
    const good = right[6] as Buffer;
    const bytes = Buffer.from(good);
    bytes[777] = (bytes[777] as number) ^ 1;
    const name = digestOf(store, good);
    await keep(store, 'bad', digestOf(store, content), withPiece(6, { bytes, digest: name }));
    const other = Buffer.concat([piece(50), piece(51), piece(52)]);
    await keep(
      store,
      'good',
      digestOf(store, other),
      [50, 51, 52].map((number) => ({ bytes: piece(number) })),
    );
    const target = join(fixture.base, 'target');
    mkdirSync(target);
    writeFileSync(join(target, 'bad'), 'what was there');
    const report = await recover(store, target);
    expect(report.damaged).toMatchObject([{ kind: 'entry', path: 'bad', code: 'DK_DIGEST_MISMATCH' }]);
    expect(report.damaged[0]?.message).toContain(name.toString('hex'));
    expect(report).toMatchObject({ rootVerified: false, written: 1 });
    expect(readFileSync(join(target, 'bad'), 'utf8')).toBe('what was there');
    expect(readFileSync(join(target, 'good')).equals(other)).toBe(true);
  });

  it('gives nothing unverified to who reads with care afterwards', async () => {
    const store = await fixture.open({ engine });
    const bytes = piece(99);
    const name = digestOf(store, right[2] as Buffer);
    await keep(store, 'f', digestOf(store, content), withPiece(2, { bytes, digest: name }));
    const [version] = await store.heads(['f']);
    if (!version) throw new Error('not stored');
    const reader = store.reader(version);
    const loose = await reader.readLoosely(0, version.size, Buffer.alloc(version.size));
    expect(loose.equals(content)).toBe(false);
    await expect(reader.read(2 * PIECE, PIECE)).rejects.toMatchObject({ code: 'DK_DIGEST_MISMATCH' });
    expect((await store.readBlobs([name]))[0]).toMatchObject({ code: 'DK_DIGEST_MISMATCH' });
  });
});
