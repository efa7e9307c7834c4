/**
 * The application of the demo: a small bank that keeps changing its state, the
 * way real services do. State directory: a SQLite ledger in WAL mode, JSON
 * settings rewritten through a temporary file, an append-only event log. Each
 * committed ledger row is acknowledged to a file outside the state directory,
 * as a client would be told; so it can be proven later what may be missing.
 *
 *   node app.mjs --state-dir=DIR --acks=FILE [--seconds=N]   works until N seconds are over (default: for ever)
 *   node app.mjs --state-dir=DIR --check                     opens the state, checks it, prints the findings as JSON
 */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { seeded } from './seeded.mjs';

const ACCOUNTS = 20_000;
/** Rows inserted before the first acknowledgement, so that the database has some size from the start. */
const HISTORY_ROWS = 60_000;
const ROWS_PER_TICK = 4;
const TICK_MS = 4;
const WORDS = 'rent food fuel books music travel gift salary refund insurance repair energy water school'.split(' ');

/** Each row carries the digest of the row before it: a lost or doubled row cannot hide. */
function chain(previous, row) {
  const text = `${previous}|${row.sequence}|${row.account}|${row.cents}|${row.note}`;
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

function openDatabase(stateDir) {
  mkdirSync(stateDir, { recursive: true });
  const database = new Database(join(stateDir, 'ledger.db'));
  database.pragma('journal_mode = WAL');
  // Enough against kill -9; against power loss of the machine the checkpoint's own sync counts.
  database.pragma('synchronous = NORMAL');
  database.exec(`
    CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, owner TEXT NOT NULL, cents INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS ledger (
      sequence INTEGER PRIMARY KEY, account INTEGER NOT NULL, cents INTEGER NOT NULL, note TEXT NOT NULL,
      link TEXT NOT NULL);
    CREATE INDEX IF NOT EXISTS ledger_by_account ON ledger (account, sequence);`);
  return database;
}

class Bank {
  constructor(stateDir, acksPath) {
    this.stateDir = stateDir;
    this.database = openDatabase(stateDir);
    this.acks = acksPath === undefined ? undefined : openSync(acksPath, 'a');
    const last = this.database.prepare('SELECT sequence, link FROM ledger ORDER BY sequence DESC LIMIT 1').get();
    this.sequence = last?.sequence ?? 0;
    this.link = last?.link ?? '';
    this.random = seeded(1 + this.sequence);
    this.insert = this.database.prepare('INSERT INTO ledger VALUES (@sequence, @account, @cents, @note, @link)');
    this.book = this.database.prepare('UPDATE account SET cents = cents + ? WHERE id = ?');
    this.transaction = this.database.transaction((count) => this.#addRows(count));
    if (this.sequence === 0) this.#fill();
  }

  #fill() {
    const add = this.database.prepare('INSERT INTO account VALUES (?, ?, 0)');
    this.database.transaction(() => {
      for (let id = 1; id <= ACCOUNTS; id += 1) add.run(id, `${WORDS[id % WORDS.length]} keeper ${id}`);
    })();
    this.transaction(HISTORY_ROWS);
    this.database.pragma('wal_checkpoint(TRUNCATE)');
  }

  #addRows(count) {
    for (let index = 0; index < count; index += 1) {
      const row = {
        sequence: this.sequence + 1,
        account: 1 + this.random(ACCOUNTS),
        cents: this.random(200_001) - 100_000,
        note: `${WORDS[this.random(WORDS.length)]} ${WORDS[this.random(WORDS.length)]} no. ${this.random(10_000)}`,
      };
      const link = chain(this.link, row);
      this.insert.run({ ...row, link });
      this.book.run(row.cents, row.account);
      this.sequence = row.sequence;
      this.link = link;
    }
  }

  /** One request: commit, then tell the client, then the event log, now and then the settings. */
  tick(number) {
    this.transaction(ROWS_PER_TICK);
    if (this.acks !== undefined) writeSync(this.acks, `${this.sequence} ${Date.now()}\n`);
    const time = new Date().toISOString();
    appendFileSync(join(this.stateDir, 'events.log'), `${time} booked rows up to ${this.sequence}\n`);
    if (number % 25 === 0) this.#saveSettings(time);
  }

  #saveSettings(time) {
    const names = ['service', 'limits', 'features'];
    const name = names[this.random(names.length)];
    const path = join(this.stateDir, 'config', `${name}.json`);
    mkdirSync(dirname(path), { recursive: true });
    const values = Object.fromEntries(
      WORDS.map((word, index) => [word, { enabled: index % 3 !== 0, limit: 100 * index }]),
    );
    const text = `${JSON.stringify({ name, updated: time, sequence: this.sequence, values }, null, 2)}\n`;
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }

  close() {
    this.database.close();
    if (this.acks !== undefined) closeSync(this.acks);
  }
}

/** What the state holds after a restart: SQLite's own check, then ours. */
function check(stateDir) {
  const database = openDatabase(stateDir);
  const integrity = database.pragma('integrity_check', { simple: true });
  let link = '';
  let rows = 0;
  let chainBreak = null;
  const sums = new Map();
  for (const row of database.prepare('SELECT * FROM ledger ORDER BY sequence').iterate()) {
    rows += 1;
    link = chain(link, row);
    if (chainBreak === null && (row.sequence !== rows || row.link !== link)) chainBreak = row.sequence;
    sums.set(row.account, (sums.get(row.account) ?? 0) + row.cents);
  }
  const accounts = database.prepare('SELECT id, cents FROM account').all();
  const wrongBalances = accounts.filter(({ id, cents }) => (sums.get(id) ?? 0) !== cents).length;
  database.close();
  const events = readFileSync(join(stateDir, 'events.log'), 'utf8').trimEnd().split('\n');
  const logged = Number(events.at(-1)?.match(/up to (\d+)$/)?.[1]);
  const settings = ['service', 'limits', 'features'].map((name) => {
    try {
      return JSON.parse(readFileSync(join(stateDir, 'config', `${name}.json`), 'utf8')).sequence;
    } catch (error) {
      return error.code === 'ENOENT' ? 0 : -1;
    }
  });
  return { integrity, rows, chainBreak, wrongBalances, logged, events: events.length, settings };
}

const { values } = parseArgs({
  options: {
    'state-dir': { type: 'string' },
    acks: { type: 'string' },
    seconds: { type: 'string' },
    check: { type: 'boolean', default: false },
  },
});
const stateDir = values['state-dir'];
if (stateDir === undefined) throw new TypeError('--state-dir is needed');
if (values.check) {
  console.log(JSON.stringify(check(stateDir)));
} else {
  const bank = new Bank(stateDir, values.acks);
  if (values.acks !== undefined) writeFileSync(`${values.acks}.pid`, String(process.pid));
  const end = Date.now() + Number(values.seconds ?? Number.POSITIVE_INFINITY) * 1000;
  for (let number = 1; Date.now() < end; number += 1) {
    bank.tick(number);
    await sleep(TICK_MS);
  }
  bank.close();
}
