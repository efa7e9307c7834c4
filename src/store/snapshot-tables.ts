/**
 * Schema 1 in LevelDB: three sublevels, keyed by the path's bytes.
 *
 *   !deltas!PATH   gzip of the whole file, its newest content only
 *   !hashes!PATH   SHA-256 of the content, 64 lower-case hex digits
 *   !meta!PATH     JSON: size, bytes of the gzip value, checkpoint that wrote it
 *   !meta!NUL name single facts (no path begins with NUL)
 *
 * Keys are those of the sublevels of the abstract-level family, so that other programs find them.
 */
import { type BytePath, isSafePath, LIMITS } from '../core/core.js';
import type { Checkpoint, Digest } from '../format/format.js';
import type { Meta, MetaChange } from './meta.js';

export type SnapshotTable = 'deltas' | 'hashes' | 'meta';

export const CHECKPOINT_NAME = '\0checkpoint';

/** What is known of a file without reading its content. */
export interface SnapshotFacts {
  readonly digest: Digest;
  readonly size: number;
  /** Bytes of the gzip value. */
  readonly stored: number;
  readonly sequence: number;
}

export function tableKey(table: SnapshotTable, name: string): Buffer {
  return Buffer.from(`!${table}!${name}`, 'latin1');
}

function tableRange(table: SnapshotTable): { readonly gte: Buffer; readonly lt: Buffer } {
  return { gte: Buffer.from(`!${table}!`, 'latin1'), lt: Buffer.from(`!${table}"`, 'latin1') };
}

/** Paths of a table in the order of their bytes. */
export async function* tablePaths(meta: Meta, table: SnapshotTable): AsyncGenerator<BytePath> {
  const skip = table.length + 2;
  for await (const keys of meta.rangeKeys(tableRange(table))) {
    for (const key of keys) yield key.toString('latin1', skip);
  }
}

/** Every file that can be read back; what makes no sense is left out and counted. */
export async function loadFacts(
  meta: Meta,
): Promise<{ readonly facts: Map<BytePath, SnapshotFacts>; readonly odd: number }> {
  const digests = new Map<BytePath, Digest>();
  for await (const entries of meta.range(tableRange('hashes'))) {
    for (const [key, value] of entries) {
      const text = value.toString('latin1');
      if (/^[0-9a-f]{64}$/.test(text)) digests.set(key.toString('latin1', '!hashes!'.length), Buffer.from(text, 'hex'));
    }
  }
  const facts = new Map<BytePath, SnapshotFacts>();
  let odd = 0;
  for await (const entries of meta.range(tableRange('meta'))) {
    for (const [key, value] of entries) {
      const path = key.toString('latin1', '!meta!'.length);
      if (path.startsWith('\0')) continue;
      const digest = digests.get(path);
      const numbers = parseNumbers(value);
      if (digest && numbers && isSafePath(path)) facts.set(path, { digest, ...numbers });
      else odd += 1;
    }
  }
  return { facts, odd };
}

function parseNumbers(value: Buffer): Omit<SnapshotFacts, 'digest'> | null {
  try {
    const { size, stored, sequence } = JSON.parse(value.toString('utf8')) as Record<string, unknown>;
    const count = (number: unknown): number => {
      if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) throw new RangeError();
      return number;
    };
    const found = { size: count(size), stored: count(stored), sequence: count(sequence) };
    return found.size <= LIMITS.fileBytes ? found : null;
  } catch {
    return null;
  }
}

/** The three values of a file. */
export function fileChanges(path: BytePath, value: Buffer, facts: SnapshotFacts): MetaChange[] {
  const { digest, ...numbers } = facts;
  return [
    { key: tableKey('deltas', path), value },
    { key: tableKey('hashes', path), value: Buffer.from(digest.toString('hex'), 'latin1') },
    { key: tableKey('meta', path), value: Buffer.from(JSON.stringify(numbers)) },
  ];
}

/** Takes a file away. */
export function fileRemovals(path: BytePath): MetaChange[] {
  return (['deltas', 'hashes', 'meta'] as const).map((table) => ({ key: tableKey(table, path), value: null }));
}

export function encodeNewest(checkpoint: Checkpoint): Buffer {
  return Buffer.from(JSON.stringify({ ...checkpoint, root: checkpoint.root.toString('hex') }));
}

/** Null when it makes no sense: it is then made again from the files. */
export function decodeNewest(value: Buffer): Checkpoint | null {
  try {
    const parsed = JSON.parse(value.toString('utf8')) as Checkpoint & { root: unknown };
    const { root, sequence, timeMs, tag } = parsed as unknown as Record<string, unknown>;
    const whole = typeof root === 'string' && typeof tag === 'string' && Number.isSafeInteger(sequence);
    return whole && typeof timeMs === 'number' ? { ...parsed, root: Buffer.from(root, 'hex') } : null;
  } catch {
    return null;
  }
}
