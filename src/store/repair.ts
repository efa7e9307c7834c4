/** After a rebuild: what is damaged, what it reaches, and what of it is put aside. Packs are never changed. */
import { join } from 'node:path';
import { fromSystemError, pathToText, writeFileDurable } from '../core/core.js';
import { PACK_HEADER_BYTES } from '../format/format.js';
import { placeAside } from './aside.js';
import type { Isolated } from './isolate.js';
import { blobKey } from './meta-keys.js';
import { packName } from './pack-names.js';
import { scanPack } from './pack-scan.js';
import type { TailParts } from './tail.js';
import type { DamageReport, RebuildReport, VerifyOptions } from './types.js';
import { type VerifyParts, verifyStore } from './verify.js';

type RepairParts = VerifyParts & Pick<TailParts, 'meta' | 'quarantine' | 'guard'>;

/** Longest stretch that is copied. */
const STRETCH_MAX = 64 << 20;

/** The report of a rebuild, with everything that verifying finds afterwards. */
export async function repairStore(
  parts: RepairParts,
  rebuilt: RebuildReport,
  { isolated, ...options }: VerifyOptions & { readonly isolated: readonly Isolated[] },
): Promise<RebuildReport> {
  const { damage } = await verifyStore(parts, options);
  // The rebuild knows of torn ends and roots, and of versions, that are gone from the packs by now.
  const known = new Set(damage.map(({ kind, where }) => `${kind} ${where}`));
  const kinds = new Set(['checkpoint', 'root', 'version', 'unreadable']);
  const before = [...isolated.flatMap((one) => one.damage), ...rebuilt.damage];
  const all = [...before.filter(({ kind }) => kinds.has(kind)), ...damage].filter(
    (one, index, list) => index >= list.length - damage.length || !known.has(`${one.kind} ${one.where}`),
  );
  if (all.length === 0) return { ...rebuilt, damage: [], droppedBlobs: 0, quarantined: [] };
  const droppedBlobs = await dropUnreadable(parts, damage);
  const stretches = await keepStretches(parts, damage);
  // The report names files: in an encrypted store nobody gets it but the caller.
  const files = [...isolated.map(({ file }) => file), ...stretches];
  const quarantined = parts.guard.sealed ? files : [...files, await writeReport(parts, all)];
  return { ...rebuilt, damage: all, droppedBlobs, quarantined };
}

/** A capture that finds the same bytes again must store them, and so mends the older versions, too. */
async function dropUnreadable(parts: RepairParts, damage: readonly DamageReport[]): Promise<number> {
  const digests = damage.filter(({ kind }) => kind === 'blob').map(({ where }) => Buffer.from(where, 'hex'));
  let dropped = 0;
  for (const digest of digests) {
    const [info] = await parts.blobs.infos([digest]);
    const [bytes] = await parts.blobs.read([digest]);
    if (!info || Buffer.isBuffer(bytes)) continue;
    await parts.meta.write([{ key: blobKey(digest), value: null }], true);
    dropped += 1;
  }
  return dropped;
}

/** Copies of what is no record any more, for whoever wants to look at it. Gives their paths. */
async function keepStretches(parts: RepairParts, damage: readonly DamageReport[]): Promise<string[]> {
  const files: string[] = [];
  for (const pack of await parts.packs.list()) {
    const name = packName(pack);
    if (!damage.some(({ kind, where }) => kind === 'record' && where.startsWith(name))) continue;
    const end = await parts.packs.length(pack);
    for await (const found of scanPack(parts.packs, { pack, from: PACK_HEADER_BYTES, end })) {
      if (found.kind !== 'damage') continue;
      for (const { offset, bytes } of await parts.packs.fileStretches(pack, found)) {
        const file = join(parts.quarantine, `damaged-${name}-${offset}`);
        if (bytes > STRETCH_MAX || files.includes(file)) continue;
        await keep(file, await parts.packs.readFile(pack, offset, bytes));
        files.push(file);
      }
    }
  }
  return files;
}

async function writeReport(parts: RepairParts, damage: readonly DamageReport[]): Promise<string> {
  const shown = damage.map(({ affected, ...facts }) => ({
    ...facts,
    affected: affected.map(({ path, sequence }) => ({
      path: pathToText(path),
      pathBase64: Buffer.from(path, 'latin1').toString('base64'),
      sequence,
    })),
  }));
  const file = placeAside(parts.quarantine, 'repair');
  await keep(file, Buffer.from(`${JSON.stringify({ time: new Date().toISOString(), damage: shown }, null, 1)}\n`));
  return file;
}

async function keep(file: string, bytes: Uint8Array): Promise<void> {
  await writeFileDurable(file, bytes).catch((error: unknown) => {
    throw fromSystemError(error, 'write', file);
  });
}
