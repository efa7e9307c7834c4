/** PostgreSQL with checksums: pgbench moves money between accounts and keeps a journal. */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const CLIENTS = 4;
const ACCOUNTS = 1000;
const ROOT = '/usr/lib/postgresql';

const programs = () => join(ROOT, readdirSync(ROOT).sort().at(-1) ?? '', 'bin');
/** PostgreSQL refuses to run as root: then it runs as the user that its package made. */
const asUser = () =>
  process.getuid() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--'] : [];

function tool(name, ...args) {
  const words = [...asUser(), join(programs(), name), ...args];
  return spawnSync(words[0], words.slice(1), { encoding: 'utf8', cwd: '/', maxBuffer: 1 << 26 });
}

function must(name, ...args) {
  const result = tool(name, ...args);
  if (result.status !== 0) throw new Error(`${name} ended with ${result.status}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

const SCHEMA = `CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE journal (round text, client int, number int, amount int, note text, PRIMARY KEY (round, client, number));
CREATE INDEX ON account (balance);
INSERT INTO account SELECT i, 1000 FROM generate_series(1, ${ACCOUNTS}) i;
CREATE EXTENSION amcheck;`;

const transfer = (round) => `\\set number :number + 1
\\set one random(1, ${ACCOUNTS})
\\set other random(1, ${ACCOUNTS})
\\set amount random(1, 50)
BEGIN;
UPDATE account SET balance = balance - :amount WHERE id = least(:one, :other);
UPDATE account SET balance = balance + :amount WHERE id = greatest(:one, :other);
INSERT INTO journal VALUES ('${round}', :client_id, :number, :amount, repeat('n', :amount));
COMMIT;
`;

function commandOf({ state, run }) {
  const settings = { listen_addresses: '', unix_socket_directories: run, max_connections: 20, shared_buffers: '16MB' };
  // Many checkpoints of the server's own, and logs that are recycled.
  Object.assign(settings, {
    checkpoint_timeout: '30s',
    max_wal_size: '64MB',
    min_wal_size: '32MB',
    logging_collector: 'off',
  });
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  return [...asUser(), join(programs(), 'postgres'), '-D', join(state, 'db'), ...flags];
}

async function ready(run, ended) {
  for (let tries = 0; tries < 3000; tries += 1) {
    if (tool('pg_isready', '-h', run, '-q').status === 0) return;
    if (ended?.()) throw new Error('the server ended');
    await sleep(20);
  }
  throw new Error('postgres did not come up');
}

async function startAlone(facts) {
  const [program, ...args] = commandOf(facts);
  const server = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
  let log = '';
  let over = false;
  server.stderr.on('data', (part) => {
    log += part;
  });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  void ended.then(() => {
    over = true;
  });
  await ready(facts.run, () => over).catch((error) =>
    Promise.reject(new Error(`${error.message}: ${log.slice(-800)}`)),
  );
  return async () => {
    server.kill('SIGINT');
    await ended;
  };
}

async function prepare(facts) {
  const { state, run } = facts;
  mkdirSync(state, { recursive: true });
  if (process.getuid() === 0) {
    const [uid, gid] = ['-u', '-g'].map((flag) =>
      Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout),
    );
    for (const place of [state, run]) chownSync(place, uid, gid);
  }
  chmodSync(run, 0o777);
  must('initdb', '-D', join(state, 'db'), '--data-checksums', '--auth=trust', '--username=postgres', '--no-sync');
  const stop = await startAlone(facts);
  must('psql', '-h', run, '-U', 'postgres', '-q', '-v', 'ON_ERROR_STOP=1', '-c', SCHEMA);
  await stop();
}

/**
 * Lays so many more rows into the journal beside a running server, in parts with a rest between them, about as pgbench would
 * have written them; at the end nothing is left to be done about them: no dirty page, no table that wants to be cleaned.
 */
async function grow({ run }, { rows, parts, restMs }) {
  await ready(run);
  const words = ['psql', '-h', run, '-U', 'postgres', '-q', '-v', 'ON_ERROR_STOP=1'];
  const each = Math.ceil(rows / CLIENTS / parts);
  for (let part = 0; part < parts; part += 1) {
    const numbers = `generate_series(${part * each + 1}, ${(part + 1) * each}) number`;
    // Clients take turns in the table and stand apart in its index, a round of theirs after the other.
    const sql = `INSERT INTO journal SELECT 'grown' || number / 50000, client, number, 1 + number % 50, repeat('n', 1 + number % 50)
      FROM ${numbers}, generate_series(0, ${CLIENTS - 1}) client`;
    must(...words, '-c', sql);
    await sleep(restMs);
  }
  must(...words, '-c', 'VACUUM ANALYZE', '-c', 'CHECKPOINT');
}

/** Lines of pgbench's log: client, transaction of the client (the first is 1), duration, script, seconds, microseconds. */
function acknowledged(run) {
  const found = [];
  for (const name of readdirSync(run).filter((file) => file.startsWith('acks.'))) {
    for (const line of readFileSync(join(run, name), 'utf8').split('\n').slice(0, -1)) {
      const [client, number, , , seconds, micros] = line.split(' ').map(Number);
      found.push({ stream: String(client), number, timeMs: seconds * 1000 + micros / 1000 });
    }
  }
  return found;
}

async function load({ run, round }) {
  await ready(run);
  for (const name of readdirSync(run)) if (name.startsWith('acks.')) rmSync(join(run, name));
  const file = join(run, 'transfer.sql');
  writeFileSync(file, transfer(round));
  const words = [...asUser(), join(programs(), 'pgbench'), '-h', run, '-U', 'postgres', '-n', '-f', file, '-T', '600'];
  words.push(
    '-c',
    String(CLIENTS),
    '-j',
    '2',
    '-D',
    'number=0',
    '-D',
    `round=${round}`,
    '-l',
    `--log-prefix=${join(run, 'acks')}`,
  );
  const bench = spawn(words[0], [...words.slice(1), 'postgres'], { stdio: ['ignore', 'ignore', 'inherit'], cwd: '/' });
  const ended = new Promise((resolve) => bench.once('exit', resolve));
  const begun = ['-h', run, '-U', 'postgres', '-At', '-c', `SELECT 1 FROM journal WHERE round = '${round}' LIMIT 1`];
  for (let tries = 0; tries < 500 && !/1/.test(tool('psql', ...begun).stdout); tries += 1) await sleep(20);
  return {
    acknowledged: () => acknowledged(run),
    // It ends by itself when the server is gone, and writes out its log.
    stop: async () => {
      const timer = setTimeout(() => bench.kill('SIGINT'), 5000);
      await ended;
      clearTimeout(timer);
    },
  };
}

async function check(facts) {
  const { state, run, round } = facts;
  const problems = [];
  const highest = {};
  try {
    const stop = await startAlone(facts);
    try {
      const ask = (sql) => must('psql', '-h', run, '-U', 'postgres', '-At', '-c', sql).trim();
      const total = ask('SELECT count(*), sum(balance) FROM account');
      if (total !== `${ACCOUNTS}|${ACCOUNTS * 1000}`) problems.push(`accounts: ${total}`);
      const rows = ask(`SELECT client, count(*), max(number) FROM journal WHERE round = '${round}' GROUP BY client`);
      for (const row of rows.split('\n').filter(Boolean)) {
        const [client, count, last] = row.split('|');
        if (count !== last) problems.push(`client ${client}: ${count} entries, the last is ${last}`);
        highest[client] = Number(last);
      }
      const tables = tool('pg_amcheck', '-h', run, '-U', 'postgres', '--heapallindexed', 'postgres');
      if (tables.status !== 0) problems.push(`pg_amcheck: ${tables.stdout}${tables.stderr}`);
    } finally {
      await stop();
    }
    const sums = tool('pg_checksums', '--check', '-D', join(state, 'db'));
    if (sums.status !== 0) problems.push(`pg_checksums: ${sums.stdout}${sums.stderr}`);
  } catch (error) {
    problems.push(error.message);
  }
  return { problems, highest };
}

export const postgres = {
  name: 'postgres',
  prepare,
  grow,
  command: commandOf,
  load,
  check,
  available: () => existsSync(ROOT),
};
