/** Door of the room `migrate`: stores of the older system, read and brought over. */
export { type Backup, type BackupKind, type BackupOptions, type BackupSnapshot, openBackup } from './backup.js';
export { type ExportOptions, type ExportReport, exportBolt } from './export-bolt.js';
export { type ExportSink, exportTar } from './export-tar.js';
export { finalizeMigration } from './finalize.js';
export {
  type DamageKind,
  type MigratedPart,
  type MigrationDamage,
  type MigrationReport,
  migratedTotals,
  readMigrationReport,
} from './migration-report.js';
export { importedStorePath, type OpenOptions, openStoreOrImport, openStoreToRead } from './open-or-import.js';
export { unpackTar } from './unpack-tar.js';
