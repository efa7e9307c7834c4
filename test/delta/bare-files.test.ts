import { createReadStream } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { type BareFormat, diffBare, diffBareFile } from '../../src/delta/delta.js';
import { editedBytes, patternBytes } from '../engine/samples.js';
import { inRoom } from './window-fixture.js';

const source = patternBytes(50_000, 1);
const target = editedBytes(source, 2);

describe.each<BareFormat>(['bsdiff', 'vcdiff', 'zstd'])('bare %s of files', (format) => {
  it('has the bytes that it has in memory, from paths and streams', () =>
    inRoom(async ({ at, names }) => {
      await writeFile(at('s'), source);
      await writeFile(at('t'), target);
      const delta = await diffBare(source, target, { format });
      expect(await diffBareFile(at('s'), at('t'), at('d'), { format })).toEqual({ format, deltaBytes: delta.length });
      expect((await readFile(at('d'))).equals(delta)).toBe(true);
      const sink = new PassThrough();
      await diffBareFile(createReadStream(at('s')), createReadStream(at('t')), sink, { format });
      expect((await buffer(sink.end())).equals(delta)).toBe(true);
      expect(await names()).toEqual(['d', 's', 't']);
    }));

  it('appears whole or not at all', () =>
    inRoom(async ({ at, names }) => {
      await writeFile(at('s'), source);
      await writeFile(at('d'), 'before', { mode: 0o640 });
      const outcome = (from: string, options: object): Promise<unknown> =>
        diffBareFile(at(from), at('s'), at('d'), { format, ...options }).catch((error: unknown) => error);
      expect(await outcome('s', { overwrite: false })).toMatchObject({ code: 'DK_ARGUMENT' });
      expect(await outcome('none', {})).toMatchObject({ code: 'DK_NOT_FOUND' });
      expect(await outcome('s', { signal: AbortSignal.abort() })).toMatchObject({ code: 'DK_ABORTED' });
      expect(await readFile(at('d'), 'utf8')).toBe('before');
      expect(await names()).toEqual(['d', 's']);
      expect(await outcome('s', {})).toMatchObject({ format });
      expect((await stat(at('d'))).mode & 0o777).toBe(0o640);
    }));
});
