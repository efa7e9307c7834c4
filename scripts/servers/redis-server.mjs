/** Redis with an append-only file: transactions over a socket, many rewrites of the file by forked children. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const ACCOUNTS = 200;
const CLIENTS = 4;

function commandOf({ state, run }) {
  const words = ['redis-server', '--port', '0', '--unixsocket', join(run, 'redis.sock'), '--dir', state];
  // `always`: what is acknowledged is in the file. Rewritten often, by a child of the server.
  words.push('--appendonly', 'yes', '--appendfsync', 'always', '--auto-aof-rewrite-min-size', '64kb');
  words.push('--auto-aof-rewrite-percentage', '50', '--save', '2 100', '--logfile', join(run, 'redis.log'));
  return words;
}

/** One connection: sends a batch of commands, gives the text of the replies once the last has come. */
class Client {
  #socket;
  #text = '';
  #wake = () => {};
  closed = false;

  constructor(path) {
    this.#socket = createConnection(path);
    this.#socket.setEncoding('utf8').on('data', (part) => {
      this.#text += part;
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** Replies to MULTI ... EXEC end with the array of EXEC; null when the server is gone. */
  async transact(commands) {
    this.#text = '';
    const all = ['MULTI', ...commands, 'EXEC'];
    this.#socket.write(all.map((command) => `${command}\r\n`).join(''));
    const whole = new RegExp(`\\*${commands.length}\\r\\n(:-?\\d+\\r\\n|\\+OK\\r\\n){${commands.length}}$`);
    while (!whole.test(this.#text)) {
      if (this.closed) return null;
      await new Promise((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#text;
  }

  end() {
    this.#socket.destroy();
  }
}

async function connected(run) {
  const path = join(run, 'redis.sock');
  for (let tries = 0; tries < 1000; tries += 1) {
    if (existsSync(path)) {
      const ping = spawnSync('redis-cli', ['-s', path, 'PING'], { encoding: 'utf8' });
      if (ping.stdout.trim() === 'PONG') return path;
    }
    await sleep(20);
  }
  throw new Error('redis did not come up');
}

async function load({ run, round, random }) {
  const path = await connected(run);
  const acknowledged = [];
  const clients = Array.from({ length: CLIENTS }, () => new Client(path));
  const working = clients.map(async (client, index) => {
    const stream = `${round}-${index}`;
    for (let number = 1; ; number += 1) {
      const amount = 1 + random(50);
      const note = 'n'.repeat(random(300));
      const commands = [
        `HINCRBY accounts a${random(ACCOUNTS)} -${amount}`,
        `HINCRBY accounts a${random(ACCOUNTS)} ${amount}`,
        `SET note:${random(500)} x${note}`,
        `HSET journal ${stream} ${number}`,
        `RPUSH log:${stream} ${number}`,
      ];
      if ((await client.transact(commands)) === null) return;
      acknowledged.push({ stream, number, timeMs: Date.now() });
    }
  });
  return {
    acknowledged: () => acknowledged,
    stop: async () => {
      for (const client of clients) client.end();
      await Promise.all(working);
    },
  };
}

async function check({ state, run, round }) {
  const manifest = join(state, 'appendonlydir', 'appendonly.aof.manifest');
  const problems = [];
  // Killed before the server had made its file.
  if (existsSync(manifest)) {
    const tool = spawnSync('redis-check-aof', [manifest], { encoding: 'utf8' });
    if (tool.status !== 0 || !/is valid/.test(tool.stdout))
      problems.push(`redis-check-aof: ${tool.stdout}${tool.stderr}`);
  }
  const server = spawn(commandOf({ state, run })[0], commandOf({ state, run }).slice(1), { stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  try {
    const path = await Promise.race([
      connected(run),
      ended.then((code) => Promise.reject(new Error(`exit code ${code}`))),
    ]);
    const ask = (...words) =>
      spawnSync('redis-cli', ['-s', path, ...words], { encoding: 'utf8', maxBuffer: 1 << 26 }).stdout;
    const sum = ask('HVALS', 'accounts')
      .split('\n')
      .reduce((total, value) => total + Number(value), 0);
    if (sum !== 0) problems.push(`the accounts add up to ${sum}`);
    const highest = {};
    for (let index = 0; index < CLIENTS; index += 1) {
      const stream = `${round}-${index}`;
      highest[stream] = Number(ask('HGET', 'journal', stream));
      const log = ask('LRANGE', `log:${stream}`, '0', '-1').trim().split('\n').filter(Boolean);
      const gap = log.findIndex((text, position) => Number(text) !== position + 1);
      if (gap >= 0 || log.length !== highest[stream]) {
        problems.push(`${stream}: ${log.length} entries, last ${highest[stream]}, gap at ${gap}`);
      }
      ask('DEL', `log:${stream}`);
    }
    return { problems, highest };
  } catch (error) {
    return { problems: [...problems, `redis-server does not start: ${error.message}`], highest: {} };
  } finally {
    server.kill('SIGTERM');
    await ended;
  }
}

export const redis = { name: 'redis', prepare: () => {}, command: commandOf, load, check };
