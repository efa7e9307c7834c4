/** A SQLite database under real transactions. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { VersionTrials, versionCount } from '../lib/version-trials.mjs';

const BYTES = 256 << 20;
const CHANGES = 10;
const UPDATES = 1500;
const UPDATES_PER_TRANSACTION = 50;
const DEMO = fileURLToPath(new URL('../../demo/', import.meta.url));
const requireDemo = createRequire(join(DEMO, 'app.mjs'));

const loads = () =>
  spawnSync(process.execPath, ['-e', "new (require('better-sqlite3'))(':memory:')"], { cwd: DEMO }).status === 0;

/** Opens a database of the demo's SQLite package; installs it the first time, as the demo does. */
function openDatabase() {
  if (!loads()) {
    console.error('installing SQLite for the benchmark (compiled from source, about a minute)');
    const prefix = resolve(dirname(process.execPath), '..');
    const headers = existsSync(join(prefix, 'include', 'node', 'node.h')) ? { npm_config_nodedir: prefix } : {};
    const env = { ...process.env, npm_config_build_from_source: 'true', npm_config_audit: 'false', ...headers };
    const install = spawnSync('npm', ['ci'], { cwd: DEMO, env, encoding: 'utf8' });
    if (install.status !== 0 || !loads()) throw new Error(`better-sqlite3 cannot be had: ${install.stderr}`);
  }
  const Database = requireDemo('better-sqlite3');
  return (/** @type {string} */ file) => {
    const database = new Database(file);
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = NORMAL');
    return database;
  };
}

/**
 * Columns of a row that an update gives new values.
 * @param {SeededRandom} random
 */
const mutable = (random) => [
  random.below(1_000_000),
  `${random.words(6 + random.below(12))} ${random.bytes(8).toString('hex')}`,
];

/** One database, its rows, and the transactions that lead from version to version. */
class Ledger {
  #open = openDatabase();
  #rows = 0;
  #base = '';

  /**
   * Makes the first version once; every trial starts from a copy of it.
   * @param {string} base
   * @param {number} bytes
   */
  build(base, bytes) {
    if (this.#base === base) return;
    const random = new SeededRandom('sqlite 1');
    const database = this.#open(base);
    database.exec(`
      CREATE TABLE account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, email TEXT NOT NULL, cents INTEGER NOT NULL,
        note TEXT NOT NULL, history TEXT NOT NULL);
      CREATE INDEX account_by_email ON account (email);`);
    const insert = database.prepare('INSERT INTO account (owner, email, cents, note, history) VALUES (?, ?, ?, ?, ?)');
    const fill = database.transaction((/** @type {number} */ count) => {
      for (let row = 0; row < count; row += 1) {
        const email = `${random.words(1)}.${random.bytes(5).toString('hex')}@example.org`;
        insert.run(
          random.words(2),
          email,
          ...mutable(random),
          `${random.words(20)} ${random.bytes(60).toString('base64')}`,
        );
      }
      this.#rows += count;
    });
    while (database.pragma('page_count', { simple: true }) * 4096 < bytes) fill(500);
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
    this.#base = base;
  }

  /** @param {string} file */
  copyTo(file) {
    copyFileSync(this.#base, file);
  }

  /**
   * @param {string} file
   * @param {number} version
   * @param {number} updates
   */
  work(file, version, updates) {
    const random = new SeededRandom(`sqlite ${version}`);
    const database = this.#open(file);
    const update = database.prepare('UPDATE account SET cents = ?, note = ? WHERE id = ?');
    const some = database.transaction((/** @type {number} */ count) => {
      for (let done = 0; done < count; done += 1) update.run(...mutable(random), 1 + random.below(this.#rows));
    });
    for (let left = updates; left > 0; left -= UPDATES_PER_TRANSACTION) some(Math.min(left, UPDATES_PER_TRANSACTION));
    database.pragma('wal_checkpoint(TRUNCATE)');
    database.close();
  }
}

/** @param {number} scale */
const updatesOf = (scale) => Math.max(10, Math.round(UPDATES * scale));

/** @type {import('../lib/bench-types.js').Scenario} */
export const sqlite = {
  name: 'sqlite',
  title: 'A SQLite database',
  laterName: 'capture after updates of random rows',
  describe: (scale, quick) =>
    `A SQLite database of ${Math.round((BYTES * scale) / (1 << 20))} MiB (one table, one index); ${versionCount(CHANGES + 1, quick) - 1} later versions, each after ` +
    `${updatesOf(scale)} updates of random rows in transactions of ${UPDATES_PER_TRANSACTION} and \`wal_checkpoint(TRUNCATE)\`.`,
  lacks: () => (loads() ? undefined : 'SQLite for Node is not installed (`npm ci` in demo/, which compiles it)'),
  needsBytes: (scale) => scale * BYTES * 30,
  run: (context) => {
    const ledger = new Ledger();
    const base = join(context.workspace.place('sqlite'), 'base.db');
    return new VersionTrials(
      {
        name: 'sqlite',
        versions: CHANGES + 1,
        make: (state, scale) => {
          ledger.build(base, BYTES * scale);
          ledger.copyTo(join(state, 'ledger.db'));
        },
        change: (state, version, scale) => ledger.work(join(state, 'ledger.db'), version, updatesOf(scale)),
        removeAfterTrial: true,
      },
      context,
    ).run();
  },
};
