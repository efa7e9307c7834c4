/** What `soak-send.mjs` does with programs and files. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const running = new Set();

/** Runs a program whose words are kept. @param {string} program @param {readonly string[]} words */
export function start(program, words) {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part) => (text += part));
  const ended = new Promise((resolve) => child.on('close', (code) => resolve(code)));
  running.add(child);
  child.once('close', () => running.delete(child));
  const kill = () => {
    child.kill('SIGKILL');
    return ended;
  };
  return { child, ended, kill, text: () => text };
}

/** Ends all that was started and still runs. */
export function killAll() {
  for (const child of running) child.kill('SIGKILL');
}

/** @param {string} path */
export const digestOf = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Bytes of the one file on its way that a receiver has written and noted. @param {string} directory where its files go */
export function notedBytes(directory) {
  const partial = join(directory, '.diffkeeper-partial');
  const journal = existsSync(partial) ? readdirSync(partial).find((name) => name.endsWith('.have')) : undefined;
  if (journal === undefined) return 0;
  const bytes = readFileSync(join(partial, journal));
  const pieces = [];
  for (let at = 0; at + 16 <= bytes.length; at += 16)
    pieces.push([Number(bytes.readBigUInt64LE(at)), Number(bytes.readBigUInt64LE(at + 8))]);
  pieces.sort((left, right) => left[0] - right[0]);
  let sum = 0;
  let end = 0;
  for (const [offset, length] of pieces) {
    sum += Math.max(0, offset + length - Math.max(end, offset));
    end = Math.max(end, offset + length);
  }
  return sum;
}
