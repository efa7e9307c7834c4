/**
 * The two ends of a transfer, each in a process of its own. The argument is JSON; each prints lines of JSON: the
 * receiving end first its port, then what it measured; the sending end what it measured.
 */
import { readFileSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pathToFileURL } from 'node:url';
import { peakMemoryBytes } from '../lib/peak-memory.mjs';
import { ROOT } from '../lib/tools.mjs';

const { createReceiver, createSender, loadEngine, StateDecoder, StateEncoder } = await import(
  pathToFileURL(join(ROOT, 'dist', 'esm', 'index.js')).href
);

const PATTERN_BYTES = 64 << 20;
const KEY = Buffer.alloc(32, 7);

/** Room for a baseline of a gigabyte, and for the message that brings it. */
const STATES_BYTES_MAX = 2 ** 31;

/** @param {object} facts */
const say = (facts) => console.log(JSON.stringify(facts));
/** @param {boolean} tls */
const trustOf = (tls) => (tls ? { keys: new Map([['bench', KEY]]) } : { plaintext: true });

/** Processor seconds and the largest memory of this process so far. */
function usage() {
  const { user, system } = process.cpuUsage();
  return { cpuSeconds: (user + system) / 1e6, rssBytes: peakMemoryBytes() };
}

/** Bytes that do not compress, the same in every process. @param {number} size */
function pattern(size) {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = 2463534242;
  for (let at = 0; at < words.length; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return Buffer.from(words.buffer, 0, size);
}

/** A receiver that verifies and drops. @param {any} job */
async function receiveBlobs(job) {
  const start = { ms: 0, cpu: 0 };
  let left = job.count;
  /** @param {{ size: number }} offer */
  const sink = async (offer) => {
    if (start.ms === 0) Object.assign(start, { ms: performance.now(), cpu: usage().cpuSeconds });
    return {
      write: async () => {},
      finish: async () => {
        left -= 1;
        if (left > 0) return;
        const { cpuSeconds, rssBytes } = usage();
        say({
          seconds: (performance.now() - start.ms) / 1000,
          bytes: offer.size * job.count,
          cpuSeconds: cpuSeconds - start.cpu,
          rssBytes,
        });
      },
      abort: async (/** @type {Error} */ error) => {
        throw error;
      },
    };
  };
  const link = { trust: trustOf(job.tls) };
  const receiver = await createReceiver({ host: job.host ?? '127.0.0.1', port: 0, link, services: { bench: sink } });
  say({ port: receiver.port });
}

/** @param {any} job @param {any} [more] */
function dial(job, more = {}) {
  const streams = job.streams === undefined ? {} : { streams: { minimum: job.streams, maximum: job.streams } };
  const url = `${job.tls ? 'tls' : 'tcp'}://${job.host ?? '127.0.0.1'}:${job.port}`;
  const digest = job.digest === undefined ? {} : { digest: job.digest };
  return createSender(url, { link: { trust: trustOf(job.tls), ...streams, ...more }, ...digest });
}

/** BLAKE3 of a pattern repeated up to a length. @param {Buffer} bytes @param {number} size */
async function digestOf(bytes, size) {
  const digest = loadEngine().createDigest('blake3');
  for (let at = 0; at < size; at += bytes.length)
    await digest.update(bytes.subarray(0, Math.min(bytes.length, size - at)));
  return digest.finish();
}

/** @param {any} job */
async function sendBlobs(job) {
  const bytes = pattern(Math.min(PATTERN_BYTES, job.size));
  // As of content that a store names by its digest: then the sender need not hash it again.
  const digest = job.known ? { digest: await digestOf(bytes, job.size) } : {};
  const sender = await dial(job);
  const start = performance.now();
  const before = usage().cpuSeconds;
  let next = 0;
  const lane = async () => {
    while (next < job.count) {
      const number = next++;
      await sender.send({
        service: 'bench',
        key: Buffer.from(`${number}`),
        size: job.size,
        ...digest,
        read: async (/** @type {number} */ at, /** @type {Buffer} */ into) => bytes.copy(into, 0, at % bytes.length),
        view: (/** @type {number} */ at, /** @type {number} */ length) =>
          bytes.subarray(at % bytes.length, (at % bytes.length) + length),
      });
    }
  };
  await Promise.all(Array.from({ length: Math.min(job.count, 512) }, lane));
  const { cpuSeconds, rssBytes } = usage();
  const { resentBytes, activeStreams } = sender.totals;
  const seconds = (performance.now() - start) / 1000;
  say({ seconds, cpuSeconds: cpuSeconds - before, rssBytes, resentBytes, activeStreams });
  await sender.close();
  process.exit(0);
}

/** @param {any} job */
async function receiveFiles(job) {
  const link = { trust: trustOf(job.tls) };
  const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link, directory: job.directory });
  say({ port: receiver.port });
}

