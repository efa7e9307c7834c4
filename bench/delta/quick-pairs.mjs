// The pairs of files that `quick.mjs` measures, made once from seeds (and npm
// packages) into a folder. Each is `<name>/source` and `<name>/target`.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

/** Small seeded generator (xorshift32): the same pairs on every machine. */
export function seeded(seed) {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % limit;
  };
}

function noise(bytes, seed) {
  const random = seeded(seed);
  const out = Buffer.alloc(bytes);
  for (let i = 0; i + 4 <= bytes; i += 4) out.writeUInt32LE(random(0xffffffff), i);
  return out;
}

const WORDS = 'state delta source target window byte store read write open close file name value index page'.split(' ');

function logLines(bytes, seed) {
  const random = seeded(seed);
  const lines = [];
  let length = 0;
  let time = 1_700_000_000_000;
  while (length < bytes) {
    time += random(900);
    const words = Array.from({ length: 3 + random(6) }, () => WORDS[random(WORDS.length)]).join(' ');
    const line = `${new Date(time).toISOString()} [${random(64)}] ${['INFO', 'WARN', 'DEBUG'][random(3)]} request=${random(1e9).toString(16)} ${words} took ${random(5000)}us\n`;
    lines.push(line);
    length += line.length;
  }
  return Buffer.from(lines.join(''));
}

function configText(entries, seed, edits) {
  const random = seeded(seed);
  const change = seeded(seed + 77);
  const lines = [];
  for (let i = 0; i < entries; i += 1) {
    const word = WORDS[random(WORDS.length)];
    let value = random(100_000);
    if (change(entries) < edits) value += 1 + change(50);
    lines.push(
      `  - name: ${word}-${i}`,
      `    image: registry/${word}:${1 + random(9)}.${random(30)}`,
      `    replicas: ${value}`,
    );
  }
  return Buffer.from(`services:\n${lines.join('\n')}\n`);
}

const SQLITE = `
import random, sqlite3, sys, shutil
folder, percent, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
db = sqlite3.connect(folder + '/source')
db.execute('pragma page_size=4096'); db.execute('pragma journal_mode=off')
db.execute('create table t(id integer primary key, name text, body blob, n integer)')
rows = 60000
words = 'state delta source target window byte store read write open close'.split()
db.executemany('insert into t values(?,?,?,?)', ((i, ' '.join(r.choice(words) for _ in range(6)), r.randbytes(120) + b'x' * r.randrange(300), r.randrange(10**9)) for i in range(rows)))
db.execute('create index byname on t(name)'); db.commit(); db.close()
shutil.copy(folder + '/source', folder + '/target')
db = sqlite3.connect(folder + '/target'); db.execute('pragma journal_mode=off')
for i in r.sample(range(rows), int(rows / 9 * percent / 100)):
    db.execute('update t set n = ?, body = ? where id = ?', (r.randrange(10**9), r.randbytes(120) + b'y' * r.randrange(200), i))
db.commit(); db.close()
`;

function sqlitePair(folder, percent) {
  execFileSync('python3', ['-c', SQLITE, folder, String(percent), '7'], { stdio: 'inherit' });
}

function withInserts(source, count, seed) {
  const random = seeded(seed);
  const at = Array.from({ length: count }, () => random(source.length)).sort((a, b) => a - b);
  const parts = [];
  let from = 0;
  for (const [i, cut] of at.entries()) {
    parts.push(source.subarray(from, cut), noise(4 + 4 * random(12), seed + i + 1));
    from = cut;
  }
  return Buffer.concat([...parts, source.subarray(from)]);
}

/** One file out of a published npm package; packages are kept in the folder. */
function fromPackage(root, name, version, file) {
  const store = path.join(root, 'npm');
  fs.mkdirSync(store, { recursive: true });
  const tarball = path.join(store, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
  if (!fs.existsSync(tarball)) execFileSync('npm', ['pack', `${name}@${version}`, '--silent'], { cwd: store });
  if (file === undefined) return execFileSync('gzip', ['-dc', tarball], { maxBuffer: 1 << 30 });
  return execFileSync('tar', ['-xzOf', tarball, `package/${file}`], { maxBuffer: 1 << 30 });
}

const put = (folder, source, target) => {
  fs.writeFileSync(path.join(folder, 'source'), source);
  fs.writeFileSync(path.join(folder, 'target'), target);
};
const released = (name, before, after, file) => (folder, root) =>
  put(folder, fromPackage(root, name, before, file), fromPackage(root, name, after, file));

/** Name of each pair and how it is made: `make(folder, root)`. */
export const PAIRS = {
  'config-yaml': (folder) => put(folder, configText(800, 5, 0), configText(800, 5, 12)),
  'config-large': (folder) => put(folder, configText(9000, 6, 0), configText(9000, 6, 90)),
  'text-edit': released('typescript', '5.6.2', '5.6.3', 'lib/typescript.js'),
  'text-minor': released('typescript', '5.6.3', '5.7.2', 'lib/typescript.js'),
  'package-tar': released('typescript', '5.6.2', '5.6.3'),
  'executable-go': released('@esbuild/linux-x64', '0.25.0', '0.25.1', 'bin/esbuild'),
  'executable-rust': released('@biomejs/cli-linux-x64', '1.9.3', '1.9.4', 'biome'),
  'sqlite-1': (folder) => sqlitePair(folder, 1),
  'sqlite-10': (folder) => sqlitePair(folder, 10),
  'shifted-insert': (folder) => {
    const source = logLines(40 << 20, 3);
    put(folder, source, Buffer.concat([source.subarray(0, 5000), noise(70_000, 4), source.subarray(5000)]));
  },
  'append-log': (folder) => {
    const target = logLines(48 << 20, 9);
    put(folder, target.subarray(0, 45 << 20), target);
  },
  'noise-inserts': (folder) => {
    const source = noise(32 << 20, 21);
    put(folder, source, withInserts(source, 300, 22));
  },
  'noise-new': (folder) => put(folder, noise(8 << 20, 31), noise(8 << 20, 32)),
  'memory-like': (folder) => {
    const source = Buffer.alloc(32 << 20);
    const random = seeded(41);
    for (let at = 0; at < source.length; at += 64 + 16 * random(20)) {
      source.writeBigUInt64LE(0x7f3a00000000n + BigInt(random(1 << 26) * 16), at & ~7);
      source.write(WORDS[random(WORDS.length)], (at & ~7) + 16, 'latin1');
    }
    const target = Buffer.from(source);
    for (let i = 0; i < 60_000; i += 1) {
      const at = random(target.length - 64) & ~15;
      if (random(3) === 0) target.copy(target, at, (at + random(1 << 20)) % (target.length - 256), at + 64);
      else target.writeUInt32LE(random(0xffffffff), at);
    }
    put(folder, source, target);
  },
};

/** Makes the pairs that are not there yet. */
export function makePairs(root, names) {
  for (const name of names) {
    const folder = path.join(root, name);
    const done = path.join(folder, 'done');
    if (fs.existsSync(done)) continue;
    fs.rmSync(folder, { recursive: true, force: true });
    fs.mkdirSync(folder, { recursive: true });
    PAIRS[name](folder, root);
    fs.writeFileSync(done, '');
  }
}
