/**
 * The two ends of `soak-send.mjs` that send states, each to be killed at any moment; and the content that both know.
 *
 *   node scripts/soak-send-ends.mjs receive DIRECTORY KEYS     keeps the newest state of a key as a file
 *   node scripts/soak-send-ends.mjs send PORT KEYS NUMBER      sends the states behind this one, for ever
 */
import { existsSync } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createReceiver, createSender, isDiffKeeperError, StateDecoder, StateEncoder } from '../dist/esm/index.js';

export const KEY_NAME = 'soak';
const STATE_BYTES = 2 << 20;
const CHANGES = 16;
const PAUSE_MS = 5;

/** Bytes that do not compress. @param {number} size @param {number} seed */
export function noise(size, seed) {
  const words = new Uint32Array(size / 4);
  let state = (Math.imul(seed + 1, 2654435761) ^ 0x9e3779b9) >>> 0 || 1;
  for (let at = 0; at < words.length; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return Buffer.from(words.buffer);
}

let made = { number: 0, bytes: noise(STATE_BYTES, 7) };
made.bytes.writeUInt32LE(0, 0);

/** The state of a number, which stands in its first four bytes; the buffer is used again. @param {number} number */
export function stateOf(number) {
  if (number < made.number) {
    made = { number: 0, bytes: noise(STATE_BYTES, 7) };
    made.bytes.writeUInt32LE(0, 0);
  }
  const { bytes } = made;
  while (made.number < number) {
    made.number += 1;
    for (let change = 0; change < CHANGES; change += 1) {
      const value = Math.imul(made.number * CHANGES + change, 2654435761) >>> 0;
      bytes.writeUInt32LE(value, 4096 + (value % (STATE_BYTES / 4096 - 1)) * 4096);
    }
    bytes.writeUInt32LE(made.number, 0);
  }
  return bytes;
}

/** @param {object} facts */
const say = (facts) => process.stdout.write(`${JSON.stringify(facts)}\n`);

/** @param {string} file */
async function trustOf(file) {
  const [name, hex] = (await readFile(file, 'utf8')).trim().split(':');
  return { keys: new Map([[name, Buffer.from(hex, 'hex')]]) };
}

/** Of the state that a file keeps; 0 without one. @param {string} path */
async function numberOf(path) {
  return existsSync(path) ? (await readFile(path)).readUInt32LE(0) : 0;
}

/** @param {string} directory @param {string} keys */
async function receive(directory, keys) {
  const decoder = new StateDecoder();
  const onState = async (/** @type {string} */ key, /** @type {Buffer} */ message) => {
    const { bytes } = await decoder.decode(message);
    const path = join(directory, key);
    // A baseline that was asked for is older than what may be here.
    if (bytes.readUInt32LE(0) < (await numberOf(path))) return;
    const file = await open(`${path}.new`, 'w');
    await file.writeFile(bytes);
    await file.sync();
    await file.close();
    await rename(`${path}.new`, path);
  };
  const link = { trust: await trustOf(keys) };
  const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link, onState });
  say({ port: receiver.port });
}

/** @param {string} port @param {string} keys @param {number} first */
async function send(port, keys, first) {
  const encoder = new StateEncoder();
  const sender = await createSender(`tls://127.0.0.1:${port}`, { link: { trust: await trustOf(keys) } });
  for (let number = first + 1; ; number += 1) {
    const { bytes } = await encoded(encoder, number);
    try {
      await sender.sendState('world', bytes);
    } catch (error) {
      // The receiver has begun anew: it is given the baseline, and this state in another message.
      if (!isDiffKeeperError(error, 'DK_BASELINE_MISSING') && !isDiffKeeperError(error, 'DK_BASELINE_MISMATCH'))
        throw error;
      const answer = await encoder.resync('world');
      if (answer) await sender.sendState('world', answer.toBuffer());
      await sender.sendState('world', (await encoded(encoder, number)).bytes);
    }
    say({ acknowledged: number });
    await sleep(PAUSE_MS);
  }
}

/** @param {StateEncoder} encoder @param {number} number */
async function encoded(encoder, number) {
  return { bytes: (await encoder.encode('world', stateOf(number))).toBuffer() };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [role = '', where = '', keys = '', number = '0'] = process.argv.slice(2);
  if (role === 'receive') await receive(where, keys);
  else await send(where, keys, Number(number));
}