/** Time of the sending program as a user sees it: until the file is there, verified and synced. @param {any} job */
async function sendFile(job) {
  const start = performance.now();
  const sender = await dial(job);
  await sender.sendFile(job.file, 'file');
  const seconds = (performance.now() - start) / 1000;
  say({ seconds, bytes: statSync(job.file).size, ...usage() });
  await sender.close();
  process.exit(0);
}

/** @param {any} job */
async function receiveStates(job) {
  const decoder = new StateDecoder({ memoryBytesMax: STATES_BYTES_MAX });
  const link = { trust: trustOf(job.tls) };
  const onState = async (/** @type {string} */ _key, /** @type {Buffer} */ message) => {
    await decoder.decode(message);
  };
  const receiver = await createReceiver({
    host: '127.0.0.1',
    port: 0,
    link,
    onState,
    messageBytesMax: STATES_BYTES_MAX,
  });
  say({ port: receiver.port });
}

/**
 * Encode, send, decode, verify, answer: one state after the other; `job.next` is a file with the second and last one,
 * otherwise each changes in 64 places.
 * @param {any} job
 */
async function sendStates(job) {
  let state = job.file === undefined ? pattern(job.size) : readFileSync(job.file);
  const next = job.next === undefined ? undefined : readFileSync(job.next);
  const encoder = new StateEncoder({ deltasMax: 1e9, memoryBytesMax: STATES_BYTES_MAX });
  const sender = await dial(job);
  const times = [];
  let messageBytes = 0;
  const random = pattern(8 * (job.rounds + 1) * 64);
  for (let round = 0; round <= job.rounds; round += 1) {
    if (round > 0 && next !== undefined) state = next;
    for (let change = 0; change < 64 && round > 0 && next === undefined; change += 1) {
      const value = random.readUInt32LE(8 * (round * 64 + change));
      state.writeUInt32LE(value, (value % (state.length / 4096)) * 4096);
    }
    const start = performance.now();
    const message = (await encoder.encode('bench', state)).toBuffer();
    await sender.sendState('bench', message);
    // The first carries the baseline.
    if (round > 0) times.push(performance.now() - start);
    if (round > 0) messageBytes += message.length;
  }
  times.sort((left, right) => left - right);
  const at = (/** @type {number} */ share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  say({ p50Ms: at(0.5), p99Ms: at(0.99), messageBytes: messageBytes / job.rounds });
  await sender.close();
  await encoder.close();
  process.exit(0);
}

/** Node's own way, for comparison: one stream, 'data' events, nothing verified. @param {any} job */
async function receivePlain(job) {
  const server = createServer((socket) => {
    let bytes = 0;
    const start = performance.now();
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      if (bytes >= job.size) say({ seconds: (performance.now() - start) / 1000, bytes, ...usage() });
    });
  });
  await new Promise((resolve) => server.listen({ port: 0, host: job.host ?? '127.0.0.1' }, () => resolve(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  say({ port: address.port });
}

/** @param {any} job */
async function sendPlain(job) {
  const bytes = pattern(PATTERN_BYTES);
  const socket = connect({ host: job.host ?? '127.0.0.1', port: job.port });
  const start = performance.now();
  await pipeline(async function* () {
    for (let sent = 0; sent < job.size; sent += 1 << 20) {
      const at = sent % bytes.length;
      yield bytes.subarray(at, at + (1 << 20));
    }
  }, socket);
  say({ seconds: (performance.now() - start) / 1000, ...usage() });
}

/** @type {Record<string, (job: any) => Promise<void>>} */
const ROLES = { receiveBlobs, sendBlobs, receiveFiles, sendFile, receiveStates, sendStates, receivePlain, sendPlain };
const job = JSON.parse(process.argv[2] ?? '{}');
await ROLES[job.role]?.(job);
