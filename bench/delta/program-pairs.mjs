// Pairs that programs leave behind: a PostgreSQL data directory, the memory and the dump of a redis-server, a file
// system image. Each throws when its program is not installed. Servers listen on sockets in the folder alone.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { seeded } from './quick-pairs.mjs';

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {import('node:child_process').ExecFileSyncOptions} [options]
 */
const run = (command, args, options = {}) =>
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'], ...options });

/** Newest PostgreSQL of Debian's packages, which are not in PATH. */
function postgresPrograms() {
  const versions = fs.existsSync('/usr/lib/postgresql') ? fs.readdirSync('/usr/lib/postgresql') : [];
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  if (newest === undefined) throw new Error('not made: PostgreSQL is not installed');
  return `/usr/lib/postgresql/${newest}/bin`;
}

/**
 * @param {string} folder
 * @param {string} _root
 * @param {number} scale
 */
export function postgresDirectories(folder, _root, scale) {
  const bin = postgresPrograms();
  // The server refuses to run as root.
  const work = fs.mkdtempSync('/tmp/diffkeeper-pg-');
  const data = path.join(work, 'data');
  const asUser = (/** @type {string} */ program, /** @type {string[]} */ args) => {
    const call = [path.join(bin, program), ...args];
    if (process.getuid?.() === 0) run('runuser', ['-u', 'postgres', '--', ...call], { cwd: work, stdio: 'ignore' });
    else run(call[0], call.slice(1), { cwd: work, stdio: 'ignore' });
  };
  try {
    if (process.getuid?.() === 0) run('chown', ['postgres', work]);
    asUser('initdb', ['-D', data, '-A', 'trust', '-U', 'bench', '--no-sync']);
    const withServer = (/** @type {() => void} */ body) => {
      const options = `-c listen_addresses= -c unix_socket_directories=${work} -c autovacuum=off`;
      asUser('pg_ctl', ['-D', data, '-w', '-l', path.join(work, 'log'), '-o', options, 'start']);
      try {
        body();
      } finally {
        asUser('pg_ctl', ['-D', data, '-w', '-m', 'fast', 'stop']);
      }
    };
    const bench = (/** @type {string[]} */ ...args) =>
      asUser('pgbench', ['-h', work, '-U', 'bench', ...args, 'postgres']);
    const packed = (/** @type {string} */ name) =>
      run('tar', ['--sort=name', '-cf', path.join(folder, name), '-C', work, 'data']);
    withServer(() => bench('-q', '-i', '-s', scale < 1 ? '1' : '2'));
    packed('source');
    withServer(() => bench('--random-seed=7', '-n', '-t', '500'));
    packed('target');
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** Writes the writable private memory of a process: what a core dump of it would hold. */
const DUMP = `
import re, sys
pid, out = sys.argv[1], open(sys.argv[2], 'wb')
memory = open(f'/proc/{pid}/mem', 'rb', 0)
for line in open(f'/proc/{pid}/maps'):
    place, rights = line.split()[:2]
    if rights.startswith('rw') and '[v' not in line:
        begin, end = (int(x, 16) for x in place.split('-'))
        memory.seek(begin)
        try: out.write(memory.read(end - begin))
        except OSError: pass
`;

/**
 * @param {'memory' | 'rdb'} what
 * @returns {(folder: string, root: string, scale: number) => void}
 */
export function redisPair(what) {
  return (folder, _root, scale) => {
    const socket = path.join(folder, 'socket');
    const keys = Math.round(150_000 * scale);
    const random = seeded(55);
    const commands = (/** @type {number} */ count, /** @type {() => number} */ key) =>
      Array.from({ length: count }, () => {
        const value = Array.from({ length: 12 }, () => random(1e6).toString(36)).join(':');
        return `SET user:${key()}:profile id=${random(1e9)};tags=${value}\r\n`;
      }).join('');
    const server = spawn('redis-server', ['--port', '0', '--unixsocket', socket, '--dir', folder, '--save', ''], {
      stdio: 'ignore',
    });
    let gone = '';
    server.once('error', (error) => {
      gone = error.message;
    });
    const client = ['-s', socket];
    const fill = (/** @type {string} */ input) =>
      execFileSync('redis-cli', [...client, '--pipe'], { input, stdio: ['pipe', 'ignore', 'pipe'] });
    const kept = (/** @type {string} */ name) => {
      if (what === 'memory') return void run('python3', ['-c', DUMP, String(server.pid), path.join(folder, name)]);
      run('redis-cli', [...client, 'SAVE']);
      fs.renameSync(path.join(folder, 'dump.rdb'), path.join(folder, name));
    };
    try {
      if (server.pid === undefined) throw new Error(`not made: redis-server: ${gone || 'not installed'}`);
      execFileSync('timeout', [
        '20',
        'sh',
        '-c',
        `until redis-cli -s "${socket}" ping >/dev/null 2>&1; do sleep 0.1; done`,
      ]);
      let next = 0;
      fill(commands(keys, () => next++));
      kept('source');
      fill(commands(Math.round(keys / 50), () => random(keys)));
      kept('target');
    } finally {
      server.kill('SIGKILL');
      fs.rmSync(socket, { force: true });
    }
  };
}

/**
 * An image with some thousand files; then a tenth of them are written anew within it.
 * @param {string} folder
 * @param {string} _root
 * @param {number} scale
 */
export function ext4Images(folder, _root, scale) {
  const random = seeded(77);
  const files = path.join(folder, 'files');
  const image = (/** @type {string} */ name) => path.join(folder, name);
  fs.mkdirSync(files);
  const count = Math.round(2000 * scale);
  const content = () => {
    const words = Array.from({ length: 40 }, () => random(1e9).toString(36)).join(' ');
    const noise = Buffer.alloc(4 * (1000 + random(6000)));
    for (let i = 0; i < noise.length; i += 4) noise.writeUInt32LE(random(0xffffffff), i);
    return Buffer.concat([Buffer.from(words.repeat(1 + random(20))), noise]);
  };
  for (let i = 0; i < count; i += 1) fs.writeFileSync(path.join(files, `file-${i}`), content());
  const megabytes = Math.max(16, Math.round(128 * scale));
  const sameIds = [
    '-U',
    '6a1c9e6e-6f0b-4c62-9c4a-0a6f6f2d3b11',
    '-E',
    'hash_seed=6a1c9e6e-6f0b-4c62-9c4a-0a6f6f2d3b12',
  ];
  run('mkfs.ext4', ['-q', '-F', ...sameIds, '-d', files, image('source'), `${megabytes}M`]);
  fs.copyFileSync(image('source'), image('target'));
  const commands = [];
  for (let i = 0; i < count; i += 10) {
    const name = path.join(files, `file-${i}`);
    fs.writeFileSync(name, content());
    commands.push(`rm /file-${i}`, `write ${name} /file-${i}`);
  }
  const script = path.join(folder, 'commands');
  fs.writeFileSync(script, `${commands.join('\n')}\n`);
  run('debugfs', ['-w', '-f', script, image('target')]);
  fs.rmSync(files, { recursive: true });
  fs.rmSync(script);
}
