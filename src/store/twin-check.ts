/** Files that stand twice in a store: one that is lost costs nothing, until the other one is lost as well. */
import * as path from 'node:path';
import { fromSystemError, isDiffKeeperError } from '../core/core.js';
import { decodeRing } from '../crypt/crypt.js';
import { readKeyFiles, replaceUnreadableKeys } from './key-files.js';
import { mendMarker, readMarkerFiles } from './marker-files.js';
import type { OpenFacts } from './open-store.js';
import { quarantineReport } from './quarantine-report.js';
import type { DamageReport, VerifyReport } from './types.js';

/** Those that cannot be read, or are damaged; opening a store for writing mends what is damaged, and `repair` both. */
async function twinDamage({ paths, marker }: OpenFacts): Promise<DamageReport[]> {
  const damage: DamageReport[] = [];
  const add = (file: string, message: string): void => {
    const where = path.basename(file);
    damage.push({ kind: 'file', where, message: `${message}; the other one of the two is used`, affected: [] });
  };
  try {
    for (const { file, unreadable, trouble } of await readMarkerFiles(paths)) {
      if (unreadable) add(file, unreadable.message);
      else if (trouble) add(file, trouble.message);
    }
    const keys = marker.encryption === undefined ? [] : await readKeyFiles(paths.root);
    for (const { file, unreadable, bytes } of keys) {
      if (unreadable) add(file, unreadable.message);
      else if (bytes && !decodeRing(bytes)) add(file, 'it is damaged');
    }
  } catch (error) {
    if (!isDiffKeeperError(error)) throw error;
    damage.push({ kind: 'file', where: 'the marker', message: error.message, affected: [] });
  }
  return damage;
}

/** A report with what is wrong with these files as well, and what lies in the quarantine. */
export async function withTwins(report: VerifyReport, facts: OpenFacts): Promise<VerifyReport> {
  const quarantine = await quarantineReport(facts.paths.quarantine);
  return { ...report, damage: [...(await twinDamage(facts)), ...report.damage], quarantine };
}

/**
 * Writes those anew that cannot be read, or are damaged. A marker file that cannot be written is told to the log alone: the
 * store can be used without, and the next opening tries again. Throws as `findMarker` when no marker file can be used any
 * more, and DK_IO or DK_DISK_FULL for a key file.
 */
export async function mendTwins(facts: OpenFacts): Promise<void> {
  const { paths, marker } = facts;
  try {
    await mendMarker(paths, { ...facts, unreadableToo: true });
    if (marker.encryption !== undefined) await replaceUnreadableKeys(paths.root, marker.id, paths.quarantine);
  } catch (error) {
    throw fromSystemError(error, 'write the marker or the keys of', paths.root);
  }
}
