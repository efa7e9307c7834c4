/** SQLite and LevelDB: the application itself writes, and says what was committed. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const script = (name) => fileURLToPath(new URL(name, import.meta.url));
/** The system's own interpreter: packages of the distribution are for that one. */
const PYTHON = '/usr/bin/python3';

function ledger(name, file, tools) {
  const program = script(file);
  return {
    name,
    prepare: () => {},
    command: ({ state, round }) => [PYTHON, program, 'run', state, round],
    /** Its lines `ack STREAM NUMBER MILLISECONDS` come through the sidecar's stdout. */
    load: async ({ lines }) => {
      const acks = () => lines().filter((line) => line.startsWith('ack '));
      for (let tries = 0; tries < 500 && acks().length === 0; tries += 1) await sleep(20);
      const acknowledged = () =>
        acks().map((line) => {
          const [, stream, number, timeMs] = line.split(' ');
          return { stream, number: Number(number), timeMs: Number(timeMs) };
        });
      return { acknowledged, stop: async () => {} };
    },
    check: async ({ state, round }) => {
      const result = spawnSync(PYTHON, [program, 'check', state, round], { encoding: 'utf8' });
      if (result.status !== 0)
        return { problems: [`check ended with ${result.status}: ${result.stderr}`], highest: {} };
      const report = JSON.parse(result.stdout);
      return { ...report, problems: [...report.problems, ...tools(state)] };
    },
  };
}

/** The shell of SQLite as a second opinion. */
function sqliteTool(state) {
  const result = spawnSync('sqlite3', [join(state, 'ledger.sqlite'), 'PRAGMA integrity_check'], { encoding: 'utf8' });
  return result.stdout.trim() === 'ok' ? [] : [`integrity_check: ${result.stdout}${result.stderr}`];
}

export const sqlite = ledger('sqlite', 'sqlite-ledger.py', sqliteTool);
export const leveldb = ledger('leveldb', 'leveldb-ledger.py', () => []);
