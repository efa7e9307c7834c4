/**
 * What replication costs: a store of many small blobs is pushed to another process over a loopback connection, then again
 * without a change, then with a few changed files. A proxy counts all bytes, both ways.
 *
 *   npm run bench:replicate [-- --blobs=1000000 --keep]
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { openStore, pushStore } from '../../dist/esm/index.js';
import { CountingProxy } from '../../scripts/counting-proxy.mjs';

const cli = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist', 'cli', 'main.js');
const PER_CHECKPOINT = 100_000;
const PER_BATCH = 5000;
const FACTS = { sequence: 0, type: 1, mode: 0o644, uid: 0, gid: 0, linkId: 0n, sparse: false };

function small(number) {
  const bytes = Buffer.alloc(100, number % 251);
  bytes.writeDoubleLE(number, 0);
  return bytes;
}

/** One checkpoint of files with contents that no other file has. */
async function commit(store, from, count, name) {
  const transaction = store.begin();
  for (let first = from; first < from + count; first += PER_BATCH) {
    const inputs = Array.from({ length: Math.min(PER_BATCH, from + count - first) }, (_, index) => {
      return { bytes: small(first + index), kind: 'blob' };
    });
    const digests = await transaction.storeBlobs(inputs);
    for (const [index, digest] of digests.entries()) {
      const path = name(first + index);
      const none = { linkText: Buffer.alloc(0), xattrs: Buffer.alloc(0) };
      const size = inputs[index].bytes.length;
      transaction.put({ ...FACTS, ...none, path, mtimeNs: BigInt(first), size, digest, recipe: { kind: 'whole' } });
    }
  }
  await transaction.commit();
}

async function serve(place) {
  const words = [cli, 'serve', `--store=${join(place, 'replica')}`, '--plaintext', '--listen=127.0.0.1:0'];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'inherit', 'pipe'] });
  let text = '';
  child.stderr.on('data', (piece) => {
    text += piece;
  });
  for (;;) {
    const port = /on 127\.0\.0\.1:(\d+)/.exec(text)?.[1];
    if (port) return { child, port: Number(port) };
    if (child.exitCode !== null) throw new Error(`serve ended: ${text}`);
    await sleep(20);
  }
}

async function measured(step, proxy, store) {
  const before = { sent: proxy.sentBytes, answered: proxy.answeredBytes };
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const link = { trust: { plaintext: true } };
  const report = await pushStore(store, `tcp://127.0.0.1:${proxy.port}`, { link });
  const { user, system } = process.cpuUsage(cpu);
  const facts = {
    step,
    checkpoints: report.checkpoints,
    blobs: report.blobs,
    recordBytes: report.bytes,
    // The question that begins a push is the giving side's.
    roundTrips: report.questions + 1,
    sentBytes: proxy.sentBytes - before.sent,
    answeredBytes: proxy.answeredBytes - before.answered,
    ms: Math.round(performance.now() - startMs),
    giverCpuMs: Math.round((user + system) / 1000),
  };
  console.log(JSON.stringify(facts));
}

async function main() {
  const options = { blobs: { type: 'string', default: '1000000' }, keep: { type: 'boolean', default: false } };
  const { values } = parseArgs({ options });
  const blobs = Number(values.blobs);
  const place = mkdtempSync(join(tmpdir(), 'dk-bench-replicate-'));
  const proxy = new CountingProxy();
  let server;
  try {
    const store = await openStore(join(place, 'source'), { create: true });
    for (let from = 0; from < blobs; from += PER_CHECKPOINT) {
      await commit(store, from, Math.min(PER_CHECKPOINT, blobs - from), (number) => `d${number % 1000}/f${number}`);
    }
    await proxy.listen();
    server = await serve(place);
    proxy.target = server.port;
    await measured('everything', proxy, store);
    await measured('unchanged', proxy, store);
    await commit(store, blobs, 10, (number) => `d1/f${number - blobs}`);
    await measured('10 files', proxy, store);
    await store.close();
  } finally {
    server?.child.kill('SIGTERM');
    proxy.close();
    if (!values.keep) rmSync(place, { recursive: true, force: true });
  }
}

await main();
