/**
 * Transfers over long and lossy lines, with TLS, verified by the receiver:
 *
 *   npm run soak:net [-- --smoke] [--megabytes=96] [--mbit=300] [--rtt=20,80,200] [--loss=0,0.1,1] [--streams=N]
 *
 * Prints a line of JSON per transfer. Exit code 1 when one fails. Needs root for network namespaces; otherwise bytes are
 * delayed and slowed by a relay, without loss.
 */
import { parseArgs } from 'node:util';
import { transfer } from '../bench/transport/transport-trial.mjs';
import { buildShaper, mayShapePackets, withDirectory, withPackets, withRelay } from './net/wan.mjs';

const { values } = parseArgs({
  options: {
    smoke: { type: 'boolean', default: false },
    megabytes: { type: 'string' },
    mbit: { type: 'string', default: '300' },
    rtt: { type: 'string' },
    loss: { type: 'string' },
    streams: { type: 'string' },
  },
});
/** @param {string} text */
const numbers = (text) => text.split(',').map(Number);
const megabytes = Number(values.megabytes ?? (values.smoke ? 2 : 96));
const mbit = Number(values.mbit);
const rtts = numbers(values.rtt ?? '20,80,200');
const losses = numbers(values.loss ?? '0,0.1,1');
const packets = mayShapePackets();

/** @param {import('./net/wan.mjs').Wan} wan */
async function once({ near, far, host, reach }) {
  const job = {
    size: megabytes * 1e6,
    count: 1,
    tls: true,
    ...(values.streams ? { streams: Number(values.streams) } : {}),
  };
  const send = { role: 'sendBlobs', ...job };
  const { sent } = await transfer({ role: 'receiveBlobs', ...job, host }, send, { near, far, both: true, reach });
  return sent;
}

await withDirectory(async (directory) => {
  const program = packets ? buildShaper(directory) : '';
  for (const rttMs of rtts) {
    for (const lossPercent of packets ? losses : [0]) {
      const line = { program, mbit, rttMs, lossPercent };
      const sent = packets ? await withPackets(line, once) : await withRelay(line, once);
      const reached = (megabytes * 8) / sent.seconds;
      const { seconds, activeStreams, resentBytes } = sent;
      console.log(JSON.stringify({ packets, rttMs, lossPercent, mbit, reached, seconds, activeStreams, resentBytes }));
    }
  }
});
