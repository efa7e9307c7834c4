/** After a rebuild: what is damaged, what it reaches, and what of it is put aside. Packs are never changed. */
import { join } from 'node:path';
import { fromSystemError, LIMITS, pathToText, writeFileDurable } from '../core/core.js';
import { PACK_HEADER_BYTES } from '../format/format.js';
import { keepNewestAside, placeAside } from './aside.js';
import type { Isolated } from './isolate.js';
import { type LossParts, look, lookForLosses, noteLosses } from './losses.js';
import { packName } from './pack-names.js';
import { scanPack } from './pack-scan.js';
import { quarantineReport } from './quarantine-report.js';
import type { TailParts } from './tail.js';
import type { DamageReport, RebuildOptions, RebuildReport, VerifyOptions } from './types.js';

type RepairParts = LossParts & Pick<TailParts, 'quarantine' | 'guard'>;

/** Longest stretch that is copied. */
const STRETCH_MAX = 64 << 20;

/** What there is to tell after a rebuild; with `check` all of it. What is lost is written down in any case. */
export async function tellLosses(
  parts: RepairParts,
  rebuilt: RebuildReport,
  options: RebuildOptions & { readonly isolated: readonly Isolated[] },
): Promise<RebuildReport> {
  if (options.check) {
    const report = await repairStore(parts, rebuilt, options);
    return { ...report, quarantine: await quarantineReport(parts.quarantine) };
  }
  await lookForLosses(parts);
  return rebuilt;
}

/** The report of a rebuild, with everything that verifying finds afterwards. */
async function repairStore(
  parts: RepairParts,
  rebuilt: RebuildReport,
  { isolated, ...options }: VerifyOptions & { readonly isolated: readonly Isolated[] },
): Promise<RebuildReport> {
  const looked = await look(parts, options);
  const { damage } = looked;
  // The rebuild knows of torn ends and roots, and of versions, that are gone from the packs by now.
  const known = new Set(damage.map(({ kind, where }) => `${kind} ${where}`));
  const kinds = new Set(['checkpoint', 'root', 'version', 'unreadable']);
  const before = [...isolated.flatMap((one) => one.damage), ...rebuilt.damage];
  const all = [...before.filter(({ kind }) => kinds.has(kind)), ...damage].filter(
    (one, index, list) => index >= list.length - damage.length || !known.has(`${one.kind} ${one.where}`),
  );
  const { droppedBlobs, lostHeads } = await noteLosses(parts, looked);
  if (all.length === 0) return { ...rebuilt, damage: [], droppedBlobs, lostHeads, quarantined: [] };
  const stretches = await keepStretches(parts, damage);
  // The report names files: in an encrypted store nobody gets it but the caller.
  const files = [...isolated.map(({ file }) => file), ...stretches];
  const quarantined = parts.guard.sealed ? files : [...files, await writeReport(parts, all)];
  await keepNewestAside(parts.quarantine, 'repair', LIMITS.repairReports).catch(() => {});
  return { ...rebuilt, damage: all, droppedBlobs, lostHeads, quarantined };
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
