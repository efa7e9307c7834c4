/**
 * A marker that is lost in both files, or contradicted by the packs, written anew from what the packs say: each names
 * its store in its header, and any record tells the algorithm of its digest. What is left over, the seed of page hashes
 * and the time of creation, decides nothing: with another seed, large files are read once more.
 */
import * as path from 'node:path';
import { DiffKeeperError, isDiffKeeperError, randomBytes } from '../core/core.js';
import type { StoreKeys } from '../crypt/crypt.js';
import type { HashAlgo } from '../engine/engine.js';
import {
  CIPHER,
  ENCRYPTED_FORMAT,
  encodeMarker,
  type Marker,
  PACK_HEADER_BYTES,
  RECORD_MAGIC,
  SEALED_MAGIC,
  STORE_FORMAT,
} from '../format/format.js';
import { openKeys, storesOfKeys } from './key-files.js';
import { headOf, readMarkerFiles, storesOfPacks, writeMarker } from './marker-files.js';
import type { OpenTools } from './open-store.js';
import { packFacts } from './pack-facts.js';
import { scanPack } from './pack-scan.js';
import { Packs } from './packs.js';
import { decodeMetaRecord } from './replay.js';
import type { StorePaths } from './store-files.js';
import type { StoreOptions } from './types.js';

const ALGORITHMS: readonly HashAlgo[] = ['blake3', 'sha256'];
/** Records that are tried before packs count as unreadable. */
const TRIES = 1000;

/** What is known of the store without its marker. */
interface Evidence {
  readonly id: string;
  /** Names of the packs that name it, ascending. */
  readonly packs: readonly string[];
}

/**
 * Finds out what the marker said, and writes both files; only for who owns the store.
 *
 * @throws DK_NO_STORE when the packs do not say it, or name several stores; DK_KEY_*, DK_IO
 */
export async function restoreMarker(paths: StorePaths, options: StoreOptions, tools: OpenTools): Promise<Marker> {
  const files = await readMarkerFiles(paths);
  const hint = files.find(({ marker }) => marker !== null)?.marker ?? null;
  const { id, packs } = await evidenceOf(paths, tools);
  const sealed = (await isSealed(paths, packs)) ?? (await storesOfKeys(paths.root)).includes(id);
  const keys = sealed ? await openKeys(paths.root, id, options.key) : null;
  const known: Marker = {
    format: sealed ? ENCRYPTED_FORMAT : STORE_FORMAT,
    id,
    hashAlgo: hint?.hashAlgo ?? options.hashAlgo ?? 'blake3',
    seed: hint?.seed ?? randomBytes(16).toString('hex'),
    created: hint?.created ?? new Date(tools.clock.nowMs()).toISOString(),
    ...(sealed && { encryption: CIPHER }),
  };
  const marker = { ...known, hashAlgo: await provenAlgo(paths, packs, { ...tools, marker: known, keys }) };
  await writeMarker(paths, encodeMarker(marker), { ...tools, unreadableToo: true });
  tools.logger.warn({ id, hashAlgo: marker.hashAlgo }, 'the marker of the store was lost: written anew from its packs');
  return marker;
}

/** The one store that packs name, or key files when there is no pack. */
async function evidenceOf(paths: StorePaths, { checksum }: OpenTools): Promise<Evidence> {
  const stores = new Map<string, string[]>();
  for await (const { name, store } of storesOfPacks(paths, checksum)) {
    stores.set(store, [...(stores.get(store) ?? []), name]);
  }
  if (stores.size === 0) for (const store of await storesOfKeys(paths.root)) stores.set(store, []);
  const [only, other] = stores;
  if (!only) throw unknown(paths, 'no pack has a whole header that says which store this is');
  if (other) throw unknown(paths, `its packs are of ${stores.size} stores (${only[1][0]} and ${other[1][0]} differ)`);
  return { id: only[0], packs: only[1] };
}

function unknown({ root }: StorePaths, reason: string): DiffKeeperError {
  const message = `the marker of the store ${root} is lost and cannot be written anew: ${reason}; put DIFFKEEPER back from a copy`;
  return new DiffKeeperError('DK_NO_STORE', message, { path: root });
}

/** Whether records are sealed, by the first that can be told; null when there is none. */
async function isSealed({ packs }: StorePaths, names: readonly string[]): Promise<boolean | null> {
  for (const name of names) {
    const head = await headOf(path.join(packs, name), PACK_HEADER_BYTES + 4);
    const magic = head.length === PACK_HEADER_BYTES + 4 ? head.readUInt32LE(PACK_HEADER_BYTES) : 0;
    if (magic === RECORD_MAGIC || magic === SEALED_MAGIC) return magic === SEALED_MAGIC;
  }
  return null;
}

/** The algorithm that a record's digest is made with; that of the marker when nothing is stored. */
async function provenAlgo(
  paths: StorePaths,
  names: readonly string[],
  facts: OpenTools & { readonly marker: Marker; readonly keys: StoreKeys | null },
): Promise<HashAlgo> {
  const packs = new Packs(paths.packs, packFacts(facts));
  let tries = 0;
  try {
    for (const name of names) {
      const pack = Number.parseInt(name, 10);
      const range = { pack, from: PACK_HEADER_BYTES, end: await packs.length(pack) };
      for await (const found of scanPack(packs, range)) {
        if (++tries > TRIES) break;
        if (found.kind !== 'record') continue;
        for (const algo of ALGORITHMS) {
          if (await fits(() => decodeMetaRecord(facts.engine, algo, found.record))) return algo;
        }
      }
    }
  } finally {
    await packs.close();
  }
  if (tries > 0) throw unknown(paths, 'no record tells which digest it has');
  return facts.marker.hashAlgo;
}

async function fits(decode: () => Promise<unknown>): Promise<boolean> {
  try {
    await decode();
    return true;
  } catch (error) {
    if (isDiffKeeperError(error, 'DK_CORRUPT_RECORD')) return false;
    throw error;
  }
}
