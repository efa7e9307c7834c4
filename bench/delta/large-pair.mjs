#!/usr/bin/env node
// Makes a seeded pair of large files: FOLDER/source and FOLDER/target. The target is the source with 20 % of its 1 MiB
// blocks changed (half of these rewritten, half edited every 4 KiB), a tenth moved by half of the file, and one block
// inserted near the beginning, so that everything behind it is shifted.
//
//   node bench/delta/large-pair.mjs FOLDER [MiB]
import { createCipheriv } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';

const BLOCK = 1 << 20;
const [folder = 'large', mebibytes = '4768'] = process.argv.slice(2);
const blocks = Number(mebibytes);
mkdirSync(folder, { recursive: true });

const ZEROS = Buffer.alloc(BLOCK);

/** One block that does not compress, by its number. */
function noise(number) {
  const start = Buffer.alloc(16);
  start.writeUInt32LE(number);
  return createCipheriv('aes-128-ctr', Buffer.from('a key of 16 byte'), start).update(ZEROS);
}

/** Half noise, half text, as programs and databases are. */
function sourceBlock(number) {
  const block = noise(number);
  const text = `{"id":${number},"state":"kept","note":"row of a table that grows"},\n`;
  for (let at = 0; at < BLOCK; at += 8192) block.fill(text, at, at + 4096);
  return block;
}

/** What stands at block `i` of the target. */
function targetBlock(i) {
  const kind = (i * 7) % 10;
  if (kind === 3) return sourceBlock((i + (blocks >> 1)) % blocks);
  const block = kind === 5 ? noise(i + 1e6) : sourceBlock(i);
  if (kind === 8) for (let at = i % 4096; at < BLOCK; at += 4096) block[at] ^= 0x55;
  return block;
}

function write(name, blockOf) {
  const file = openSync(path.join(folder, name), 'w');
  for (let i = 0; i < blocks; i += 1) {
    if (name === 'target' && i === 3) writeSync(file, noise(2e6).subarray(0, 12_345));
    writeSync(file, blockOf(i));
  }
  closeSync(file);
}

write('source', sourceBlock);
write('target', targetBlock);
