/** The section of docs/performance.md about the transport, between two marks. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { judgedBlock } from '../lib/judged.mjs';
import { writeSection } from '../lib/marked-section.mjs';
import { madeBy, notMeasured } from '../lib/measured-parts.mjs';
import { judgeTransport, shapedOf } from './transport-targets.mjs';

/** @param {number | undefined} value @param {number} digits @param {string} unit */
const show = (value, digits, unit) => (value === undefined ? '' : `${value.toFixed(digits)} ${unit}`);
/** @param {Record<string, any>} rows */
function rates(rows) {
  const head = ['', 'goodput', 'CPU, sender', 'CPU, receiver', 'memory, sender', 'memory, receiver'];
  const body = Object.entries(rows).map(([name, row]) => [
    name,
    `**${show(row.rate, 2, 'GB/s')}**`,
    row.cpuPerGb === undefined ? show(row.sendCpuPerGb, 2, 's/GB') : `${row.cpuPerGb.toFixed(2)} s/GB, both`,
    show(row.receiveCpuPerGb, 2, 's/GB'),
    showBytes(row.sendRss),
    showBytes(row.receiveRss),
  ]);
  return table(head, body);
}

/** @param {{ bytes: number, rows: Record<string, any> }} part */
function seconds({ bytes, rows }) {
  const body = Object.entries(rows).map(([name, row]) => [
    name,
    showMs(row.seconds * 1000),
    `${(bytes / row.seconds / 1e9).toFixed(2)} GB/s`,
    showBytes(row.sentBytes),
  ]);
  return table(['', 'time', 'of the whole', 'message'], body);
}

/** @param {import('../lib/measured-parts.mjs').PartResults} result */
function sectionText(result) {
  const { parts } = result;
  const blocks = [
    '## Transport',
    madeBy(result, 'npm run bench:transport'),
    'Both ends on one machine, each in a process of its own; medians of alternating trials. Goodput is taken at the receiver, from the ' +
      'offer to the digest being right, on both sides: one pass of XXH3 for frames and whole, the default of `send`; XXH3 of each frame and BLAKE3 of the ' +
      'whole in the rows that say BLAKE3 ("known": the sender had it). What is compared verifies nothing, but for rsync. ' +
      'The older transport counted 2,547 MB/s on 32 streams when the last call to send returned; at the receiver it was 1.2 to 1.5 GB/s here.',
    judgedBlock(judgeTransport(parts)),
  ];
  if (parts.loopback)
    blocks.push('**Loopback**, memory to memory, bytes that do not compress, no TLS', rates(parts.loopback));
  if (parts.tls) blocks.push('**The same with TLS 1.3**', rates(parts.tls));
  if (parts.files)
    blocks.push('**A file**, from its start to its being there, verified and synced', seconds(parts.files));
  if (parts.changed) {
    blocks.push(
      '**A state of which 1 % of the pages changed**, from encoding to decoded and verified',
      seconds(parts.changed),
    );
  }
  if (parts.latency) {
    const body = Object.entries(parts.latency).map(([name, row]) => [name, showMs(row.p50Ms), showMs(row.p99Ms)]);
    blocks.push(
      '**A state of 4 MiB with small changes**, encoded, sent, decoded, verified, answered',
      table(['', 'p50', 'p99'], body),
    );
  }
  if (parts.small) {
    const body = Object.entries(parts.small).map(([name, row]) => [
      name,
      showMs(row.seconds * 1000),
      showBytes(row.sendRss),
      showBytes(row.receiveRss),
    ]);
    blocks.push('**Many small blobs**', table(['', 'time', 'memory, sender', 'memory, receiver'], body));
  }
  const shaped = shapedOf(parts);
  if (shaped) {
    const { mbit, bytes, longBytes, rows } = shaped;
    const head = ['round trip, loss', 'auto', '1', '4', '8', '16', '64', 'iperf3 -P 1', 'iperf3 -P 16', 'rsync', 'scp'];
    const body = rows.map((/** @type {any} */ row) => {
      const both = (/** @type {number} */ short, /** @type {number} */ long) =>
        `${short.toFixed(0)} / ${long.toFixed(0)}`;
      return [
        `${row.rttMs} ms, ${row.lossPercent} %`,
        `**${both(row.auto, row.longAuto)}**`,
        row.streams1.toFixed(0),
        both(row.streams4, row.longStreams4),
        both(row.streams8, row.longStreams8),
        both(row.streams16, row.longStreams16),
        ...['streams64', 'iperf1', 'iperf16', 'rsync', 'scp'].map((key) => row[key]?.toFixed(0) ?? '–'),
      ];
    });
    blocks.push(
      `**A line of ${mbit} Mbit/s** (network namespaces, own shaper): Mbit/s reached by ${showBytes(bytes)} over TLS / by ${showBytes(longBytes)}, with the start of the streams; single runs, but at 80 ms 0 and 0.1 % and at 200 ms 1 % medians of three by the longer of the automatic and the best fixed count`,
      table(head, body),
    );
  }
  blocks.push(...notMeasured(result));
  return blocks.map((block) => block.trimEnd()).join('\n\n');
}

/** @param {string} file @param {import('../lib/measured-parts.mjs').PartResults} result */
export function writeTransport(file, result) {
  writeSection(file, { name: 'transport', program: 'bench/transport/run-transport.mjs', text: sectionText(result) });
}
