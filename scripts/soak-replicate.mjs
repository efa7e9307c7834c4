/**
 * Kills the giving side, the receiving side or the connection between them at random moments, again and again, on one
 * pair of stores. Each time the replica must open, verify clean and hold only whole checkpoints of its source, none fewer
 * than before; in the end both must be equal, entry by entry and byte by byte.
 *
 *   npm run soak:replicate [-- --rounds=100 --seed=1 --megabytes=64 --kill-ms=1500 --prune]
 *
 * All that is sent goes through a proxy in this process, which counts it: the last line says how much more it was than
 * the records of blobs are. That is what was sent again, and all versions, questions and frames. `--prune`: both stores
 * are pruned now and then.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { seeded } from '../demo/seeded.mjs';
import { openStore } from '../dist/esm/index.js';
import { CountingProxy } from './counting-proxy.mjs';

const cli = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'cli', 'main.js');
const FILE_BYTES = 48 << 10;

/** Content that does not compress and that no other file has. */
function content(seed) {
  const bytes = Buffer.allocUnsafe(FILE_BYTES);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let at = 0; at < bytes.length; at += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes.writeUInt32LE((state ^ (state >>> 15)) >>> 0, at);
  }
  return bytes;
}

/** One checkpoint of so many files, of which some replace older ones and some go. */
async function grow(place, { files, next, random }) {
  const store = await openStore(join(place, 'source'), { create: true });
  const transaction = store.begin();
  for (let index = 0; index < files; index += 1) {
    const bytes = content(next + index);
    const [digest] = await transaction.storeBlobs([{ bytes, kind: 'blob' }]);
    const path = `f${random(4) === 0 ? random(Math.max(1, next)) : next + index}`;
    const facts = { mode: 0o644, uid: 0, gid: 0, mtimeNs: 0n, linkId: 0n, sparse: false };
    const none = { linkText: Buffer.alloc(0), xattrs: Buffer.alloc(0) };
    transaction.put({
      path,
      sequence: 0,
      type: 1,
      ...facts,
      ...none,
      size: bytes.length,
      digest,
      recipe: { kind: 'whole' },
    });
  }
  if (next > 0) transaction.remove(`f${random(next)}`);
  await transaction.commit();
  await store.close();
}

function start(words) {
  const child = spawn(process.execPath, [cli, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece) => (text += piece));
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, text })));
  return { child, ended, text: () => text };
}

async function serve(place, name) {
  const server = start(['serve', `--store=${join(place, name)}`, '--plaintext', '--listen=127.0.0.1:0']);
  for (;;) {
    const port = /on 127\.0\.0\.1:(\d+)/.exec(server.text())?.[1];
    if (port) return { ...server, port: Number(port) };
    if (server.child.exitCode !== null) throw new Error(`serve ended: ${server.text()}`);
    await sleep(10);
  }
}

const push = (place, proxy) =>
  start(['push', `--store=${join(place, 'source')}`, '--plaintext', '--json', `tcp://127.0.0.1:${proxy.port}`]);

/** One push, disturbed by the end of one side or of the connection. */
async function disturbed(place, proxy, { random, killMs, tally }) {
  const server = await serve(place, 'replica');
  proxy.target = server.port;
  const pushing = push(place, proxy);
  const victim = ['push', 'serve', 'connection'][random(3)];
  await Promise.race([sleep(random(killMs)), pushing.ended]);
  if (victim === 'push') pushing.child.kill('SIGKILL');
  else if (victim === 'serve') server.child.kill('SIGKILL');
  else proxy.cut();
  const { code } = await pushing.ended;
  tally[code === 0 ? 'done' : victim] += 1;
  server.child.kill('SIGKILL');
  await server.ended;
}

async function facts(path) {
  const store = await openStore(path);
  const found = new Map();
  for await (const { sequence, timeMs, root } of store.checkpoints())
    found.set(sequence, `${timeMs} ${root.toString('hex')}`);
  await store.close();
  return found;
}

