/**
 * The naive way, one of the tools compared: every file gzipped, every time, with what a tree needs beside the bytes.
 *
 *   node gzip-copy.mjs pack STATE STORED | unpack STORED TARGET
 */
import {
  chmodSync,
  createReadStream,
  createWriteStream,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip, gunzipSync, gzipSync } from 'node:zlib';

/** Larger files go through a stream, so that memory stays small. */
const WHOLE_BYTES = 1 << 20;
const PIECE = { highWaterMark: 1 << 20 };

/**
 * @param {string} from
 * @param {string} to
 * @param {boolean} pack
 */
async function copyTree(from, to, pack) {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    const source = join(from, name);
    const stat = lstatSync(source);
    if (stat.isDirectory()) await copyTree(source, join(to, name), pack);
    else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(source), join(to, name));
    else if (stat.isFile()) await copyFile(source, join(to, pack ? `${name}.gz` : name.slice(0, -3)), stat, pack);
  }
  chmodSync(to, lstatSync(from).mode & 0o7777);
}

/**
 * @param {string} source
 * @param {string} target
 * @param {import('node:fs').Stats} stat
 * @param {boolean} pack
 */
async function copyFile(source, target, { size, mode }, pack) {
  if (size <= WHOLE_BYTES) {
    const bytes = readFileSync(source);
    writeFileSync(target, pack ? gzipSync(bytes) : gunzipSync(bytes), { mode });
  } else {
    const coder = pack
      ? createGzip({ chunkSize: PIECE.highWaterMark })
      : createGunzip({ chunkSize: PIECE.highWaterMark });
    await pipeline(createReadStream(source, PIECE), coder, createWriteStream(target, { mode }));
  }
  chmodSync(target, mode & 0o7777);
}

const [way, from = '', to = ''] = process.argv.slice(2);
await copyTree(from, to, way === 'pack');
