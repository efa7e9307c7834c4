import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noise } from './addon-door.js';

/** Runs one of the real programs over files; `make` gets a function that names a file in a fresh directory. */
function inDirectory<T>(body: (file: (name: string, bytes?: Uint8Array) => string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'dk-peers-'));
  try {
    return body((name, bytes) => {
      const path = join(directory, name);
      if (bytes !== undefined) writeFileSync(path, bytes);
      return path;
    });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function run(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (error !== undefined)
    throw new Error(`${program} is needed here (Debian: bsdiff, xdelta3, zstd): ${error.message}`);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr}`);
}

/** Delta made by the real bsdiff. */
export function realBsdiff(source: Uint8Array, target: Uint8Array): Buffer {
  return inDirectory((file) => {
    run('bsdiff', [file('source', source), file('target', target), file('delta')]);
    return readFileSync(file('delta'));
  });
}

/** Target made by the real bspatch. */
export function realBspatch(source: Uint8Array, delta: Uint8Array): Buffer {
  return inDirectory((file) => {
    run('bspatch', [file('source', source), file('target'), file('delta', delta)]);
    return readFileSync(file('target'));
  });
}

/** Delta made by the real xdelta3. @param options for example `-S none -n` */
export function realXdelta(source: Uint8Array, target: Uint8Array, options: readonly string[]): Buffer {
  return inDirectory((file) => {
    run('xdelta3', ['-e', '-f', ...options, '-s', file('source', source), file('target', target), file('delta')]);
    return readFileSync(file('delta'));
  });
}

/** Target made by the real xdelta3. */
export function realXdeltaDecode(source: Uint8Array, delta: Uint8Array): Buffer {
  return inDirectory((file) => {
    run('xdelta3', ['-d', '-f', '-s', file('source', source), file('delta', delta), file('target')]);
    return readFileSync(file('target'));
  });
}

/** Frame made by the real zstd. @param options for example `-19` */
export function realZstd(source: Uint8Array, target: Uint8Array, options: readonly string[]): Buffer {
  return inDirectory((file) => {
    const prefix = `--patch-from=${file('source', source)}`;
    run('zstd', ['-q', ...options, prefix, file('target', target), '-o', file('delta')]);
    return readFileSync(file('delta'));
  });
}

/** Target made by the real zstd, with the window that its command line allows by itself. */
export function realZstdDecode(source: Uint8Array, frame: Uint8Array): Buffer {
  return inDirectory((file) => {
    run('zstd', ['-q', '-d', `--patch-from=${file('source', source)}`, file('delta', frame), '-o', file('target')]);
    return readFileSync(file('target'));
  });
}

/** As an executable changes from one release to the next: code moves, and addresses in it change everywhere. */
export function nextRelease(source: Buffer, seed: number): Buffer {
  const picks = noise(64, seed);
  const parts: Buffer[] = [];
  let at = 0;
  for (let i = 0; i < 8; i += 1) {
    const end = Math.floor((source.length * (i + 1)) / 8);
    parts.push(noise((picks[i] as number) * 3, seed + i), source.subarray(at + (picks[i + 8] as number), end));
    at = end;
  }
  const target = Buffer.concat(parts);
  for (let i = 0; i < target.length - 4; i += 61 + ((picks[i % 64] as number) % 97)) {
    target.writeUInt32LE((target.readUInt32LE(i) + 0x120) >>> 0, i);
  }
  return target;
}

/** Pairs of real files that are on every machine with the programs, and made ones. */
export function realPairs(): [name: string, source: Buffer, target: Buffer][] {
  const node = readFileSync(process.execPath);
  const code = node.subarray(node.length >> 1, (node.length >> 1) + 2_300_000);
  const text = readFileSync(new URL('../../package-lock.json', import.meta.url));
  const names = readFileSync(new URL('../../THIRD-PARTY-NOTICES.md', import.meta.url));
  const edited = Buffer.from(text.toString('utf8').replaceAll('"MIT"', '"ISC"').replaceAll('4.0', '4.11'));
  return [
    ['two programs', readFileSync('/usr/bin/bsdiff'), readFileSync('/usr/bin/bspatch')],
    ['an executable and its next release', code, nextRelease(Buffer.from(code), 5)],
    ['a text edited throughout', text, edited],
    ['a text and another', text, names],
    ['a text and itself', text, text],
    ['appended', text, Buffer.concat([text, names])],
    ['prepended', names, Buffer.concat([text, names])],
    ['cut', code, code.subarray(700_000, 1_400_000)],
    ['noise with an insertion', noise(300_000, 1), Buffer.concat([noise(150_000, 1), names, noise(300_000, 1)])],
    ['zeros', Buffer.alloc(30_000), Buffer.alloc(20_001)],
    ['nothing to something', Buffer.alloc(0), names],
    ['something to nothing', names, Buffer.alloc(0)],
    ['one byte', Buffer.from('a'), Buffer.from('b')],
  ];
}
