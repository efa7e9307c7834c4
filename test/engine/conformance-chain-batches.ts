/** `followChains` and `decodeChains`: many blobs and what they are made of in two crossings. The twin leaves all to its caller. */
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Engine, FollowedChains, RecordPlaces } from '../../src/engine/engine.js';
import { encodeExtents, encodeRecord, RECORD } from '../../src/format/format.js';
import { LINK_BYTES, type PackedLink, packChain, packTree } from './chain-pack.js';
import { withTree } from './tree.js';

const LINKS = 6;
const NOWHERE = Buffer.alloc(0);

export function describeChainBatches(engine: Engine): void {
  const native = engine.info.kind === 'native';

  it('gives every link of a chain at once', async () => {
    const { bytes, links } = await packChain(engine, LINKS);
    await withFile(bytes, async (fd) => {
      const followed = await engine.followChains(places(fd, links.slice(-1)));
      expect(followed.missing).toHaveLength(0);
      expect(followed.records.length).toBe(native ? links.reduce((sum, { recordBytes }) => sum + recordBytes, 0) : 0);
      expect(await decoded(engine, { fd, wanted: links, followed })).toEqual(whole(native, links));
    });
  });

  it('gives what several are coded against once, whether it is wanted or not', async () => {
    // 0 - 1 - 2 - 4, 2 - 5, 0 - 3 - 6
    const { bytes, links } = await packTree(engine, [-1, 0, 1, 0, 2, 2, 3]);
    const [, , second, , ...ends] = links as [PackedLink, PackedLink, PackedLink, PackedLink, ...PackedLink[]];
    await withFile(bytes, async (fd) => {
      const followed = await engine.followChains(places(fd, ends));
      for (const wanted of [ends, [...ends, second], [second, ...ends].reverse()]) {
        expect(await decoded(engine, { fd, wanted, followed })).toEqual(whole(native, wanted));
      }
    });
  });

  it('names what stands too far away, and takes it from its place', async () => {
    const { bytes, links } = await packTree(engine, [-1, 0, 1, 1], { second: Buffer.alloc(2 << 20, 5) });
    const [first, , ...ends] = links as [PackedLink, PackedLink, ...PackedLink[]];
    await withFile(bytes, async (fd) => {
      const followed = await engine.followChains(places(fd, ends));
      expect(followed.missing).toEqual(native ? first.digest : NOWHERE);
      expect(await decoded(engine, { fd, wanted: ends, followed, alone: [first] })).toEqual(whole(native, ends));
      // Without it, or with another one in its place, none of them.
      expect(await decoded(engine, { fd, wanted: ends, followed })).toEqual([null, null]);
      const wrong = { ...first, offset: first.offset + 1 };
      expect(await decoded(engine, { fd, wanted: ends, followed, alone: [wrong] })).toEqual([null, null]);
    });
  });

  it('takes records that need nothing without following anything', async () => {
    const { bytes, links } = await packTree(engine, [-1, -1, -1, 0]);
    const followed = { records: NOWHERE, missing: NOWHERE };
    await withFile(bytes, async (fd) => {
      // The last one needs another one, whatever its place is given for.
      const expected = [...whole(native, links.slice(0, 3)), null];
      expect(await decoded(engine, { fd, wanted: links, followed, alone: links })).toEqual(expected);
      const unopened = await decoded(engine, { fd: -1, wanted: links, followed, alone: links });
      expect(unopened).toEqual([null, null, null, null]);
    });
  });

  it('gives nothing, or the right bytes, whatever byte is another one', async () => {
    const { bytes, links } = await packChain(engine, LINKS);
    let given = 0;
    await withFile(bytes, async (fd, change) => {
      for (let at = 0; at < bytes.length; at += 7) {
        await change(at);
        const followed = await engine.followChains(places(fd, links.slice(-2)));
        const got = await decoded(engine, { fd, wanted: links, followed });
        for (const [index, one] of got.entries()) {
          if (one !== null) given += 1;
          expect(one === null || one.equals((links[index] as PackedLink).content), `byte ${at}`).toBe(true);
        }
      }
    });
    expect(given > 0).toBe(native);
  });

  it('comes to an end with records that name each other, or themselves', async () => {
    const names = [1, 2, 3].map((number) => Buffer.alloc(32, number));
    const bytes = Buffer.concat(
      names.map((digest, index) =>
        encodeRecord(
          {
            kind: RECORD.blob,
            codec: 2,
            depth: 1 + (index % 2),
            digest,
            decodedBytes: 100,
            // The first two name each other, the last one itself.
            contextList: encodeExtents([
              { digest: names[[1, 0, 2][index] as number] as Buffer, offset: 0, length: 100 },
            ]),
            payload: Buffer.alloc(50, index),
          },
          (all) => engine.xxh3(all),
        ),
      ),
    );
    const recordBytes = bytes.length / 3;
    const links = names.map((digest, index) => ({
      digest,
      content: Buffer.alloc(100),
      offset: index * recordBytes,
      recordBytes,
    }));
    await withFile(bytes, async (fd) => {
      const followed = await engine.followChains(places(fd, links));
      // Also as if all of them had been read.
      for (const records of [followed.records, bytes]) {
        const got = await decoded(engine, { fd, wanted: links, followed: { ...followed, records } });
        expect(got).toEqual([null, null, null]);
      }
    });
  });

  it('is not led astray by what looks like a record of a link', async () => {
    const { links } = await packChain(engine, LINKS);
    const lie = encodeRecord(
      {
        kind: RECORD.blob,
        codec: 0,
        depth: 0,
        digest: (links[2] as PackedLink).digest,
        decodedBytes: LINK_BYTES,
        contextList: NOWHERE,
        payload: Buffer.alloc(LINK_BYTES, 1),
      },
      (bytes) => engine.xxh3(bytes),
    );
    const chain = await packChain(engine, LINKS, { first: lie });
    await withFile(chain.bytes, async (fd) => {
      const followed = await engine.followChains(places(fd, chain.links.slice(-1)));
      const got = await decoded(engine, { fd, wanted: chain.links, followed });
      for (const [index, one] of got.entries()) {
        expect(one === null || one.equals((chain.links[index] as PackedLink).content)).toBe(true);
      }
    });
  });

  it('refuses what cannot be', async () => {
    const { bytes, links } = await packChain(engine, 2);
    await withFile(bytes, async (fd) => {
      const good = places(fd, links);
      for (const change of [
        { places: good.places.subarray(1) },
        { places: good.places.with(0, 1) },
        { places: good.places.with(1, -1) },
        { places: good.places.with(1, 0.5) },
        { places: good.places.with(2, 0) },
        { places: good.places.with(2, (2 << 20) + 1) },
        { placeDigests: good.placeDigests.subarray(1) },
      ]) {
        await expect(engine.followChains({ ...good, ...change })).rejects.toThrow(RangeError);
        await expect(engine.decodeChains({ ...batchOf(links), ...good, ...change })).rejects.toThrow(RangeError);
      }
      const many = Array.from({ length: 9 }, () => links[0] as PackedLink);
      const long = places(fd, many).places.map((value, index) => (index % 3 === 2 ? 2 << 20 : value));
      await expect(engine.followChains({ ...places(fd, many), places: long })).rejects.toThrow(RangeError);
      await expect(engine.followChains({ ...good, fds: [fd] as never })).rejects.toThrow(TypeError);
      const batch = { ...batchOf(links), ...good };
      await expect(engine.decodeChains({ ...batch, digests: NOWHERE })).rejects.toThrow(RangeError);
      await expect(engine.decodeChains({ ...batch, target: NOWHERE })).rejects.toThrow(RangeError);
      await expect(engine.decodeChains({ ...batch, algo: 'md5' as 'blake3' })).rejects.toThrow();
      await expect(engine.decodeChains({ ...batch, records: ['r'] as never })).rejects.toThrow(TypeError);
    });
  });
}

