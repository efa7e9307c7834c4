/** The section of docs/performance.md about the state encoder, between two marks. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { judgedBlock } from '../lib/judged.mjs';
import { writeSection } from '../lib/marked-section.mjs';
import { madeBy, notMeasured } from '../lib/measured-parts.mjs';
import { judgeStates } from './state-targets.mjs';
import { olderFactor, rewrittenFactor, spreadWords } from './workload-figures.mjs';
import { WORKLOADS } from './workloads.mjs';

/** @param {number} bytes @param {number} ms */
const rate = (bytes, ms) => `${(bytes / ms / 1e6).toFixed(2)} GB/s`;

/** @param {Record<string, any>} results @param {boolean} fair */
function workloadRows(results, fair) {
  return Object.entries(WORKLOADS)
    .filter(([name, { fair: isFair = false }]) => isFair === fair && results[name])
    .map(([name, { title, claimed, measured, claimedRates }]) => {
      const { own, older, bound, xbzrle, zstd, olderOwn } = results[name];
      const limit = fair
        ? bound === undefined
          ? ''
          : `${showBytes(Math.round(bound))} (${((own.bytes / bound - 1) * 100).toFixed(1)} % above)`
        : claimed === undefined
          ? (claimedRates ?? []).map((perSecond) => `${perSecond / 1e6} MB/s`).join(', ')
          : showBytes(claimed) + (measured === undefined ? '' : ` (again: ${showBytes(measured)})`);
      const beside = (/** @type {number} */ cpuMs, /** @type {ReturnType<typeof olderFactor>} */ factor) =>
        `${rate(own.stateBytes, cpuMs)} (${factor === undefined ? '' : [`${factor.median.toFixed(1)}x`, ...spreadWords(factor)].join(', ')})`;
      const known = olderOwn?.bytes !== undefined;
      return [
        title,
        `**${showBytes(own.bytes)}**`,
        limit,
        known ? showBytes(olderOwn.bytes) : '–',
        showBytes(older.bytes),
        xbzrle === undefined ? '–' : showBytes(xbzrle),
        showBytes(zstd.bytes),
        rate(own.stateBytes, own.encode.cpuMs),
        rate(own.stateBytes, own.decode.cpuMs),
        known ? beside(olderOwn.encode.cpuMs, olderFactor(results[name], 'encode')) : '–',
        known ? beside(olderOwn.decode.cpuMs, olderFactor(results[name], 'decode')) : '–',
        beside(older.cpuMs, rewrittenFactor(results[name])),
      ];
    });
}

/** @param {string} title @param {readonly any[]} rows */
function seriesTable(title, rows) {
  const head = ['dump', 'state', 'delta', 'engine', 'XBZRLE', 'zstd --patch-from', 'encode', 'decode', 'zstd'];
  const body = rows.map(({ own, xbzrle, zstd }, i) => [
    `${i + 1}`,
    showBytes(own.stateBytes),
    `**${showBytes(own.bytes)}**`,
    `${own.kind === 'full' ? 'none: ' : ''}${own.engines.join(', ')}`,
    showBytes(xbzrle),
    showBytes(zstd.bytes),
    rate(own.stateBytes, own.encode.cpuMs),
    rate(own.stateBytes, own.decode.cpuMs),
    rate(own.stateBytes, zstd.cpuMs),
  ]);
  return `**${title}**\n\n${table(head, body)}${smallerText(rows)}`;
}

/** First messages that take longer than one of the older paths. @param {Record<string, any>} results */
function slowerText(results) {
  const slower = Object.entries(WORKLOADS).flatMap(([name, { title }]) => {
    const row = results[name];
    if (row === undefined || row.own.kind === 'delta') return [];
    const sides = [
      { path: 'its own library', factor: olderFactor(row, 'encode')?.median },
      { path: 'C zstd', factor: rewrittenFactor(row).median },
    ];
    const words = sides.flatMap(({ path, factor }) =>
      factor !== undefined && factor < 1 ? [`${factor.toFixed(1)}x with ${path}`] : [],
    );
    return words.length === 0 ? [] : [`${title} (${words.join(', ')})`];
  });
  if (slower.length === 0) return [];
  return [`**Slower than the older path**, for which there is no target: coding ${slower.join('; ')}.`];
}

/** Dumps of which zstd makes less. @param {readonly any[]} rows */
function smallerText(rows) {
  const smaller = rows.flatMap(({ own, zstd }, i) => (zstd.bytes < own.bytes ? [`${i + 1}`] : []));
  return smaller.length === 0 ? '' : `\n\nSmaller with zstd --patch-from: dump ${smaller.join(', ')}.`;
}

