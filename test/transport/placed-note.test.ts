/** A file that was put at its name just before its receiver was killed. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileInbox } from '../../src/transport/file-inbox.js';
import type { BlobOffer } from '../../src/transport/transport.js';
import { seededBytes } from './session-fixture.js';

const SIZE = 9 << 20;
const PARTIAL = '.diffkeeper-partial';
const bytes = seededBytes(SIZE, 31);

function offerOf(size: number): BlobOffer {
  const peer = { name: 'peer', address: 'somewhere', rights: 'append' } as const;
  return { service: 'file', key: Buffer.from('key'), size, meta: Buffer.from('dir/file'), peer };
}

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'dk-placed-'));
  try {
    await body(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Receives it whole, by an inbox that nobody hears of again. */
async function receive(directory: string, content: Buffer): Promise<void> {
  const sink = await new FileInbox(directory, () => {}).open(offerOf(content.length));
  await sink?.write(0, content);
  await sink?.finish();
}

describe('a file that is there already', () => {
  it('is known to the next receiver: it is not sent again', () =>
    withDirectory(async (directory) => {
      await receive(directory, bytes);
      expect(await new FileInbox(directory, () => {}).open(offerOf(SIZE))).toBeNull();
      expect((await readFile(join(directory, 'dir', 'file'))).equals(bytes)).toBe(true);
    }));

  it('is not, once it is another one or gone, or the note is torn', () =>
    withDirectory(async (directory) => {
      const file = join(directory, 'dir', 'file');
      const opened = async (): Promise<boolean> => {
        const sink = await new FileInbox(directory, () => {}).open(offerOf(SIZE));
        await sink?.abort(new Error('looked'));
        return sink !== null;
      };
      await receive(directory, bytes);
      await writeFile(file, bytes);
      expect(await opened()).toBe(true);
      await rm(file);
      expect(await opened()).toBe(true);
      await receive(directory, bytes);
      expect(await opened()).toBe(false);
      const [note = ''] = (await readdir(join(directory, PARTIAL))).filter((name) => name.endsWith('.done'));
      const text = await readFile(join(directory, PARTIAL, note), 'utf8');
      for (const bad of ['', '{', '{}', 'null', '[]', text.slice(0, -3), text.replace(/"ino":"\d+"/, '"ino":"x"')]) {
        await writeFile(join(directory, PARTIAL, note), bad);
        expect(await opened(), bad).toBe(true);
      }
    }));

  it('leaves its note no longer than what was begun', () =>
    withDirectory(async (directory) => {
      await receive(directory, bytes);
      const inbox = new FileInbox(directory, () => {});
      expect(await inbox.removeAbandoned(0)).toBe(0);
      expect(await inbox.removeAbandoned(Date.now() + 60_000)).toBe(1);
      expect(await readdir(join(directory, PARTIAL))).toEqual([]);
    }));

  it('leaves none when its receiver ends in order', () =>
    withDirectory(async (directory) => {
      const inbox = new FileInbox(directory, () => {});
      const sink = await inbox.open(offerOf(SIZE));
      await sink?.write(0, bytes);
      await sink?.finish();
      expect(await readdir(join(directory, PARTIAL))).toHaveLength(1);
      await inbox.end();
      expect(await readdir(join(directory, PARTIAL))).toEqual([]);
    }));

  it('leaves none when it is small', () =>
    withDirectory(async (directory) => {
      await receive(directory, bytes.subarray(0, 1 << 20));
      expect(await readdir(join(directory, PARTIAL))).toEqual([]);
    }));
});
