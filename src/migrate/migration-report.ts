/**
 * The file `migration.json` in a store: where its first content came from, how far that got, and every entry that did
 * not come over as it should. Written before what it speaks of is committed, so that it never knows too little.
 */
import { readFile } from 'node:fs/promises';
import * as path from 'node:path';
import { fromSystemError, systemCode, writeFileDurable } from '../core/core.js';

export const REPORT_NAME = 'migration.json';
const REPORT_FORMAT = 1;

/** `structure`: part of the source itself. the others: one entry; see `docs/migration.md`. */
export type DamageKind = 'structure' | 'lost' | 'doubtful' | 'unverified' | 'recovered';

export interface MigrationDamage {
  readonly kind: DamageKind;
  /** Bytes of the name read as UTF-8; empty for `structure`. */
  readonly name: string;
  /** The name's bytes in base64; only when they are not UTF-8. */
  readonly nameBase64?: string;
  readonly reason: string;
  /** Directory below the store's quarantine that holds what there is of the entry. */
  readonly quarantine?: string;
  /** Group of entries that was being imported: an interrupted one is done again. */
  readonly group: number;
}

export interface MigratedPart {
  /** Files whose newest content came over. */
  readonly files: number;
  readonly versions: number;
  /** Content bytes of all versions. */
  readonly bytes: number;
}

export interface MigrationReport {
  /** `bolt`: a BoltDB file; `v1`: the store's own whole-file snapshots. */
  readonly source: {
    readonly kind: 'bolt' | 'v1';
    readonly path: string;
    readonly schema: number;
    readonly identity: string;
  };
  /** `with damage`: complete, but entries were lost. */
  readonly state: 'running' | 'complete' | 'with damage';
  /** What came over, group by group. */
  readonly parts: readonly MigratedPart[];
  readonly started: string;
  /** Empty while it is running. */
  readonly finished: string;
  readonly damage: readonly MigrationDamage[];
  /** The data it was made from was removed. */
  readonly finalized: boolean;
}

/** All parts together. */
export function migratedTotals({ parts }: MigrationReport): MigratedPart {
  const total = { files: 0, versions: 0, bytes: 0 };
  for (const part of parts) {
    total.files += part.files;
    total.versions += part.versions;
    total.bytes += part.bytes;
  }
  return total;
}

/** The report of a store; null when it was not made from an older one. @throws DK_IO */
export async function readMigrationReport(storePath: string): Promise<MigrationReport | null> {
  const file = path.join(storePath, REPORT_NAME);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error))) return null;
    throw fromSystemError(error, 'read', file);
  }
  try {
    const value = JSON.parse(text) as { format?: unknown } & MigrationReport;
    if (
      value.format !== REPORT_FORMAT ||
      !Array.isArray(value.damage) ||
      !Array.isArray(value.parts) ||
      typeof value.source !== 'object'
    )
      return null;
    const { format, ...report } = value;
    return report;
  } catch {
    // Half a report is no report: the import is then done again, which finds everything in place.
    return null;
  }
}

export async function writeMigrationReport(storePath: string, report: MigrationReport): Promise<void> {
  const file = path.join(storePath, REPORT_NAME);
  try {
    await writeFileDurable(file, Buffer.from(`${JSON.stringify({ format: REPORT_FORMAT, ...report })}\n`));
  } catch (error) {
    throw fromSystemError(error, 'write', file);
  }
}