/** What single states take: noise, dictionaries, one beyond 4 GiB. @param {Record<string, any>} parts */
function otherBlocks({ noise, dictionary, long }) {
  const blocks = [];
  if (noise) {
    const { bytes, added, encodeMs, copyMs, keptMs, sha256Ms } = noise;
    const kept = keptMs === undefined ? '' : `, one into memory of its own, as a baseline has it, ${showMs(keptMs)}`;
    blocks.push(
      `**Noise**: ${showBytes(bytes)} that cannot be compressed go out as they are with ${added} B around them, in ${showMs(encodeMs)}: ` +
        `the baseline is copied and the state hashed. A copy over memory that is there takes ${showMs(copyMs)}${kept}, SHA-256 ${showMs(sha256Ms)}.`,
    );
  }
  if (dictionary) {
    const rows = Object.entries(dictionary).map(([name, { stateBytes, alone, trained, dictionaries }]) => [
      name,
      showBytes(stateBytes),
      showBytes(alone),
      showBytes(trained),
      `${(100 * (1 - trained / alone)).toFixed(1)} %`,
      `${dictionaries}`,
    ]);
    const head = ['class', 'state', 'message alone', 'with dictionary', 'saved', 'trained'];
    blocks.push('**Dictionaries** on states that training did not see, what carries them counted', table(head, rows));
  }
  if (long) {
    const turns = long.turns.map(
      (/** @type {any} */ { turn, messageBytes, ms }) => `${turn}: ${showBytes(messageBytes)} in ${showMs(ms)}`,
    );
    blocks.push(
      `**A file of ${showBytes(long.bytes)}** through \`encodeStream\` and \`decodeStream\`, compared by SHA-256, its time included: ${turns.join('; ')}. ` +
        `The encoder keeps ${showBytes(long.baselineMemoryBytes)} of page hashes.`,
    );
  }
  return blocks;
}

/** @param {number} level 0: without zstd */
const levelText = (level) => (level === 0 ? 'as they are' : `level ${level}`);

/** What other work notices, and what options give. @param {Record<string, any>} parts */
function pacedBlocks({ delay, pageMode, links }) {
  const blocks = [];
  if (delay) {
    const rows = [...delay.rows, ...(delay.plain ?? [])].map(
      (/** @type {any} */ { state, maxMs, mostMs, medianMs }) => [
        state,
        showMs(maxMs),
        // Of older results they are not known.
        mostMs === undefined ? '–' : showMs(mostMs),
        medianMs === undefined ? '–' : showMs(medianMs),
      ],
    );
    blocks.push(
      `**Event loop** while states of ${showBytes(delay.bytes)} are encoded and decoded, ${delay.times} of each kind: the longest delay of each call; decoded into memory of the caller, or of their own; and while plain work goes on with as many bytes`,
      table(['state', 'longest', '19 of 20', 'median'], rows),
    );
  }
  if (pageMode) {
    const rows = pageMode.rows.map(
      (/** @type {any} */ { keep, change = 'rewritten', messageBytes, cpuMs, wallMs, memoryBytes }) => [
        keep,
        change,
        showBytes(memoryBytes),
        `${((100 * memoryBytes) / pageMode.bytes).toFixed(2)} %`,
        showBytes(messageBytes),
        rate(pageMode.bytes, cpuMs),
        wallMs === undefined ? '–' : showMs(wallMs),
      ],
    );
    blocks.push(
      `**Page hashes instead of copies** (\`keep: 'pages'\`): ${showBytes(pageMode.bytes)} of noise, 1 % of its pages rewritten, or one word in each of them; each delta decoded and compared`,
      table(['keep', 'pages', 'baseline in memory', 'of the state', 'delta', 'encode', 'a delta'], rows),
    );
  }
  if (links) {
    const rows = links.rows.map((/** @type {any} */ { mbits, chosen, ms, best, totals }) => [
      `${mbits} Mbit/s`,
      levelText(chosen),
      `**${showMs(ms)}**`,
      `${showMs(best.ms)} (${levelText(best.level)})`,
      ...totals.map((/** @type {any} */ one) => showMs(one.ms)),
    ]);
    const levels = links.rows[0].totals.map((/** @type {any} */ { level }) => levelText(level));
    blocks.push(
      `**Bandwidth-aware mode** (\`linkBytesPerSecond\`): coding and sending a state of ${showBytes(links.bytes)} (records of a cache, first messages), ` +
        'the last third of the states, what it costs to try levels included, beside fixed levels (medians; up to level 6 by turns with it)',
      table(['link', 'level chosen', 'time', 'best fixed level', ...levels], rows),
    );
  }
  return blocks;
}

