/** PostgreSQL as in its image: killed as a container is, its files lost, and started again, with the same numbers of processes. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { ensureBuilt, PROGRAM, type RunningCli, scratch, startProgram } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';
import { itIn, ownRoom } from '../sidecar/own-room.js';

const SERVERS = '/usr/lib/postgresql';
const programs = existsSync(SERVERS) ? join(SERVERS, readdirSync(SERVERS).sort().at(-1) ?? '', 'bin') : '/no';
const isRoot = process.getuid?.() === 0;
/** PostgreSQL refuses to run as root. */
const asUser = isRoot ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups', '--'] : [];
const room = ownRoom(
  [...(isRoot ? [] : ['--user', '--map-current-user']), '--pid', '--fork', '--mount-proc'],
  `${asUser.join(' ')} ${join(programs, 'postgres')} --version && ${asUser.join(' ')} test -r '${PROGRAM.at(-1)}'`,
);
/** As the entry of the official image: makes a database where there is none. */
const OFFICIAL = `#!/bin/sh
set -e
[ -s "$PGDATA/PG_VERSION" ] || ${programs}/initdb -D "$PGDATA" --auth=trust --username=postgres --no-sync >/dev/null
exec ${programs}/"$@" -k "$PGHOST" -c listen_addresses=
`;
/** Both lock files name a thread of process 1, as they do when the numbers fall so, and as they mostly do. */
const AS_IT_FALLS = `thread=$(ls /proc/1/task | sort -n | tail -1)
for lock in "$PGDATA/postmaster.pid" "$PGHOST"/.s.PGSQL.*.lock; do [ ! -e "$lock" ] || sed -i "1s/.*/$thread/" "$lock"; done
exec "$@"`;

let cwd = '';
let remove = async (): Promise<void> => {};
let running: RunningCli | undefined;
const at = (name: string): string => join(cwd, name);
beforeAll(ensureBuilt, 120_000);
beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  await end();
  await remove();
});

/** As `docker compose kill`: process 1, and with it everybody. `--kill-child` does not outlast a change of the user. */
async function end(): Promise<void> {
  if (running && running.process.exitCode === null) {
    const { pid } = running;
    const first = Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
    if (first > 0) process.kill(first, 'SIGKILL');
    else running.process.kill('SIGKILL');
  }
  await running?.ended;
  running = undefined;
}

function life(entry: string): RunningCli {
  const options = [`--state-dir=${at('state')}`, `--store=${at('store')}`, '--consistency=freeze'];
  const command = ['sh', '-c', AS_IT_FALLS, 'sh', entry, 'postgres'];
  const words = [...room.words, '--', ...asUser, ...PROGRAM, ...options, '--', ...command];
  const env = { PGDATA: at('state'), PGHOST: at('sockets'), PATH: `${at('bin')}:${process.env.PATH}` };
  running = startProgram('unshare', words, { cwd, env });
  return running;
}

/** Asks the server once it takes connections; `undefined` when it has ended. */
async function ask(one: RunningCli, sql: string): Promise<string | undefined> {
  let over = false;
  void one.ended.then(() => {
    over = true;
  });
  for (;;) {
    const words = ['-h', at('sockets'), '-U', 'postgres', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', sql];
    const { status, stdout } = spawnSync(join(programs, 'psql'), words, { encoding: 'utf8', cwd: '/' });
    if (status === 0) return stdout.trim();
    if (over) return undefined;
    await sleep(100);
  }
}

/** What was committed before is in a checkpoint. */
async function checkpoint(): Promise<void> {
  const asked = request({ socketPath: at('store/control.sock'), path: '/checkpoint', method: 'POST' }).end();
  const [answer] = await once(asked, 'response');
  answer.resume();
  expect(answer.statusCode).toBe(200);
}

itIn(
  room,
  'comes up in every life of its container, and without its entry script does not',
  async () => {
    for (const name of ['bin', 'sockets', 'state', 'store']) await mkdir(at(name));
    await writeFile(at('bin/docker-entrypoint.sh'), OFFICIAL, { mode: 0o755 });
    await copyFile(join(projectRoot, 'deploy/docker/postgres-entry.sh'), at('bin/postgres-entry.sh'));
    await chmod(at('state'), 0o700);
    if (isRoot) expect(spawnSync('chown', ['-R', 'postgres:postgres', cwd]).status).toBe(0);
    for (const number of [1, 2, 3]) {
      const one = life('postgres-entry.sh');
      const sql = `CREATE TABLE IF NOT EXISTS lives (number int); INSERT INTO lives VALUES (${number}); SELECT count(*) FROM lives`;
      const count = await ask(one, sql);
      expect(count).toBe(String(number));
      await checkpoint();
      await end();
      await rm(at('state'), { recursive: true });
      expect(existsSync(at('sockets/.s.PGSQL.5432.lock'))).toBe(true);
    }
    const bare = life('docker-entrypoint.sh');
    expect(await ask(bare, 'SELECT 1')).toBeUndefined();
    expect((await bare.ended).stderr).toMatch(/lock file ".*" already exists/);
  },
  180_000,
);
