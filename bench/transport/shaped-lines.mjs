/** Transfers over long and lossy lines between two network namespaces, in Mbit/s. */
import { randomFillSync } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildShaper, mayShapePackets, withPackets } from '../../scripts/net/wan.mjs';
import { median } from '../lib/statistics.mjs';
import { beside, iperf, timedCommand, transfer } from './transport-trial.mjs';

const MBIT = 300;
/** Lines that are measured, each a part of its own, ms. */
export const ROUND_TRIPS = [20, 80, 200];
/** rsync and scp have one stream: on the worst lines a larger file would take minutes. */
const RSYNC_BYTES = 8e6;
const HOST = '10.99.0.2';
/** Where single runs decide about a target by less than they differ, loss in percent by round trip in ms: the longer transfers are repeated there. */
const CLOSE = new Map([
  [80, [0, 0.1]],
  [200, [1]],
]);
/** How often in all. */
const CLOSE_RUNS = 3;

/** @param {import('../../scripts/net/wan.mjs').Wan} wan @param {number} bytes @param {number} [streams] */
async function ours({ near, far, host, reach }, bytes, streams) {
  const job = { size: bytes, count: 1, tls: true, ...(streams === undefined ? {} : { streams }) };
  const receive = { role: 'receiveBlobs', ...job, host };
  const { sent } = await transfer(receive, { role: 'sendBlobs', ...job }, { near, far, both: true, reach });
  return (bytes * 8) / sent.seconds / 1e6;
}

/** @param {import('../../scripts/net/wan.mjs').Wan} wan @param {string} directory */
async function rsync({ near, far }, directory) {
  const config = join(directory, 'shaped.conf');
  const file = join(directory, 'shaped');
  const owner = 'uid = 0\ngid = 0\n';
  writeFileSync(config, `${owner}use chroot = no\n[out]\npath = ${directory}\nread only = no\n`);
  writeFileSync(file, randomFillSync(Buffer.alloc(RSYNC_BYTES)));
  return beside([...far, 'rsync', '--daemon', '--no-detach', `--config=${config}`, '--port=8730'], () => {
    const [command = '', ...args] = [...near, 'rsync', '-W', file, `rsync://${HOST}:8730/out/copy`];
    return (RSYNC_BYTES * 8) / timedCommand(command, args) / 1e6;
  });
}

/**
 * Where an SSH server is installed; keys of its own, for this run alone.
 * @param {import('../../scripts/net/wan.mjs').Wan} wan @param {string} directory
 */
async function scp({ near, far }, directory) {
  const at = (/** @type {string} */ name) => join(directory, name);
  for (const name of ['host-key', 'user-key']) {
    rmSync(at(name), { force: true });
    timedCommand('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
  }
  // It insists on this directory.
  mkdirSync('/run/sshd', { recursive: true });
  const settings = ['Port=2299', `HostKey=${at('host-key')}`, `AuthorizedKeysFile=${at('user-key.pub')}`, 'UsePAM=no'];
  const words = [
    ...settings,
    'Subsystem=sftp internal-sftp',
    'StrictModes=no',
    'PermitRootLogin=yes',
    'PidFile=none',
  ].flatMap((word) => ['-o', word]);
  return beside([...far, '/usr/sbin/sshd', '-D', '-f', '/dev/null', ...words], () => {
    writeFileSync(at('shaped'), randomFillSync(Buffer.alloc(RSYNC_BYTES)));
    const trust = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR', 'BatchMode=yes'];
    const options = ['-P', '2299', '-i', at('user-key'), ...trust.flatMap((word) => ['-o', word])];
    const [command = '', ...args] = [...near, 'scp', '-q', ...options, at('shaped'), `root@${HOST}:${at('by-scp')}`];
    return (RSYNC_BYTES * 8) / timedCommand(command, args) / 1e6;
  });
}

/**
 * Repeats the longer transfers of the automatic count and of the best fixed one, by turns; gives the medians.
 * @param {Record<string, number | undefined>} row what was reached so far
 * @param {(streams?: number) => Promise<number>} run
 */
async function repeated(row, run) {
  const fixed = [4, 8, 16].map((streams) => ({ streams, key: `longStreams${streams}` }));
  const reached = (/** @type {string} */ key) => row[key] ?? 0;
  const best = fixed.reduce((left, right) => (reached(left.key) >= reached(right.key) ? left : right));
  const autos = [reached('longAuto')];
  const bests = [reached(best.key)];
  while (autos.length < CLOSE_RUNS) {
    autos.push(await run());
    bests.push(await run(best.streams));
  }
  return { longAuto: median(autos), [best.key]: median(bests) };
}

/**
 * Rows of Mbit/s reached on lines of this round trip.
 * @param {{ directory: string, quick: boolean, rttMs: number }} options
 */
export async function shapedLines({ directory, quick, rttMs }) {
  if (!mayShapePackets()) throw new Error('network namespaces and TUN devices are not permitted here');
  const program = buildShaper(directory);
  // The shorter takes the line 2.5 s, so that the start of the streams weighs; the longer 10 s.
  const bytes = quick ? 4e6 : 94e6;
  const longBytes = quick ? 8e6 : 375e6;
  const seconds = quick ? 1 : 8;
  const rows = [];
  for (const lossPercent of quick ? [0.1] : [0, 0.1, 1]) {
    const reached = await withPackets({ program, mbit: MBIT, rttMs, lossPercent }, async (wan) => {
      const { near, far } = wan;
      const peer = async (/** @type {number} */ streams) =>
        (await iperf(streams, { seconds, host: HOST, near, far })).rate * 8000;
      const row = {
        auto: await ours(wan, bytes),
        longAuto: await ours(wan, longBytes),
        streams1: await ours(wan, quick ? bytes : bytes / 8, 1),
        streams4: await ours(wan, bytes, 4),
        longStreams4: await ours(wan, longBytes, 4),
        streams8: await ours(wan, bytes, 8),
        longStreams8: await ours(wan, longBytes, 8),
        streams16: await ours(wan, bytes, 16),
        longStreams16: await ours(wan, longBytes, 16),
        streams64: await ours(wan, bytes, 64),
        iperf1: await peer(1),
        iperf16: await peer(16),
        rsync: await rsync(wan, directory),
        ...(existsSync('/usr/sbin/sshd') && { scp: await scp(wan, directory) }),
      };
      if (quick || !CLOSE.get(rttMs)?.includes(lossPercent)) return row;
      return { ...row, ...(await repeated(row, (streams) => ours(wan, longBytes, streams))) };
    });
    rows.push({ rttMs, lossPercent, ...reached });
  }
  return { mbit: MBIT, bytes, longBytes, rows };
}
