/** Our own side of a trial: a pair of states, or first messages of one, ready to be coded and decoded again and again. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../lib/tools.mjs';

const { StateDecoder, StateEncoder } = await import(pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href);

/**
 * @typedef {{
 *   encode(): Promise<void>, decode(): Promise<{ bytes: Buffer }>, check(back: { bytes: Buffer }): void, spoil(): void,
 *   facts(): { full: number, bytes: number, kind: string, engines: string[], stateBytes: number }, close(): Promise<void>
 * }} CodedState `decode` brings back what `encode` made last, `check` fails unless it is the state,
 *   after `spoil` nothing is left where it is decoded to
 */

/** @param {Buffer} state */
const comes =
  (state) =>
  (/** @type {{ bytes: Buffer }} */ { bytes }) => {
    if (!bytes.equals(state)) throw new Error('another state came back');
  };

/**
 * Deltas of one pair of states.
 * @param {Buffer} source
 * @param {Buffer} target
 * @returns {Promise<CodedState>}
 */
export async function openPair(source, target) {
  const encoder = new StateEncoder({ deltasMax: Number.POSITIVE_INFINITY, level: 3, minCompressionRatio: 1 });
  const decoder = new StateDecoder();
  const full = await encoder.encode('vm-1', source);
  await decoder.decode(full.parts);
  let message = await encoder.encode('vm-1', target);
  // As whoever follows a state does: into the same memory again and again.
  const into = Buffer.alloc(target.length);
  return {
    async encode() {
      message = await encoder.encode('vm-1', target);
    },
    decode: () => decoder.decode(message.parts, { into }),
    check: comes(target),
    spoil: () => into.fill(0),
    facts() {
      const { kind, engines, messageBytes } = message;
      return { full: full.messageBytes, bytes: messageBytes, kind, engines, stateBytes: target.length };
    },
    async close() {
      await encoder.close();
      await decoder.close();
    },
  };
}

/**
 * First messages, each of a key that the encoder has not seen.
 * @param {Buffer} state
 * @param {number} level
 * @returns {Promise<CodedState>}
 */
export async function openFirst(state, level) {
  // As after some hours: what is kept is as much as may be kept, and each new baseline takes the place of an older one.
  const encoder = new StateEncoder({ level, memoryBytesMax: 4 * state.length });
  const decoder = new StateDecoder();
  let keys = 0;
  let message = await encoder.encode('vm-0', state);
  return {
    async encode() {
      keys += 1;
      message = await encoder.encode(`vm-${keys}`, state);
      if (message.kind !== 'full') throw new Error('a first message is no delta');
    },
    decode: () => decoder.decode(message.parts),
    check: comes(state),
    spoil() {},
    facts() {
      const { kind, engines, messageBytes } = message;
      return { full: messageBytes, bytes: messageBytes, kind, engines, stateBytes: state.length };
    },
    async close() {
      await encoder.close();
      await decoder.close();
    },
  };
}
