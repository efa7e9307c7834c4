/** What a tree holds, entry by entry, to prove that a restored one is the same; and what a store takes on disk. */
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** @typedef {Map<string, string>} Manifest Path below the tree's root -> type, mode, size, digest. */

const piece = Buffer.allocUnsafe(1 << 20);

/** @param {string} file */
function digestOf(file) {
  const hash = createHash('sha256');
  const handle = openSync(file, 'r');
  try {
    for (;;) {
      const length = readSync(handle, piece, 0, piece.length, null);
      if (length === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, length));
    }
  } finally {
    closeSync(handle);
  }
}

/** @param {string} path */
function describe(path) {
  const stat = lstatSync(path);
  const mode = (stat.mode & 0o7777).toString(8);
  if (stat.isDirectory()) return `directory ${mode}`;
  if (stat.isSymbolicLink()) return `link ${readlinkSync(path)}`;
  if (stat.isFile()) return `file ${mode} ${stat.size} ${digestOf(path)}`;
  return `special ${mode}`;
}

/**
 * Every entry below a directory; times are left out, because not every tool keeps them.
 * @param {string} root
 * @param {string} [except] a name at the top that does not count
 * @returns {Manifest}
 */
export function manifestOf(root, except) {
  /** @type {Manifest} */
  const manifest = new Map();
  /** @param {string} inner */
  const walk = (inner) => {
    for (const name of readdirSync(join(root, inner)).sort()) {
      if (inner === '' && name === except) continue;
      const path = inner === '' ? name : `${inner}/${name}`;
      const text = describe(join(root, path));
      manifest.set(path, text);
      if (text.startsWith('directory')) walk(path);
    }
  };
  walk('');
  return manifest;
}

/**
 * The first differences in words; empty when both trees are the same.
 * @param {Manifest} expected
 * @param {Manifest} actual
 */
export function differences(expected, actual) {
  const found = [];
  for (const [path, text] of expected) {
    const other = actual.get(path);
    if (other !== text) found.push(`${path}: expected ${text}, got ${other ?? 'nothing'}`);
  }
  for (const path of actual.keys()) if (!expected.has(path)) found.push(`${path}: not expected`);
  return found.length <= 3 ? found : [...found.slice(0, 3), `and ${found.length - 3} more`];
}

/**
 * Regular files below a directory: how many, their lengths together, the space they are allotted, the largest length.
 * @param {string} root
 */
export function usageOf(root) {
  const usage = { files: 0, bytes: 0, diskBytes: 0, largestBytes: 0 };
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const stat = lstatSync(join(entry.parentPath, entry.name));
    usage.files += 1;
    usage.bytes += stat.size;
    usage.diskBytes += stat.blocks * 512;
    usage.largestBytes = Math.max(usage.largestBytes, stat.size);
  }
  return usage;
}
