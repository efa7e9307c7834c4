/**
 * Figures of the transport beside iperf3, rsync and plain Node: each trial in processes of its own, alternating, medians;
 * everything that arrives is verified in the same run. Writes bench/results/transport.json and the section of
 * docs/performance.md after each part; parts that are not chosen stay as they are.
 *
 *   node bench/transport/run-transport.mjs [--quick] [--only=loopback,tls,files,changed,latency,small,shaped20,shaped80,shaped200]
 *                            [--out docs/performance.md] [--results bench/results]
 *
 * Needs iperf3 and rsync, a C++ compiler (`c++`) for the plain loop beside them, for shaped lines root, ip and g++, and openssh-server where scp is to
 * be among them. What cannot be had is named in the result with the reason.
 */
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { measuredParts } from '../lib/measured-parts.mjs';
import { median } from '../lib/statistics.mjs';
import { ROOT } from '../lib/tools.mjs';
import { ROUND_TRIPS, shapedLines } from './shaped-lines.mjs';
import { writeTransport } from './transport-section.mjs';
import { beside, buildPlainLoop, iperf, plainLoop, timedCommand, transfer } from './transport-trial.mjs';

const PARTS = ['loopback', 'tls', 'files', 'changed', 'latency', 'small', ...ROUND_TRIPS.map((ms) => `shaped${ms}`)];
const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: PARTS.join(',') },
    out: { type: 'string', default: join(ROOT, 'docs', 'performance.md') },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const { quick } = options;
const trials = quick ? 1 : 5;
const GB = 1e9;
const work = mkdtempSync(join(tmpdir(), 'dk-bench-transport-'));

const part = measuredParts({
  file: join(options.results, 'transport.json'),
  names: PARTS,
  only: options.only,
  quick,
  machine: machineFacts(work),
  report: (result) => writeTransport(options.out, result),
});

/**
 * Runs each contender in turn, some times over; the median of each figure.
 * @param {(what: string, error: unknown) => void} lacks told of contenders that cannot be had
 * @param {Record<string, () => Promise<Record<string, number>>>} contenders
 */
async function alternate(lacks, contenders) {
  /** @type {Record<string, Record<string, number>[]>} */
  const all = {};
  for (let trial = 0; trial < trials; trial += 1) {
    for (const [name, run] of Object.entries(contenders)) {
      try {
        all[name] = [...(all[name] ?? []), await run()];
      } catch (error) {
        lacks(name, error);
      }
    }
  }
  return Object.fromEntries(
    Object.entries(all).map(([name, rows]) => {
      const keys = Object.keys(rows[0] ?? {});
      return [name, Object.fromEntries(keys.map((key) => [key, median(rows.map((row) => row[key] ?? Number.NaN))]))];
    }),
  );
}

/** @param {{ size: number, count?: number, tls?: boolean, streams?: number, known?: boolean, digest?: string }} job */
async function ours({ size, count = 1, tls = false, known = false, ...more }) {
  const job = { size, count, tls, known, ...more };
  const ends = await transfer({ role: 'receiveBlobs', ...job }, { role: 'sendBlobs', ...job }, { both: true });
  const { sent, received } = ends;
  const bytes = size * count;
  return {
    rate: bytes / received.seconds / GB,
    seconds: sent.seconds,
    sendCpuPerGb: sent.cpuSeconds / (bytes / GB),
    receiveCpuPerGb: received.cpuSeconds / (bytes / GB),
    sendRss: sent.rssBytes,
    receiveRss: received.rssBytes,
  };
}

/** @param {number} size */
async function plainNode(size) {
  const job = { size };
  const { sent, received } = await transfer(
    { role: 'receivePlain', ...job },
    { role: 'sendPlain', ...job },
    { both: true },
  );
  return { rate: size / received.seconds / GB, seconds: sent.seconds };
}

const loopbackBytes = quick ? 64 << 20 : 4 * 2 ** 30;

await part('loopback', (lacks) =>
  alternate(lacks, {
    'diffkeeper, auto': () => ours({ size: loopbackBytes }),
    'diffkeeper, BLAKE3': () => ours({ size: loopbackBytes, digest: 'blake3' }),
    'diffkeeper, BLAKE3 known': () => ours({ size: loopbackBytes, known: true }),
    'diffkeeper, 1 stream': () => ours({ size: loopbackBytes, streams: 1 }),
    'diffkeeper, 16 streams': () => ours({ size: loopbackBytes, streams: 16 }),
    'iperf3 -P 1': () => iperf(1, { bytes: loopbackBytes }),
    'iperf3 -P 16': () => iperf(16, { bytes: loopbackBytes }),
    'Node, one stream': () => plainNode(quick ? loopbackBytes : 2 ** 30),
  }),
);
await part('tls', (lacks) =>
  alternate(lacks, { 'diffkeeper, TLS 1.3': () => ours({ size: quick ? 32 << 20 : 2 ** 30, tls: true }) }),
);

