/**
 * Ships the memory of a machine to another place, again and again: an encoder here, a decoder in a worker thread that
 * knows nothing but the messages. Half way the decoder is replaced by a fresh one, which asks for the baseline.
 *
 *   node examples/vm-state.mjs
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { isDiffKeeperError, StateDecoder, StateEncoder } from 'diffkeeper';

const PAGE_BYTES = 4096;
const MEMORY_BYTES = 16 << 20;

const digestOf = (bytes) => createHash('sha256').update(bytes).digest('hex');

/** The other side: decodes, or says what it lacks. */
function receive() {
  const decoder = new StateDecoder();
  parentPort.on('message', async (message) => {
    try {
      const { key, bytes, kind } = await decoder.decode(message);
      parentPort.postMessage({ key, kind, digest: digestOf(bytes) });
    } catch (error) {
      if (!isDiffKeeperError(error)) throw error;
      parentPort.postMessage({ key: error.facts.key, lacks: error.code });
    }
  });
}

/** Sends one message and waits for the answer. */
async function send(worker, message) {
  worker.postMessage(message.toBuffer());
  const [answer] = await once(worker, 'message');
  return answer;
}

/** A machine at work: some pages are written whole, counters move. */
function work(memory, round) {
  for (let i = 0; i < 20; i += 1) {
    const page = (round * 7919 + i * 104_729) % (MEMORY_BYTES / PAGE_BYTES);
    memory.fill(`page ${page} written in round ${round} `, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  }
  for (let at = 0; at < MEMORY_BYTES; at += 65_536) memory.writeUInt32LE(round, at);
}

async function main() {
  const encoder = new StateEncoder();
  let worker = new Worker(new URL(import.meta.url));
  const memory = Buffer.alloc(MEMORY_BYTES, 'kernel and processes ');
  let sentBytes = 0;
  for (let round = 0; round < 8; round += 1) {
    work(memory, round);
    if (round === 4) {
      await worker.terminate();
      worker = new Worker(new URL(import.meta.url));
    }
    const message = await encoder.encode('vm-1-memory', memory);
    let answer = await send(worker, message);
    if (answer.lacks) {
      console.log(`round ${round}: the decoder says ${answer.lacks}`);
      const baseline = await encoder.resync(answer.key);
      sentBytes += baseline.messageBytes;
      await send(worker, baseline);
      answer = await send(worker, message);
    }
    sentBytes += message.messageBytes;
    if (answer.digest !== digestOf(memory)) throw new Error('another state arrived');
    console.log(`round ${round}: ${message.kind}, ${message.engines.join('+')}, ${message.messageBytes} bytes`);
  }
  const { deltaHitRate, resyncs } = encoder.metrics();
  console.log(
    `8 states of ${MEMORY_BYTES} bytes arrived in ${sentBytes} bytes; deltas ${deltaHitRate}, resyncs ${resyncs}`,
  );
  await worker.terminate();
  await encoder.close();
}

if (isMainThread) await main();
else receive();
