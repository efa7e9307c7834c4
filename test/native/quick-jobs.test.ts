/** What takes no longer than a way to another thread and back is done at once, with the same result and the same errors. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TRY } from '../../src/engine/engine.js';
import { loadNative } from '../../src/engine/load.js';

const engine = loadNative();
const NOTHING = new Uint8Array(0);
const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 31) >> 3);

/** What comes of a job, and whether it came without a turn of the event loop, in which alone other threads are heard. */
async function atOnce<T>(job: () => Promise<T>): Promise<{ value: T; quick: boolean }> {
  let quick = false;
  const done = job().then((value) => {
    quick = true;
    return value;
  });
  for (let i = 0; i < 100 && !quick; i += 1) await null;
  const found = quick;
  return { value: await done, quick: found };
}

describe('quick jobs', () => {
  it.each(['blake3', 'sha256'] as const)('hash short bytes like long ones, %s', async (algo) => {
    for (const length of [1, 4096, 32 << 10, (32 << 10) + 1, 100_000]) {
      const data = bytesOf(length);
      const half = length >> 1;
      const parts = [data.subarray(0, half), data.subarray(half)];
      const many = await atOnce(() => engine.digestMany(algo, data, Uint32Array.of(half, length - half)));
      expect(many.value).toEqual(Buffer.concat(parts.map((part) => engine.digest(algo, part))));
      const one = await atOnce(() => engine.digestAsync(algo, data));
      expect(one.value).toEqual(engine.digest(algo, data));
      if (length <= 32 << 10) expect([many.quick, one.quick]).toEqual([true, true]);
    }
  });

  it('code a little at once, and what comes of it decodes', async () => {
    const target = bytesOf(3000);
    const context = bytesOf(2900);
    const encode = () =>
      engine.encodeBlobs({
        targets: target,
        targetLengths: Uint32Array.of(target.length),
        contexts: context,
        contextLengths: Uint32Array.of(context.length),
        tries: Uint8Array.of(TRY.zstdContext),
        level: 9,
      });
    const { value, quick } = await atOnce(encode);
    expect(quick).toBe(true);
    const alone = await engine.decodeBlobs({
      algo: 'blake3',
      codecs: value.codecs,
      payloads: value.payloads,
      payloadLengths: value.payloadLengths,
      contexts: context,
      contextLengths: Uint32Array.of(context.length),
      decodedLengths: Uint32Array.of(target.length),
      digests: engine.digest('blake3', target),
    });
    expect(alone.data.equals(target)).toBe(true);
  });

  it('begin a file scan anew and end one that is held', async () => {
    const base = await mkdtemp(join(tmpdir(), 'dk-quick-'));
    try {
      const fd = openSync(join(base, 'f'), 'w');
      writeSync(fd, bytesOf(300_000));
      const none = { pages: NOTHING, groups: NOTHING, sourceBytes: 0 };
      const scan = await engine.openFileScan({
        root: base,
        path: 'f',
        algo: 'blake3',
        seed: Buffer.alloc(16),
        ...none,
      });
      writeSync(fd, Buffer.from('more'));
      closeSync(fd);
      const { value: renewed, quick } = await atOnce(() => scan.renew(none));
      expect(quick).toBe(true);
      expect(await renewed?.hold(new Uint8Array(300_004))).toMatchObject({ heldBytes: 300_004 });
      while (!(await renewed?.next(1 << 20))?.done);
      const end = await atOnce(async () => renewed?.finish());
      expect(end.quick).toBe(true);
      const whole = Buffer.concat([bytesOf(300_000), Buffer.from('more')]);
      expect(end.value?.digest).toEqual(engine.digest('blake3', whole));
      await renewed?.close();
      // An error comes as a rejection, as that of any job.
      await expect(scan.renew(none)).rejects.toThrow('the file scan is closed');
    } finally {
      await rm(base, { recursive: true, force: true });
    }
  });

  it('go through a held file of which little changed, and find what a reading finds', async () => {
    const base = await mkdtemp(join(tmpdir(), 'dk-quick-'));
    try {
      const place = { root: base, path: 'f', algo: 'blake3', seed: Buffer.alloc(16) } as const;
      const bytes = Buffer.from(bytesOf(1_000_000));
      await writeFile(join(base, 'f'), bytes);
      const first = await engine.openFileScan({ ...place, pages: NOTHING, groups: NOTHING, sourceBytes: 0 });
      while (!(await first.next(1 << 20)).done);
      const known = { ...(await first.finish()), sourceBytes: bytes.length };
      await first.close();
      for (const at of [100_000, 290_000, 999_990]) bytes.write('changed', at);
      await writeFile(join(base, 'f'), bytes);
      const held = await engine.openFileScan({ ...place, ...known });
      expect((await held.hold(new Uint8Array(bytes.length)))?.heldBytes).toBeLessThanOrEqual(256 << 10);
      const step = await atOnce(() => held.next(1 << 20));
      const read = await engine.openFileScan({ ...place, ...known });
      expect(step).toEqual({ value: await read.next(1 << 20), quick: true });
      const changed = [96, 280, 976].map((kib) => bytes.subarray(kib << 10, (kib + 4) << 10));
      expect(step.value.data.equals(Buffer.concat(changed))).toBe(true);
      expect(await held.finish()).toEqual(await read.finish());
      await held.close();
      await read.close();
    } finally {
      await rm(base, { recursive: true, force: true });
    }
  });
});