/** A served rsync module of a directory. @param {string} directory @param {(url: string) => Promise<number>} task */
async function withRsync(directory, task) {
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const config = join(work, 'rsyncd.conf');
  const owner = process.getuid?.() === 0 ? 'uid = 0\ngid = 0\n' : '';
  writeFileSync(config, `${owner}use chroot = no\n[out]\npath = ${directory}\nread only = no\n`);
  const command = ['rsync', '--daemon', '--no-detach', `--config=${config}`, `--port=${port}`];
  return beside(command, () => task(`rsync://127.0.0.1:${port}/out/`));
}

/** @param {string} file */
const digestOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

/** A directory of its own below the work directory. @param {string} name */
function folder(name) {
  const directory = join(work, name);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  return directory;
}

/** @param {string} file @param {number} bytes */
function randomFile(file, bytes) {
  const fd = openSync(file, 'w');
  const piece = Buffer.alloc(Math.min(bytes, 1 << 24));
  for (let at = 0; at < bytes; at += piece.length)
    writeSync(fd, randomFillSync(piece), 0, Math.min(piece.length, bytes - at));
  closeSync(fd);
}

/** @param {string} copy @param {string} digest */
function expectEqual(copy, digest) {
  if (digestOf(copy) !== digest) throw new Error(`${copy} differs from what was sent`);
}

await part('files', async (lacks) => {
  const file = join(work, 'source');
  const bytes = quick ? 32 << 20 : 2 ** 30;
  randomFile(file, bytes);
  const digest = digestOf(file);
  const program = buildPlainLoop(work);
  const sendFile = async (/** @type {object} */ more) => {
    const directory = folder('ours');
    const { sent } = await transfer({ role: 'receiveFiles', directory }, { role: 'sendFile', file, ...more });
    expectEqual(join(directory, 'file'), digest);
    return { seconds: sent.seconds };
  };
  const rows = await alternate(lacks, {
    'diffkeeper send': () => sendFile({}),
    'diffkeeper send, BLAKE3': () => sendFile({ digest: 'blake3' }),
    'rsync -W': async () => {
      const directory = folder('rsync');
      const seconds = await withRsync(directory, async (url) => timedCommand('rsync', ['-W', '--fsync', file, url]));
      expectEqual(join(directory, 'source'), digest);
      return { seconds };
    },
    'plain C++ loop': async () => {
      const copy = join(folder('loop'), 'copy');
      const seconds = await plainLoop(program(), file, copy);
      expectEqual(copy, digest);
      return { seconds };
    },
    'cp and sync': async () => ({
      seconds: timedCommand('sh', ['-c', 'cp "$1" "$2" && sync "$2"', 'sh', file, join(folder('cp'), 'copy')]),
    }),
  });
  return { bytes, rows };
});

await part('changed', async (lacks) => {
  const file = join(work, 'state');
  const bytes = quick ? 16 << 20 : 2 ** 30;
  randomFile(file, bytes);
  const changed = Buffer.from(readFileSync(file));
  const pages = bytes / 4096;
  for (let page = 0; page < pages / 100; page += 1) {
    const at = ((page * 7919) % pages) * 4096;
    randomFillSync(changed, at, 4096);
  }
  const source = join(work, 'changed');
  writeFileSync(source, changed);
  const rows = await alternate(lacks, {
    'diffkeeper, state delta': async () => {
      const states = { role: 'sendStates', file, next: source, rounds: 1, tls: false };
      const { sent } = await transfer({ role: 'receiveStates', tls: false }, states);
      return { seconds: sent.p50Ms / 1000, sentBytes: sent.messageBytes };
    },
    'diffkeeper send, whole': async () => {
      const { sent } = await transfer(
        { role: 'receiveFiles', directory: folder('whole') },
        { role: 'sendFile', file: source },
      );
      return { seconds: sent.seconds, sentBytes: bytes };
    },
    'rsync --inplace': async () => {
      const directory = folder('inplace');
      timedCommand('cp', [file, join(directory, 'changed')]);
      const run = (/** @type {string} */ url) =>
        timedCommand('rsync', ['--inplace', '--no-W', '--ignore-times', source, url]);
      const seconds = await withRsync(directory, async (url) => run(url));
      expectEqual(join(directory, 'changed'), digestOf(source));
      return { seconds };
    },
  });
  return { bytes, rows };
});

await part('latency', async (lacks) => {
  const send = { role: 'sendStates', size: 4 << 20, rounds: quick ? 5 : 200 };
  const run = async (/** @type {boolean} */ tls) => {
    const { sent } = await transfer({ role: 'receiveStates', tls }, { ...send, tls });
    return sent;
  };
  return alternate(lacks, { plain: () => run(false), 'TLS 1.3': () => run(true) });
});

await part('small', (lacks) =>
  alternate(lacks, { 'diffkeeper, 4 KiB blobs': () => ours({ size: 4096, count: quick ? 1000 : 100_000 }) }),
);

for (const rttMs of ROUND_TRIPS) {
  await part(`shaped${rttMs}`, () => shapedLines({ directory: folder('shaped'), quick, rttMs }));
}

rmSync(work, { recursive: true, force: true });
