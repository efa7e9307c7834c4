/** Pairs of files in a directory of their own, and deltas of them with windows as small as a test wants. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { patchFile } from '../../src/delta/delta.js';
import { type DiffFileOptions, diffFileTuned, type PatchFileOptions } from '../../src/delta/delta-files.js';
import type { WindowTuning } from '../../src/delta/window-job.js';

/** Everything goes through windows. */
export const SMALL: WindowTuning = { memoryBytes: -1, windowBytes: 16 << 10, gatherBytes: 32 << 10 };

export interface Room {
  readonly folder: string;
  /** Path below the folder. */
  at(name: string): string;
  /** Names in the folder, sorted. */
  names(): Promise<string[]>;
  /** Writes both files, makes the delta `d`. */
  diff(source: Uint8Array, target: Uint8Array, tuning?: WindowTuning, options?: DiffFileOptions): Promise<Buffer>;
  /** Applies `d` to `s`, writes `out`. */
  patch(options?: PatchFileOptions): Promise<Buffer>;
}

/** Runs a test in a directory that is gone afterwards. */
export async function inRoom(test: (room: Room) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'dk-windows-'));
  const at = (name: string): string => join(folder, name);
  try {
    await test({
      folder,
      at,
      names: async () => (await readdir(folder)).sort(),
      async diff(source, target, tuning = SMALL, options = {}) {
        await writeFile(at('s'), source);
        await writeFile(at('t'), target);
        await diffFileTuned({ source: at('s'), target: at('t'), delta: at('d'), options, tuning });
        return readFile(at('d'));
      },
      async patch(options = {}) {
        await patchFile(at('s'), at('d'), at('out'), options);
        return readFile(at('out'));
      },
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