/** How the factors came about. @param {any} row of the results */
function methodText(row) {
  const brackets = 'In brackets how many times as long as ours it takes';
  if (row?.factors === undefined) return `${brackets}.`;
  return (
    `${brackets}: in each of ${row.trials} trials, which are processes of their own, both sides take turns in blocks of some ten milliseconds and at least three calls, in changing order; ` +
    'the factor is the median of the ratios of all neighbouring blocks, behind it their quartiles. Rates are of the median over all blocks of a side by itself.'
  );
}

/** What stands for the older system, and what it leaves out. @param {Record<string, any>} workloads */
function olderText(workloads) {
  const rows = Object.values(workloads).map(({ olderOwn }) => olderOwn);
  const without = rows.filter((own) => own?.bytes === undefined);
  const [first] = rows;
  const own =
    without.length > 0 || first === undefined
      ? `Its own library was not measured here (${without[0]?.missing ?? 'by an older run of the bench'}): verdicts go by what was written again with C zstd. `
      : `With its own library: a program in Go (\`bench/state/older-path.go\`) on klauspost/compress, its level for zstd 3, a stream with concurrency 4 on ${first.threads} ` +
        'threads, XOR byte by byte. Verdicts on the older path go by this one. ';
  return (
    `**The older path** is the older system's: XOR over everything, zstd level 3. It makes and checks no digest, says nothing about its baseline, and does not verify what it decodes. ${own}` +
    'With C zstd: the same written again here, XOR by words of 8 bytes, C zstd 1.5 in one thread, which is faster than what the older system ran. Of a first message, which has nothing to refer to, ' +
    `both stand for zstd of the state alone. Processor time of all threads everywhere, after a warm-up of a quarter of a second. ${methodText(Object.values(workloads)[0])}`
  );
}

/** @param {import('../lib/measured-parts.mjs').PartResults} result */
function sectionText(result) {
  const { parts } = result;
  const blocks = [
    '## State encoder',
    madeBy(result, 'npm run bench:state'),
    'Messages are counted whole: key, digests, checksum. Rates are state bytes by processor time of all threads, hence those of one core, ' +
      'with both digests (XXH3-128) computed and checked. Every message was decoded and compared in the same run, which is off the clock as for the older path. Deltas are decoded into memory of the caller. ' +
      'XBZRLE is a plain reference of what QEMU sends. Deltas were taken with `level: 3`, `minCompressionRatio: 1` ' +
      'and `deltasMax` without a limit, so that each is one; first messages with room for four baselines, so that each takes the place of an ' +
      'older one; the rest with the defaults.',
    judgedBlock(judgeStates(parts)),
  ];
  if (parts.workloads) {
    const of = (/** @type {string} */ limit) => [
      ...[
        'state',
        'message',
        limit,
        'older path, own library',
        'with C zstd',
        'XBZRLE',
        'zstd --patch-from',
        'encode',
        'decode',
      ],
      ...['older path: encode', 'decode', 'with C zstd: encode'],
    ];
    blocks.push(
      olderText(parts.workloads),
      '**The older system\'s own workloads** (mostly periodic data; "claimed" is what it documents, of the throughput pair the rates of coding and decoding)',
      table(of('claimed'), workloadRows(parts.workloads, false)),
      ...slowerText(parts.workloads),
      '**Fair versions**: random positions and values, next to the information that they hold',
      table(of('information'), workloadRows(parts.workloads, true)),
    );
  }
  blocks.push(...otherBlocks(parts), ...pacedBlocks(parts));
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
      showMs(row.fullMs),
      showMs(row.deltaMs),
      showBytes(row.baselineMemoryBytes),
      showBytes(row.rssBytes),
    ]);
    blocks.push(
      '**Many keys** of one size',
      table(['keys', 'first message', 'delta', 'baselines', 'RSS grown by'], rows),
    );
  }
  if (parts.concurrency) {
    const { operations, lost, perSecond, rssMax, failures } = parts.concurrency;
    blocks.push(
      `**100 keys from 10 workers** (asynchronous loops of one process, around one encoder and one decoder): ${operations} states of 256 KiB encoded, decoded and compared, in the order of the calls and the last of each key at the end, ${perSecond.toFixed(0)} a second; ` +
        `${lost} lost or wrong, ${failures} failures, RSS at most ${showBytes(rssMax)}.`,
    );
  }
  blocks.push(...notMeasured(result));
  return blocks.map((block) => block.trimEnd()).join('\n\n');
}

/**
 * Puts the section into a document, in place of the one before or at the end.
 * @param {string} file
 * @param {import('../lib/measured-parts.mjs').PartResults} result
 */
export function writeStates(file, result) {
  writeSection(file, { name: 'states', program: 'bench/state/run-states.mjs', text: sectionText(result) });
}