function places(fd: number, links: readonly PackedLink[]): RecordPlaces {
  return {
    fds: Int32Array.of(fd),
    places: Float64Array.from(links.flatMap(({ offset, recordBytes }) => [0, offset, recordBytes])),
    placeDigests: Buffer.concat(links.map(({ digest }) => digest)),
  };
}

function batchOf(wanted: readonly PackedLink[]) {
  return {
    records: [],
    digests: Buffer.concat(wanted.map(({ digest }) => digest)),
    decodedLengths: Uint32Array.from(wanted, ({ content }) => content.length),
    target: Buffer.alloc(wanted.reduce((sum, { content }) => sum + content.length, 0)),
    algo: 'blake3' as const,
  };
}

/** What comes of each, null for nothing. */
async function decoded(
  engine: Engine,
  what: {
    readonly fd: number;
    readonly wanted: readonly PackedLink[];
    readonly followed: FollowedChains;
    readonly alone?: readonly PackedLink[];
  },
): Promise<(Buffer | null)[]> {
  const batch = batchOf(what.wanted);
  const where = places(what.fd, what.alone ?? []);
  const status = await engine.decodeChains({ ...batch, ...where, records: [what.followed.records] });
  let at = 0;
  return what.wanted.map(({ content }, index) => {
    at += content.length;
    return status[index] === 0 ? batch.target.subarray(at - content.length, at) : null;
  });
}

function whole(native: boolean, links: readonly PackedLink[]): (Buffer | null)[] {
  return links.map(({ content }) => (native ? content : null));
}

function withFile(
  bytes: Buffer,
  work: (fd: number, change: (at: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  return withTree(async (root) => {
    const path = join(root, 'pack');
    await writeFile(path, bytes);
    const handle = await open(path, 'r+');
    try {
      let changed = -1;
      const write = (at: number, value: number) => handle.write(Buffer.of(value), 0, 1, at);
      await work(handle.fd, async (at) => {
        if (changed >= 0) await write(changed, bytes[changed] as number);
        await write(at, (bytes[at] as number) ^ 0x41);
        changed = at;
      });
    } finally {
      await handle.close();
    }
  });
}
