/** The section of docs/performance.md about the transport, between two marks. */
import { writeSection } from '../lib/marked-section.mjs';

/** @param {readonly (readonly string[])[]} rows */
const table = ([head = [], ...rows]) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** @param {number | undefined} value @param {number} digits @param {string} unit */
const show = (value, digits, unit) => (value === undefined ? '' : `${value.toFixed(digits)} ${unit}`);
/** @param {number | undefined} bytes */
const megabytes = (bytes) => (bytes === undefined ? '' : `${Math.round(bytes / 1e6)} MB`);

/** @param {Record<string, any>} rows */
function rates(rows) {
  const head = ['', 'goodput', 'CPU, sender', 'CPU, receiver', 'memory, sender', 'memory, receiver'];
  const body = Object.entries(rows).map(([name, row]) => [
    name,
    `**${show(row.rate, 2, 'GB/s')}**`,
    row.cpuPerGb === undefined ? show(row.sendCpuPerGb, 2, 's/GB') : `${row.cpuPerGb.toFixed(2)} s/GB, both`,
    show(row.receiveCpuPerGb, 2, 's/GB'),
    megabytes(row.sendRss),
    megabytes(row.receiveRss),
  ]);
  return table([head, ...body]);
}

/** @param {{ bytes: number, rows: Record<string, any> }} part */
function seconds({ bytes, rows }) {
  const body = Object.entries(rows).map(([name, row]) => [
    name,
    show(row.seconds, 2, 's'),
    `${(bytes / row.seconds / 1e9).toFixed(2)} GB/s`,
    megabytes(row.sentBytes),
  ]);
  return table([['', 'time', 'of the whole', 'message'], ...body]);
}

/** @param {any} result */
function sectionText({ parts, missing, machine, quick, date }) {
  const blocks = [
    '## Transport',
    `${quick ? 'Quick run: **do not quote**. ' : ''}Made by \`npm run bench:transport\` on ${date}; ${machine.CPU}, ${machine.engine}, node ${machine.node}, commit ${machine.commit}.`,
    'Both ends on one machine, each in a process of its own; medians of alternating trials. Goodput is taken at the receiver, from the ' +
      'offer to the digest being right: XXH3 of each frame and BLAKE3 of the whole, on both sides. What is compared verifies nothing, but for rsync.',
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
    const body = Object.entries(parts.latency).map(([name, row]) => [
      name,
      show(row.p50Ms, 1, 'ms'),
      show(row.p99Ms, 1, 'ms'),
    ]);
    blocks.push(
      '**A state of 4 MiB with small changes**, encoded, sent, decoded, verified, answered',
      table([['', 'p50', 'p99'], ...body]),
    );
  }
  if (parts.small) {
    const body = Object.entries(parts.small).map(([name, row]) => [
      name,
      show(row.seconds, 2, 's'),
      megabytes(row.sendRss),
      megabytes(row.receiveRss),
    ]);
    blocks.push('**Many small blobs**', table([['', 'time', 'memory, sender', 'memory, receiver'], ...body]));
  }
  if (parts.shaped) {
    const { mbit, bytes, rows } = parts.shaped;
    const head = ['round trip, loss', 'auto', '1', '4', '16', '64', 'iperf3 -P 1', 'iperf3 -P 16', 'rsync'];
    const body = rows.map((/** @type {any} */ row) => [
      `${row.rttMs} ms, ${row.lossPercent} %`,
      `**${row.auto.toFixed(0)}**`,
      ...['streams1', 'streams4', 'streams16', 'streams64', 'iperf1', 'iperf16', 'rsync'].map((key) =>
        row[key].toFixed(0),
      ),
    ]);
    blocks.push(
      `**A line of ${mbit} Mbit/s** (network namespaces, own shaper): Mbit/s reached by ${megabytes(bytes)} over TLS, with the start of the streams`,
      table([head, ...body]),
    );
  }
  for (const [name, reason] of Object.entries(missing)) {
    blocks.push(`Not measured, ${name}: ${String(reason).split('\n')[0]}`);
  }
  return blocks.join('\n\n');
}

/** @param {string} file @param {object} result */
export function writeTransport(file, result) {
  writeSection(file, { name: 'transport', program: 'bench/transport/run-transport.mjs', text: sectionText(result) });
}
