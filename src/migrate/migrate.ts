/** Door of the room `migrate`: stores of the older system, read and brought over. */
export { finalizeMigration } from './finalize.js';
export {
  type DamageKind,
  type MigratedPart,
  type MigrationDamage,
  type MigrationReport,
  migratedTotals,
  readMigrationReport,
} from './migration-report.js';
export { importedStorePath, type OpenOptions, openStoreOrImport } from './open-or-import.js';
