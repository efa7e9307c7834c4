/** The section of docs/performance.md about the state encoder, between two marks. */
import { writeSection } from '../lib/marked-section.mjs';
import { WORKLOADS } from './workloads.mjs';

/** @param {number | undefined} bytes */
function size(bytes) {
  if (bytes === undefined) return '';
  if (bytes < 10_000) return `${bytes} B`;
  return bytes < 1e7 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** @param {number} bytes @param {number} ms */
const rate = (bytes, ms) => `${(bytes / ms / 1e6).toFixed(2)} GB/s`;

/** @param {readonly (readonly string[])[]} rows */
const table = ([head = [], ...rows]) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

/** @param {Record<string, any>} results @param {boolean} fair */
function workloadRows(results, fair) {
  return Object.entries(WORKLOADS)
    .filter(([name, { fair: isFair = false }]) => isFair === fair && results[name])
    .map(([name, { title, full = false, claimed, measured }]) => {
      const { own, older, bound, xbzrle, zstd } = results[name];
      const ours = full ? own.full : own.bytes;
      const limit = fair
        ? bound === undefined
          ? ''
          : `${size(Math.round(bound))} (${((own.bytes / bound - 1) * 100).toFixed(1)} % above)`
        : claimed === undefined
          ? ''
          : size(claimed) + (measured === undefined ? '' : ` (again: ${size(measured)})`);
      const times = (older.cpuMs / own.encode.cpuMs).toFixed(1);
      return [
        title,
        `**${size(ours)}**`,
        limit,
        size(older.bytes),
        size(xbzrle),
        size(zstd.bytes),
        rate(own.stateBytes, own.encode.cpuMs),
        rate(own.stateBytes, own.decode.cpuMs),
        `${rate(own.stateBytes, older.cpuMs)} (${times}x)`,
      ];
    });
}

/** @param {string} title @param {readonly any[]} rows */
function seriesTable(title, rows) {
  const head = ['dump', 'state', 'delta', 'engine', 'XBZRLE', 'zstd --patch-from', 'encode', 'decode', 'zstd'];
  const body = rows.map(({ own, xbzrle, zstd }, i) => [
    `${i + 1}`,
    size(own.stateBytes),
    `**${size(own.bytes)}**`,
    `${own.kind === 'full' ? 'none: ' : ''}${own.engines.join(', ')}`,
    size(xbzrle),
    size(zstd.bytes),
    rate(own.stateBytes, own.encode.cpuMs),
    rate(own.stateBytes, own.decode.cpuMs),
    rate(own.stateBytes, zstd.cpuMs),
  ]);
  return `**${title}**\n\n${table([head, ...body])}`;
}

/** @param {any} result */
function sectionText(result) {
  const { parts, missing, machine } = result;
  const blocks = [
    '## State encoder',
    `${result.quick ? 'Quick run: **do not quote**. ' : ''}Made by \`npm run bench:state\` on ${result.date}; ${machine.CPU}, ${machine.engine}, node ${machine.node}, commit ${machine.commit}.`,
    'Messages are counted whole: key, digests, checksum. Rates are state bytes by processor time of all threads, hence those of one core, ' +
      'with both digests computed and checked. Every message was decoded and compared in the same run. "Older path" is that of the ' +
      'older system written again: XOR over everything, zstd level 3, no digest; XBZRLE is a plain reference of what QEMU sends.',
  ];
  if (parts.workloads) {
    const head = ['message', 'delta', 'XBZRLE', 'zstd --patch-from', 'encode', 'decode', 'older path'];
    const of = (/** @type {string} */ limit) => [
      'state',
      /** @type {string} */ (head[0]),
      limit,
      'older path',
      ...head.slice(2, -1),
      'older path, rate',
    ];
    blocks.push(
      '**The older system\'s own workloads** (mostly periodic data; "claimed" is what it documents)',
      table([of('claimed'), ...workloadRows(parts.workloads, false)]),
      '**Fair versions**: random positions and values, next to the information that they hold',
      table([of('information'), ...workloadRows(parts.workloads, true)]),
    );
  }
  if (parts.redis)
    blocks.push(
      seriesTable('Process memory of redis-server under load, each dump against the one before', parts.redis),
    );
  if (parts.guest) blocks.push(seriesTable('Memory of a QEMU guest (128 MiB, Linux, busybox at work)', parts.guest));
  if (parts.checkpoints) {
    blocks.push(
      seriesTable(
        'safetensors checkpoints of a network trained in the run (weights and both moments, float32)',
        parts.checkpoints,
      ),
    );
  }
  if (parts.scaling) {
    const rows = parts.scaling.map((/** @type {any} */ row) => [
      `${row.keys}`,
      `${row.fullMs.toFixed(2)} ms`,
      `${row.deltaMs.toFixed(2)} ms`,
      size(row.baselineMemoryBytes),
      size(row.rssBytes),
    ]);
    blocks.push(
      '**Many keys** of one size',
      table([['keys', 'first message', 'delta', 'baselines', 'RSS grown by'], ...rows]),
    );
  }
  if (parts.concurrency) {
    const { operations, lost, perSecond, rssMax, failures } = parts.concurrency;
    blocks.push(
      `**100 keys from 10 workers**: ${operations} states of 256 KiB encoded, decoded and compared, ${perSecond.toFixed(0)} a second; ` +
        `${lost} lost or wrong, ${failures} failures, RSS at most ${size(rssMax)}.`,
    );
  }
  for (const [name, reason] of Object.entries(missing))
    blocks.push(`Not measured, ${name}: ${String(reason).split('\n')[0]}`);
  return blocks.join('\n\n');
}

/**
 * Puts the section into a document, in place of the one before or at the end.
 * @param {string} file
 * @param {object} result
 */
export function writeStates(file, result) {
  writeSection(file, { name: 'states', program: 'bench/state/run-states.mjs', text: sectionText(result) });
}
