/**
 * Imports every BoltDB file of a directory with a MANIFEST.json, copies of which are too large for the repository, and
 * compares what comes out with the digests of the original files (`*.files.json`).
 *
 *   npm run check:bolt -- DIRECTORY
 */
import { createHash } from 'node:crypto';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  importedStorePath,
  migratedTotals,
  openStoreOrImport,
  pathFromText,
  readMigrationReport,
} from '../dist/esm/index.js';

const directory = process.argv[2];
if (directory === undefined) throw new Error('which directory?');
const read = (name) => JSON.parse(readFileSync(join(directory, name), 'utf8'));
const work = mkdtempSync(join(tmpdir(), 'dk-bolt-fixtures-'));
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** @returns {Promise<string>} what came of one file; throws when content is wrong or missing */
async function check({ file, files, expect }) {
  const copy = join(work, file);
  copyFileSync(join(directory, file), copy);
  chmodSync(copy, 0o600);
  let store;
  try {
    store = await openStoreOrImport(copy);
  } catch (error) {
    if (files) throw error;
    return `${error.code}: ${error.message.replaceAll(work, '')} (expected: ${expect})`;
  }
  for (const wanted of files ? read(files) : []) {
    const [head] = await store.heads([pathFromText(wanted.path)]);
    const bytes = head && (await store.reader(head).read(0, head.size));
    if (!bytes || sha256(bytes) !== wanted.sha256) throw new Error(`${file}: ${wanted.path} is wrong or missing`);
  }
  await store.close();
  if (sha256(readFileSync(copy)) !== sha256(readFileSync(join(directory, file))))
    throw new Error(`${file} was changed`);
  const report = await readMigrationReport(importedStorePath(copy));
  const totals = migratedTotals(report);
  return `${report.state}: ${totals.files} files, ${totals.versions} versions, ${report.damage.length} mentioned (expected: ${expect})`;
}

try {
  for (const entry of read('MANIFEST.json')) console.log(`${entry.file}  ${await check(entry)}`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