/** What must hold after every cut. */
async function check(place, before) {
  const [source, replica] = [await facts(join(place, 'source')), await facts(join(place, 'replica'))];
  for (const [sequence, identity] of replica) {
    const there = source.get(sequence);
    if (there !== undefined && there !== identity)
      throw new Error(`checkpoint ${sequence} is another one in the replica`);
  }
  const newest = Math.max(0, ...replica.keys());
  if (newest < before) throw new Error(`the replica fell back from ${before} to ${newest}`);
  return newest;
}

function run(...words) {
  const result = spawnSync(process.execPath, [cli, ...words], { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.status !== 0) throw new Error(`${words.join(' ')}: ${result.status}: ${result.stdout}${result.stderr}`);
  return result.stdout;
}

/** Whole push without a cut: gives the bytes of the records that it brought. */
async function complete(place, proxy, name) {
  const server = await serve(place, name);
  proxy.target = server.port;
  const { code, text } = await push(place, proxy).ended;
  if (code !== 0) throw new Error(`push ended with ${code}: ${text}`);
  server.child.kill('SIGTERM');
  await server.ended;
  return JSON.parse(/^\{"type":"push".*$/m.exec(text)[0]).bytes;
}

async function same(place) {
  const stores = [await openStore(join(place, 'source')), await openStore(join(place, 'replica'))];
  const [source, replica] = stores;
  if (!source.newest.root.equals(replica.newest.root)) throw new Error('the roots differ in the end');
  for await (const batch of source.entries()) {
    const heads = await replica.heads(batch.map(({ path }) => path));
    for (const [index, entry] of batch.entries()) {
      const one = await source.reader(entry).read(0, entry.size);
      if (!(await replica.reader(heads[index]).read(0, entry.size)).equals(one))
        throw new Error(`${entry.path} differs`);
    }
  }
  for (const store of stores) await store.close();
  run('verify', `--store=${join(place, 'replica')}`);
}

async function main() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      megabytes: { type: 'string', default: '64' },
      'kill-ms': { type: 'string', default: '1500' },
      prune: { type: 'boolean', default: false },
    },
  });
  const rounds = Number(values.rounds);
  const random = seeded(Number(values.seed));
  const files = Math.ceil((Number(values.megabytes) << 20) / FILE_BYTES);
  const tally = { done: 0, push: 0, serve: 0, connection: 0 };
  const place = mkdtempSync(join(tmpdir(), 'dk-soak-replicate-'));
  const proxy = new CountingProxy();
  try {
    await proxy.listen();
    await grow(place, { files, next: 0, random });
    await (await openStore(join(place, 'replica'), { create: true })).close();
    let written = files;
    let newest = 0;
    for (let round = 0; round < rounds; round += 1) {
      await disturbed(place, proxy, { random, killMs: Number(values['kill-ms']), tally });
      newest = await check(place, newest);
      if (values.prune && random(8) === 0)
        run('prune', `--store=${join(place, random(2) === 0 ? 'source' : 'replica')}`, '--keep-last=2');
      // Once it is all there, something new comes.
      if (newest === Math.max(...(await facts(join(place, 'source'))).keys())) {
        const more = Math.ceil(files / 4);
        await grow(place, { files: more, next: written, random });
        written += more;
      }
    }
    await complete(place, proxy, 'replica');
    const sentBytes = proxy.sentBytes;
    await same(place);
    // What a prune has dropped was sent and is not counted by a push of what is left.
    const recordBytes = values.prune ? 0 : await complete(place, proxy, 'whole');
    const cuts = rounds - tally.done;
    console.log(JSON.stringify({ rounds, ...tally, sentBytes, recordBytes, newest }));
    const more =
      recordBytes === 0
        ? ''
        : `, ${((100 * (sentBytes - recordBytes)) / recordBytes).toFixed(1)} % more than the records`;
    console.log(
      `${rounds} rounds: the replica equals its source (${cuts} cuts, ${(sentBytes / 2 ** 20).toFixed(1)} MB sent${more})`,
    );
  } finally {
    proxy.close();
    rmSync(place, { recursive: true, force: true });
  }
}

await main();
