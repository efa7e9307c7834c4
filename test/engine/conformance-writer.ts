/** `openFileWriter`: a large file, written and hashed step by step. */
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { Engine, FileWriter, HashAlgo } from '../../src/engine/engine.js';
import { patternBytes } from './samples.js';
import { withTree } from './tree.js';

type Task = (facts: {
  readonly handle: FileHandle;
  readonly writer: FileWriter;
  readonly path: string;
}) => Promise<void>;

export function describeWriter(engine: Engine): void {
  const withWriter = (task: Task, algo: HashAlgo = 'blake3') =>
    withTree(async (root) => {
      const path = join(root, 'file');
      const handle = await open(path, 'wx');
      try {
        await task({ handle, writer: engine.openFileWriter(handle.fd, algo), path });
      } finally {
        await handle.close();
      }
    });
  const same = (one: Buffer, other: Buffer) => expect(one.equals(other)).toBe(true);

  for (const algo of ['blake3', 'sha256'] as const) {
    for (const direct of [false, true]) {
      it(`writes and hashes, ${algo}${direct ? ', past the page cache where it can' : ''}`, () =>
        withWriter(async ({ writer, path }) => {
          const room = engine.alignedBuffer(1 << 20);
          const expected: Buffer[] = [];
          for (let step = 0; step < 4; step += 1) {
            // The last one is no multiple of a page, nor of a sector.
            const bytes = room.subarray(0, step < 3 ? room.length : 77_777);
            patternBytes(bytes.length, step + 1).copy(bytes);
            expected.push(Buffer.from(bytes));
            await writer.write(step << 20, bytes, direct);
          }
          const content = Buffer.concat(expected);
          same(await writer.finish(content.length), engine.digest(algo, content));
          same(await readFile(path), content);
        }, algo));
    }
  }

  it('writes memory and positions that do not suit direct writes all the same', () =>
    withWriter(async ({ writer, path }) => {
      const content = patternBytes(500_000, 9);
      const room = engine.alignedBuffer(300_000);
      content.copy(room.subarray(5), 0, 0, 200_000);
      await writer.write(0, room.subarray(5, 200_005), true);
      content.copy(room, 0, 200_000);
      await writer.write(200_000, room, true);
      same(await writer.finish(500_000), engine.digest('blake3', content));
      same(await readFile(path), content);
    }));

  it('takes what is left out for zeros', () =>
    withWriter(async ({ handle, writer, path }) => {
      const bytes = patternBytes(100, 1);
      await handle.truncate(3_000_000);
      await writer.write(1_500_001, bytes, false);
      const content = Buffer.alloc(3_000_000);
      bytes.copy(content, 1_500_001);
      same(await writer.finish(content.length), engine.digest('blake3', content));
      same(await readFile(path), content);
    }));

  it('digests nothing', () =>
    withWriter(async ({ writer }) => same(await writer.finish(0), engine.digest('blake3', Buffer.alloc(0)))));

  it('takes one call at a time, in ascending order, until it is finished', () =>
    withWriter(async ({ writer }) => {
      const running = writer.write(0, Buffer.alloc(1 << 20), false);
      await expect(writer.write(1 << 20, Buffer.alloc(1), false)).rejects.toThrow(TypeError);
      await running;
      await expect(writer.write(5, Buffer.alloc(1), false)).rejects.toThrow(RangeError);
      await expect(writer.finish(5)).rejects.toThrow(RangeError);
      await writer.finish(1 << 20);
      await expect(writer.write(1 << 20, Buffer.alloc(1), false)).rejects.toThrow(TypeError);
    }));

  it('passes on what the system says', () =>
    withTree(async (root) => {
      const handle = await open(root, 'r');
      try {
        const writer = engine.openFileWriter(handle.fd, 'blake3');
        await expect(writer.write(0, Buffer.alloc(4096), false)).rejects.toMatchObject({ code: 'EBADF' });
      } finally {
        await handle.close();
      }
    }));
}
