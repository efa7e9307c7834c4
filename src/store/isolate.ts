/**
 * Packs with blocks that the disk does not give any more. A copy with zeros in their place takes the name of such a pack,
 * so that everything else goes on as with any damage; the pack itself stays as it is, in the quarantine: who gets the
 * blocks back one day, by whatever means, has them there.
 */
import { basename } from 'node:path';
import { AppendFile, fromSystemError, type Logger, linkDurable, renameDurable } from '../core/core.js';
import { DENSE_PACK_VERSION } from '../format/format.js';
import { placeAside } from './aside.js';
import { packName } from './pack-names.js';
import type { Packs } from './packs.js';
import type { DamageReport } from './types.js';
import { isUnreadable, UnreadableBlocks } from './unreadable-blocks.js';

const STEP_BYTES = 1 << 20;

export interface Isolated {
  readonly damage: readonly DamageReport[];
  /** Where the pack is now. */
  readonly file: string;
}

interface IsolateParts {
  readonly packs: Packs;
  readonly quarantine: string;
  readonly logger: Logger;
}

/** When the disk does not give something the packs that it is in are put aside, and it is tried again. @param isolated which ones they were */
export async function orIsolate<T>(work: () => Promise<T>, parts: IsolateParts, isolated: Isolated[]): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    isolated.push(...(await isolateUnreadable(parts)));
    // What was found of packs while the disk did not give them does not count any more.
    for (const pack of await parts.packs.list()) await parts.packs.forget(pack);
    return work();
  }
}

/**
 * Reads every pack to its end, and replaces those that cannot be read. Who appends has to open the pack again. Throws
 * DK_IO, DK_DISK_FULL: what is not replaced then is as it was.
 */
async function isolateUnreadable(parts: IsolateParts): Promise<Isolated[]> {
  const isolated: Isolated[] = [];
  for (const pack of await parts.packs.list()) {
    const end = await parts.packs.fileBytes(pack);
    const blocks = new UnreadableBlocks((offset, bytes) => parts.packs.readFile(pack, offset, bytes));
    for (let offset = 0; offset < end; offset += STEP_BYTES) {
      await blocks.read(offset, Math.min(STEP_BYTES, end - offset));
    }
    if (blocks.holes.length > 0) isolated.push(await isolate(parts, pack, { blocks, end }));
  }
  return isolated;
}

async function isolate(
  { packs, quarantine, logger }: IsolateParts,
  pack: number,
  { blocks, end }: { readonly blocks: UnreadableBlocks; readonly end: number },
): Promise<Isolated> {
  const name = packName(pack);
  const copy = placeAside(quarantine, `copy-of-${name}`);
  const file = placeAside(quarantine, `unreadable-${name}`);
  try {
    await writeCopy(copy, await headOf(packs, pack, blocks), { blocks, end });
    // Under both names at first: at no moment is there no pack.
    await linkDurable(packs.file(pack), file);
    await packs.forget(pack);
    await renameDurable(copy, packs.file(pack));
  } catch (error) {
    throw fromSystemError(error, 'put aside', packs.file(pack));
  }
  logger.warn({ pack, file }, 'a pack cannot be read everywhere: it is put aside, a copy of the rest takes its place');
  const damage = blocks.holes.map(({ offset, bytes }): DamageReport => {
    const message = `${bytes} bytes: the disk does not give them; the pack is in quarantine as ${basename(file)}`;
    return { kind: 'unreadable', where: `${name} at byte ${offset}`, message, affected: [] };
  });
  return { damage, file };
}

/** What a pack begins with is known, whatever the disk gives. */
async function headOf(packs: Packs, pack: number, blocks: UnreadableBlocks): Promise<Buffer> {
  const header = packs.header(pack, (await packs.isDense(pack)) ? DENSE_PACK_VERSION : undefined);
  return blocks.lostOf(0, header.length) > 0 ? header : Buffer.alloc(0);
}

async function writeCopy(
  copy: string,
  head: Buffer,
  { blocks, end }: { readonly blocks: UnreadableBlocks; readonly end: number },
): Promise<void> {
  const output = await AppendFile.create(copy);
  try {
    for (let offset = 0; offset < end; offset += STEP_BYTES) {
      const bytes = await blocks.read(offset, Math.min(STEP_BYTES, end - offset));
      if (offset === 0) head.copy(bytes);
      await output.append([bytes]);
    }
    await output.sync();
  } finally {
    await output.close();
  }
}
