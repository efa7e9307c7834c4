/**
 * What replication costs: a store of very many small blobs is pushed to another process over a loopback connection, then again
 * without a change, then with ten changed files, each by a `diffkeeper push` of its own. A proxy counts all bytes, both ways;
 * in the end both stores must have the same checkpoints.
 *
 *   npm run bench:replicate [-- --quick --blobs=1000000 --dir=/tmp --out=docs/performance.md --results=bench/results]
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openStore } from '../../dist/esm/index.js';
import { CountingProxy } from '../../scripts/counting-proxy.mjs';
import { machineFacts } from '../lib/machine.mjs';
import { startProgram, timeStep } from '../lib/timed-run.mjs';
import { CLI, ROOT } from '../lib/tools.mjs';
import { inheritedEnvironment, openWorkspace } from '../lib/workspace.mjs';
import { writeReplication } from './replicate-section.mjs';

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    blobs: { type: 'string' },
    dir: { type: 'string', default: tmpdir() },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const { quick } = options;
const blobs = Number(options.blobs ?? (quick ? 3000 : 1_000_000));
const CHANGED = 10;
const PER_CHECKPOINT = 100_000;
const PER_BATCH = 5000;
const FACTS = { sequence: 0, type: 1, mode: 0o644, uid: 0, gid: 0, linkId: 0n, sparse: false };
const workspace = openWorkspace(options.dir);
const environment = inheritedEnvironment(workspace);
const source = join(workspace.root, 'source');
const replica = join(workspace.root, 'replica');

/** @param {number} number */
function small(number) {
  const bytes = Buffer.alloc(100, number % 251);
  bytes.writeDoubleLE(number, 0);
  return bytes;
}

/**
 * One checkpoint of files with contents that no other file has.
 * @param {import('../../dist/esm/index.js').Store} store
 * @param {number} from
 * @param {number} count
 * @param {(number: number) => string} name
 */
async function commit(store, from, count, name) {
  const transaction = store.begin();
  for (let first = from; first < from + count; first += PER_BATCH) {
    const inputs = Array.from({ length: Math.min(PER_BATCH, from + count - first) }, (_, index) => {
      return { bytes: small(first + index), kind: /** @type {const} */ ('blob') };
    });
    const digests = await transaction.storeBlobs(inputs);
    for (const [index, digest] of digests.entries()) {
      const path = name(first + index);
      const none = { linkText: Buffer.alloc(0), xattrs: Buffer.alloc(0) };
      const size = inputs[index]?.bytes.length ?? 0;
      transaction.put({ ...FACTS, ...none, path, mtimeNs: BigInt(first), size, digest, recipe: { kind: 'whole' } });
    }
  }
  await transaction.commit();
}

/** @param {(store: import('../../dist/esm/index.js').Store) => Promise<void>} work */
async function withSource(work) {
  const store = await openStore(source, { create: true });
  await work(store).finally(() => store.close());
}

async function serve() {
  const words = [CLI, 'serve', `--store=${replica}`, '--plaintext', '--listen=127.0.0.1:0'];
  const child = startProgram(process.execPath, words, { env: environment, stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr?.on('data', (piece) => {
    text = (text + piece).slice(-4000);
  });
  for (;;) {
    const port = /on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
    if (port) return { child, port: Number(port) };
    if (child.exitCode !== null) throw new Error(`serve ended: ${text}`);
    await sleep(20);
  }
}

/** The largest memory of another process so far, bytes. @param {number | undefined} pid */
function peakOf(pid) {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Number(kilobytes) * 1024;
}

/**
 * @param {CountingProxy} proxy
 * @param {number | undefined} server
 */
async function pushed(proxy, server) {
  const before = { sent: proxy.sentBytes, answered: proxy.answeredBytes };
  const args = [CLI, 'push', '--json', `--store=${source}`, '--plaintext', `tcp://127.0.0.1:${proxy.port}`];
  const { cost, stdout } = await timeStep({ command: process.execPath, args }, environment);
  const report = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
  return {
    ...cost,
    checkpoints: report.checkpoints,
    blobs: report.blobs,
    recordBytes: report.bytes,
    // The question that begins a push is the giving side's.
    roundTrips: report.questions + 1,
    sentBytes: proxy.sentBytes - before.sent,
    answeredBytes: proxy.answeredBytes - before.answered,
    serverRssBytes: peakOf(server),
  };
}

/** Sequence and Merkle root of every checkpoint. @param {string} place */
async function checkpointsOf(place) {
  const store = await openStore(place, { readOnly: true });
  const all = [];
  for await (const { sequence, root } of store.checkpoints())
    all.push(`${sequence} ${Buffer.from(root).toString('hex')}`);
  await store.close();
  return all.join('\n');
}

async function measured() {
  const proxy = new CountingProxy();
  await withSource(async (store) => {
    for (let from = 0; from < blobs; from += PER_CHECKPOINT) {
      await commit(store, from, Math.min(PER_CHECKPOINT, blobs - from), (number) => `d${number % 1000}/f${number}`);
    }
  });
  await proxy.listen();
  const server = await serve();
  try {
    proxy.target = server.port;
    const everything = await pushed(proxy, server.child.pid);
    const unchanged = await pushed(proxy, server.child.pid);
    await withSource((store) => commit(store, blobs, CHANGED, (number) => `d1/f${number - blobs}`));
    const few = await pushed(proxy, server.child.pid);
    const ended = new Promise((resolve) => server.child.once('close', resolve));
    server.child.kill('SIGTERM');
    await ended;
    if ((await checkpointsOf(source)) !== (await checkpointsOf(replica)))
      throw new Error('the replica has other checkpoints');
    return { everything, unchanged, few };
  } finally {
    server.child.kill('SIGKILL');
    proxy.close();
  }
}

const steps = await measured();
const date = new Date().toISOString().slice(0, 10);
const result = { schema: 1, quick, date, machine: machineFacts(workspace.root), count: blobs, changed: CHANGED, steps };
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'replication.json'), `${JSON.stringify(result, null, 2)}\n`);
writeReplication(options.out, result);
console.error(`replication: ${JSON.stringify(steps)}`);
