import type { FileHandle } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { readFully, writeFully } from '../../src/core/core.js';

const GIB = 2 ** 30;

it('no call asks for 2 GiB or more, where Node would abort the process', async () => {
  // Never touched, so it takes no memory.
  const bytes = Buffer.allocUnsafeSlow(2 * GIB + 10);
  const asked: number[][] = [];
  const handle = {
    read: async (_: Uint8Array, at: number, length: number, offset: number) => {
      asked.push([at, length, offset]);
      return { bytesRead: length };
    },
    write: async (_: Uint8Array, at: number, length: number, offset: number | null) => {
      asked.push([at, length, offset ?? -1]);
      return { bytesWritten: length };
    },
  } as unknown as FileHandle;
  expect(await readFully(handle, bytes, 7)).toBe(bytes.length);
  await writeFully(handle, bytes);
  expect(asked).toEqual([
    [0, GIB, 7],
    [GIB, GIB, GIB + 7],
    [2 * GIB, 10, 2 * GIB + 7],
    [0, GIB, -1],
    [GIB, GIB, -1],
    [2 * GIB, 10, -1],
  ]);
});
