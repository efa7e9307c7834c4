/** One version, or two side by side: as text when both are, in hex otherwise. */
import { type BytePath, DiffKeeperError, pathToText } from '../core/core.js';
import { VERSION_TYPE, type Version } from '../format/format.js';
import type { Store, VersionReader } from '../store/store.js';
import { entryFacts, versionAt } from './entry-listing.js';
import { type HexRows, type HexSide, hexRows } from './hex-rows.js';
import { type TextRows, textRows } from './text-rows.js';
import { type Damage, damageOf } from './version-history.js';

/** Larger contents are shown in hex, a window at a time. */
const TEXT_BYTES_MAX = 1 << 20;

export interface ViewOptions {
  readonly path: BytePath;
  /** Checkpoint of the left side; undefined shows the right one alone. */
  readonly from: number | undefined;
  readonly to: number;
  /** Hex although it is text. */
  readonly hex: boolean;
  /** Hex: first byte. */
  readonly offset: number;
  /** Text: all equal lines, too. */
  readonly whole: boolean;
  readonly signal: AbortSignal;
}

interface ViewFacts {
  /** Facts of both sides, null for a side that does not exist. */
  readonly left: object | null;
  readonly right: object | null;
  readonly damaged?: Damage;
}

export type ContentView = ViewFacts &
  (({ readonly kind: 'text' } & TextRows) | ({ readonly kind: 'hex' } & HexRows) | { readonly kind: 'same' | 'none' });

function hasContent(version: Version | undefined): version is Version {
  return version?.type === VERSION_TYPE.file || version?.type === VERSION_TYPE.symlink;
}

/** Link texts are read like contents. */
function readerOf(store: Store, version: Version | undefined): HexSide {
  if (!hasContent(version)) return null;
  if (version.type === VERSION_TYPE.file) return store.reader(version);
  const reader: Pick<VersionReader, 'version' | 'extents' | 'read'> = {
    version,
    extents: async () => [],
    read: async (offset, length) => version.linkText.subarray(offset, offset + length),
  };
  return reader as VersionReader;
}

/** The text of a side; undefined when it is none. Throws what reading throws. */
async function textOf(side: HexSide): Promise<string | undefined> {
  if (side === null) return '';
  if (side.version.size > TEXT_BYTES_MAX) return undefined;
  const bytes = side.version.size === 0 ? Buffer.alloc(0) : await side.read(0, side.version.size);
  if (bytes.includes(0)) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Throws DK_NOT_FOUND when neither checkpoint has the path. What is damaged is part of the answer. */
export async function viewContent(store: Store, options: ViewOptions): Promise<ContentView> {
  const { path, from, to, signal } = options;
  const before = from === undefined ? undefined : await versionAt(store, path, from);
  const after = await versionAt(store, path, to);
  if (before === undefined && after === undefined) {
    throw new DiffKeeperError('DK_NOT_FOUND', 'neither checkpoint has this path', { path: pathToText(path) });
  }
  const facts = { left: before ? entryFacts(before) : null, right: after ? entryFacts(after) : null };
  if (!hasContent(before) && !hasContent(after)) return { ...facts, kind: 'none' };
  const both = from !== undefined;
  if (both && before?.digest && after?.digest?.equals(before.digest)) return { ...facts, kind: 'same' };
  const [left, right] = [readerOf(store, before), readerOf(store, after)];
  let damaged: Damage | undefined;
  if (!options.hex) {
    try {
      const [one, other] = [await textOf(left), await textOf(right)];
      if (one !== undefined && other !== undefined) {
        const context = both && !options.whole ? undefined : Number.POSITIVE_INFINITY;
        return { ...facts, kind: 'text', ...textRows(both ? one : other, other, context) };
      }
    } catch (error) {
      // In hex the stretches that can be read are shown.
      damaged = damageOf(error);
    }
  }
  const rows = await hexRows({ left, right, both, offset: options.offset, signal });
  return { ...facts, kind: 'hex', ...rows, ...(damaged ? { damaged } : {}) };
}
