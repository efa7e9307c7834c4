/** Figures of a store. */
import * as path from 'node:path';
import { directoryBytes, isDiffKeeperError, LIMITS } from '../core/core.js';
import { RECORD } from '../format/format.js';
import { decodeBlobInfo } from './blob-index.js';
import { kindFacts } from './dictionary-list.js';
import { Heads } from './heads.js';
import { KEY_LETTER, prefixRange } from './meta-keys.js';
import { type LivenessParts, packLiveness } from './pack-liveness.js';
import type { Packs } from './packs.js';
import type { StatsOptions, Store, StoreStats } from './types.js';

export async function measureStore(store: Store, parts: LivenessParts, options: StatsOptions): Promise<StoreStats> {
  const depths: number[] = [];
  let blobs = 0;
  let uniqueBytes = 0;
  let deltaBytes = 0;
  let compressionBytes = 0;
  let dictionaryBytes = 0;
  for await (const entries of parts.meta.range(prefixRange(Buffer.from([KEY_LETTER.blob])))) {
    for (const [key, value] of entries) {
      const info = decodeBlobInfo(value, key.subarray(1));
      const { kind, dictionary } = kindFacts(info.kind);
      if (kind !== RECORD.blob) continue;
      blobs += 1;
      uniqueBytes += info.decodedBytes;
      if (dictionary) dictionaryBytes += info.decodedBytes - info.recordBytes;
      else if (info.depth > 0) deltaBytes += info.decodedBytes - info.recordBytes;
      else compressionBytes += info.decodedBytes - info.recordBytes;
      const depth = Math.min(info.depth, LIMITS.chainDepthMax);
      while (depths.length <= depth) depths.push(0);
      depths[depth] = (depths[depth] as number) + 1;
    }
  }
  let checkpoints = 0;
  let versions = 0;
  let originalBytes = 0;
  for await (const checkpoint of parts.history.checkpoints(-1)) {
    checkpoints += 1;
    versions += checkpoint.changed;
    originalBytes += checkpoint.changedBytes;
  }
  const { packBytes, denseBytes } = await measurePacks(parts.packs);
  const dedupBytes = Math.max(0, originalBytes - uniqueBytes);
  return {
    path: store.path,
    id: store.id,
    hashAlgo: store.hashAlgo,
    encrypted: store.guard.sealed,
    checkpoints,
    entries: store.newest?.entries ?? 0,
    files: await countFiles(parts),
    treeBytes: store.newest?.treeBytes ?? 0,
    versions,
    blobs,
    packBytes,
    metaBytes: await directoryBytes(path.join(store.path, 'meta')),
    originalBytes,
    depths,
    savings: {
      dedupBytes,
      deltaBytes,
      compressionBytes,
      dictionaryBytes,
      denseBytes,
      otherBytes: packBytes - originalBytes + dedupBytes + deltaBytes + compressionBytes + dictionaryBytes + denseBytes,
    },
    ...(options.liveness && { packs: await packLiveness(parts) }),
  };
}

async function measurePacks(packs: Packs): Promise<{ readonly packBytes: number; readonly denseBytes: number }> {
  let packBytes = 0;
  let denseBytes = 0;
  for (const pack of await packs.list()) {
    // A prune may remove a pack at this very moment.
    const bytes = await packs.fileBytes(pack).catch(() => 0);
    const length = await packs.length(pack).catch(() => bytes);
    packBytes += bytes;
    denseBytes += Math.max(0, length - bytes);
  }
  return { packBytes, denseBytes };
}

async function countFiles({ meta }: LivenessParts): Promise<number | null> {
  try {
    return await new Heads(meta).countFiles();
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_CORRUPT_INDEX')) return null;
    throw error;
  }
}
