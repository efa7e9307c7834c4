/** Opens the file of a pack for reading, and tells what it is: its header is checked, and the groups of a dense one are found. */
import { type FileHandle, open } from 'node:fs/promises';
import { DiffKeeperError, fromSystemError, readFully, systemCode } from '../core/core.js';
import { checkPackHeader, PACK_HEADER_BYTES } from '../format/format.js';
import { findGroups } from './dense-find.js';
import { DensePack, type OpenGroups } from './dense-pack.js';
import type { PackFacts } from './pack-facts.js';
import { packName } from './pack-names.js';
import { isUnreadable } from './unreadable-blocks.js';

export interface OpenFile {
  readonly handle: FileHandle;
  /** Null for a plain pack. */
  readonly dense: DensePack | null;
  /** The disk did not give all that says what it is. */
  readonly partial: boolean;
  /** What is wrong with its header, or null: that is a small part of a pack, and the others are checked by themselves. */
  readonly damage: DiffKeeperError | null;
}

/** Throws DK_CORRUPT_PACK for a pack that is missing or another's, DK_STORE_FORMAT_NEWER, DK_IO. */
export async function openPack(
  facts: PackFacts,
  { pack, file }: { readonly pack: number; readonly file: string },
  opened: OpenGroups,
): Promise<OpenFile> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') {
      throw new DiffKeeperError('DK_CORRUPT_PACK', `pack ${packName(pack)} is missing`, { path: file });
    }
    throw fromSystemError(error, 'open', file);
  }
  try {
    const { storeId, checksum } = facts;
    const { header, damage } = await readHeader(facts, pack, handle);
    const home = { storeId, checksum, pack };
    const { groups, short, partial } = await findGroups({ handle, header: damage ? null : header }, home);
    const dense = groups && new DensePack({ ...facts, home, opened }, { handle, header, groups, short });
    return { handle, dense, partial, damage };
  } catch (error) {
    await handle.close();
    throw fromSystemError(error, 'read', file);
  }
}

/** As far as it can be read. */
async function readHeader(
  { storeId, checksum }: PackFacts,
  pack: number,
  handle: FileHandle,
): Promise<{ readonly header: Buffer; readonly damage: DiffKeeperError | null }> {
  const room = Buffer.alloc(PACK_HEADER_BYTES);
  let header: Buffer;
  try {
    header = room.subarray(0, await readFully(handle, room, 0));
  } catch (error) {
    const damage = fromSystemError(error, 'read', `the header of pack ${packName(pack)}`);
    if (!isUnreadable(damage)) throw damage;
    return { header: Buffer.alloc(0), damage };
  }
  return { header, damage: checkPackHeader(header, pack, storeId, checksum) };
}
