import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { packPaths, unpackPaths } from '../../src/core/core.js';
import { CHANGE, type HashAlgo, STAT_COLUMNS } from '../../src/engine/engine.js';
import type { RawAddon, RawChanges, RawFileScan, RawStatIndex } from '../../src/engine/raw-addon.js';
import { addonPath } from './addon-door.js';

/** The file side of the addon, and switches that only tests use. */
export const files = createRequire(import.meta.url)(addonPath) as RawAddon & {
  useComponentWalk(on: boolean): void;
  mapAnywhere(on: boolean): void;
};

export const NOTHING = Buffer.alloc(0);

/** A fresh directory that `dispose` removes. */
export function makeTree(): { root: string; at: (name: string) => string; dispose: () => void } {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dk-tree-'));
  return {
    root,
    at: (name) => path.join(root, name),
    dispose: () => fs.rmSync(root, { recursive: true, force: true }),
  };
}

interface ScanAsk {
  readonly directories?: readonly string[];
  readonly recursive?: boolean;
  readonly enterAdded?: boolean;
  readonly skip?: readonly string[];
}

export function scan(index: RawStatIndex, root: string, ask: ScanAsk = {}): Promise<RawChanges> {
  const directories = ask.directories ?? [''];
  const skip = ask.skip ?? [];
  return index.scan({
    root,
    directories: packPaths(directories),
    directoryCount: directories.length,
    recursive: ask.recursive ?? true,
    enterAdded: ask.enterAdded ?? true,
    skip: packPaths(skip),
    skipCount: skip.length,
  });
}

export function scanPaths(index: RawStatIndex, root: string, paths: readonly string[]): Promise<RawChanges> {
  return index.scanPaths({ root, paths: packPaths(paths), pathCount: paths.length });
}

const KIND_NAMES = new Map<number, string>([
  [CHANGE.added, '+'],
  [CHANGE.changed, '~'],
  [CHANGE.removed, '-'],
]);

/** Changes as text, '+path', '~path' or '-path'. */
export function told(changes: RawChanges): string[] {
  return unpackPaths(changes.paths, changes.count).map((name, i) => `${KIND_NAMES.get(changes.kinds[i] ?? 0)}${name}`);
}

/** Puts what a scan reported; removed paths are removed. */
export function remember(index: RawStatIndex, changes: RawChanges, trusted = 1): void {
  const paths = unpackPaths(changes.paths, changes.count);
  const removed = paths.filter((_, i) => changes.kinds[i] === CHANGE.removed);
  index.put(changes.paths, changes.count, changes.rows, new Uint8Array(changes.count).fill(trusted));
  index.remove(packPaths(removed), removed.length);
}

/** Row number `i`. */
export function rowAt(rows: BigInt64Array, i: number): BigInt64Array {
  return rows.subarray(i * STAT_COLUMNS, (i + 1) * STAT_COLUMNS);
}

export function readFiles(
  root: string,
  paths: readonly string[],
  limits: { fileBytesMax?: number; totalBytesMax?: number; algo?: HashAlgo } = {},
) {
  return files.readFiles({
    root,
    paths: packPaths(paths),
    pathCount: paths.length,
    fileBytesMax: limits.fileBytesMax ?? 1 << 20,
    totalBytesMax: limits.totalBytesMax ?? 8 << 20,
    algo: limits.algo ?? 'blake3',
  });
}

/** What one scan of a file needs from the version before. */
export interface Tables {
  readonly pages: Uint8Array;
  readonly groups: Uint8Array;
  readonly bytes: number;
}
export const NO_TABLES: Tables = { pages: NOTHING, groups: NOTHING, bytes: 0 };

export function openScan(
  root: string,
  name: string,
  tables = NO_TABLES,
  algo: HashAlgo = 'blake3',
): Promise<RawFileScan> {
  return files.openFileScan({
    root,
    path: Buffer.from(name, 'latin1'),
    algo,
    seed: Buffer.from('0123456789abcdef'),
    pages: tables.pages,
    groups: tables.groups,
    sourceBytes: tables.bytes,
  });
}

/** Scans a whole file and applies the ranges to `source`, the content before. */
export async function scanWhole(
  root: string,
  name: string,
  ask: { source?: Buffer; tables?: Tables; algo?: HashAlgo; dataBytesMax?: number } = {},
) {
  const scanning = await openScan(root, name, ask.tables, ask.algo);
  const target = Buffer.alloc(Number(scanning.row[4]));
  ask.source?.copy(target, 0, 0, Math.min(ask.source.length, target.length));
  const ranges: [number, number, number][] = [];
  let steps = 0;
  for (let done = false; !done; steps += 1) {
    const step = await scanning.next(ask.dataBytesMax ?? 1 << 20);
    let at = 0;
    step.zero.forEach((zero, i) => {
      const [offset, length] = [step.ranges[i * 2] ?? 0, step.ranges[i * 2 + 1] ?? 0];
      if (zero === 1) target.fill(0, offset, offset + length);
      else at += step.data.copy(target, offset, at, at + length);
      ranges.push([offset, length, zero]);
    });
    if (at !== step.data.length) throw new Error('ranges and data do not add up');
    done = step.done;
  }
  const result = await scanning.finish();
  await scanning.close();
  const tables: Tables = { pages: result.pages, groups: result.groups, bytes: target.length };
  return { target, ranges, steps, result, tables };
}
