/** `readChain`: a short blob and what it is made of in one crossing, or null. The twin always says null. */
import { open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { ChainPlace, Engine } from '../../src/engine/engine.js';
import { encodeRecord, RECORD } from '../../src/format/format.js';
import { LINK_BYTES, type PackedChain, type PackedLink, packChain } from './chain-pack.js';
import { withTree } from './tree.js';

const LINKS = 6;

export function describeChains(engine: Engine): void {
  const native = engine.info.kind === 'native';

  it('gives each link of a chain, the first one included', async () => {
    const chain = await packChain(engine, LINKS);
    for (const link of chain.links) {
      const got = await readFrom(engine, chain.bytes, placeOf(link));
      expect(got === null ? null : Buffer.from(got)).toEqual(native ? link.content : null);
    }
  });

  it('gives nothing when a link stands before the window, or another one was meant', async () => {
    const chain = await packChain(engine, LINKS);
    const [first, last] = [chain.links[0] as PackedLink, chain.links[LINKS - 1] as PackedLink];
    const needed = last.offset + last.recordBytes - first.offset;
    for (const change of [
      { windowBytes: needed - 1 },
      { digest: first.digest },
      { decodedBytes: LINK_BYTES - 1 },
      { offset: last.offset - 1 },
      { offset: last.offset + 1 },
      { recordBytes: last.recordBytes - 1 },
      { offset: chain.bytes.length },
    ]) {
      expect(await readFrom(engine, chain.bytes, { ...placeOf(last), ...change })).toBeNull();
    }
    const whole = await readFrom(engine, chain.bytes, { ...placeOf(last), windowBytes: needed });
    expect(whole === null).toBe(!native);
  });

  it('gives nothing, or the right bytes, whatever byte is another one', async () => {
    const chain = await packChain(engine, LINKS);
    const last = chain.links[LINKS - 1] as PackedLink;
    let given = 0;
    await withFile(chain.bytes, async (fd, change) => {
      for (let at = 0; at < chain.bytes.length; at += 7) {
        await change(at);
        const got = await engine.readChain(fd, placeOf(last), 'blake3');
        if (got !== null) given += 1;
        expect(got === null || got.equals(last.content), `byte ${at}`).toBe(true);
      }
    });
    // Bytes between the records are nobody's.
    expect(given > 0).toBe(native);
  });

  it('is not led astray by what looks like a record of a link', async () => {
    const { links } = await packChain(engine, LINKS);
    for (const [depth, kind] of [
      [0, RECORD.blob],
      [5, RECORD.blob],
      [0, RECORD.versions],
    ] as const) {
      // Whole by its checksum, with the digest of a link, and before it.
      const lie = encodeRecord(
        {
          kind,
          codec: 0,
          depth,
          digest: (links[2] as PackedLink).digest,
          decodedBytes: LINK_BYTES,
          contextList: Buffer.alloc(0),
          payload: Buffer.alloc(LINK_BYTES, 1),
        },
        (bytes) => engine.xxh3(bytes),
      );
      const chain: PackedChain = await packChain(engine, LINKS, { first: lie });
      const last = chain.links[LINKS - 1] as PackedLink;
      const got = await readFrom(engine, chain.bytes, placeOf(last));
      expect(got === null || got.equals(last.content)).toBe(true);
      expect((await readFrom(engine, chain.bytes, placeOf(chain.links[1] as PackedLink))) === null).toBe(!native);
    }
  });

  it('gives nothing where nothing can be read', () =>
    withTree(async (root) => {
      const place = placeOf((await packChain(engine, 1)).links[0] as PackedLink);
      const handle = await open(root, 'r');
      try {
        expect(await engine.readChain(handle.fd, place, 'blake3')).toBeNull();
      } finally {
        await handle.close();
      }
    }));

  it('refuses places that cannot be', async () => {
    const { bytes, links } = await packChain(engine, 1);
    const place = placeOf(links[0] as PackedLink);
    await withFile(bytes, async (fd) => {
      for (const change of [
        { offset: -1 },
        { offset: 0.5 },
        { recordBytes: 0 },
        { windowBytes: place.recordBytes - 1 },
        { windowBytes: 2 ** 21 },
        { decodedBytes: 2 ** 21 },
        { digest: Buffer.alloc(31) },
      ]) {
        await expect(engine.readChain(fd, { ...place, ...change }, 'blake3')).rejects.toThrow(RangeError);
      }
      await expect(engine.readChain(-1, place, 'blake3')).rejects.toThrow(RangeError);
      await expect(engine.readChain(fd, place, 'md5' as 'blake3')).rejects.toThrow();
      await expect(engine.readChain(fd, { ...place, digest: 'd' as never }, 'blake3')).rejects.toThrow(TypeError);
    });
  });
}

function placeOf({ content, digest, offset, recordBytes }: PackedLink): ChainPlace {
  return { offset, recordBytes, windowBytes: 64 << 10, digest, decodedBytes: content.length };
}

function readFrom(engine: Engine, bytes: Buffer, place: ChainPlace): Promise<Buffer | null> {
  return withFile(bytes, (fd) => engine.readChain(fd, place, 'blake3'));
}

/** @param task may have one byte of the file another one than it was, and then another byte */
function withFile<T>(
  bytes: Buffer,
  task: (fd: number, change: (at: number) => Promise<void>) => Promise<T>,
): Promise<T> {
  return withTree(async (root) => {
    const file = join(root, 'pack');
    await writeFile(file, bytes);
    const handle = await open(file, 'r+');
    let changed = 0;
    try {
      return await task(handle.fd, async (at) => {
        await handle.write(bytes, changed, 1, changed);
        await handle.write(Buffer.of((bytes[at] as number) ^ 0x10), 0, 1, at);
        changed = at;
      });
    } finally {
      await handle.close();
    }
  });
}
