/** The section of docs/performance.md about a very large file and very many small ones. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { writeSection } from '../lib/marked-section.mjs';
import { madeBy, notMeasured } from '../lib/measured-parts.mjs';

const PROGRAM = 'bench/large/run-large.mjs';
const RSS_MAX = 512 << 20;
const DISK_SHARE = 0.6;
const STEPS = {
  first: 'first capture',
  later: 'later capture',
  recoverNewest: 'recover, newest',
  recoverOlder: 'recover, the one before',
  unpack: '`tar -x` of the newer files',
};

/** Recover beside the faster way of only writing the same bytes. @param {any} part */
function besideDisk({ size, written, recoverNewest, medians, turns }) {
  if (!written || !medians) return 'What a program that only writes takes was not measured then.';
  const { cached, direct, copied } = written;
  const best = Math.max(cached, direct ?? 0);
  const share = size / (recoverNewest.settledMs / 1000) / best;
  const shown = `${(share * 100).toFixed(0)} %`;
  const processors = (recoverNewest.cpuMs / recoverNewest.wallMs).toFixed(1);
  const past =
    direct === undefined
      ? 'nothing past it, which the file system refuses'
      : `${showBytes(direct)}/s past it (\`O_DIRECT\`)`;
  const beside =
    copied === undefined
      ? ''
      : ` A program that only copies such a file, past the page cache and reading while it writes, gets ${showBytes(copied)}/s out of the disk, ` +
        `${((100 * copied) / best).toFixed(0)} % of the faster: as much as a recover can have of it whose packs are not in memory and as long as the file.`;
  return (
    `A program that does nothing but write as many bytes to one new file, by turns with the recovers and as often, wrote ${showBytes(cached)}/s ` +
    `through the page cache, until on the disk, and ${past}, best of ${turns} each: recover has ` +
    `${share >= DISK_SHARE ? shown : `**${shown}**`} of the faster, with ${processors} processors at work; by the medians of all turns, ` +
    `${showBytes(size / (medians.recoverMs / 1000))}/s of ${showBytes(medians.written)}/s, it has ${((100 * size) / (medians.recoverMs / 1000) / medians.written).toFixed(0)} %.${beside}`
  );
}

/** @param {any} part */
function partBlocks(part) {
  const { count, size, storedFirst, storedLater, recoverNewest, unpack } = part;
  const head = ['step', 'process', 'until on the disk', 'rate', 'files a second', 'CPU', 'peak memory'];
  const measured = Object.entries(STEPS).filter(([key]) => part[key] !== undefined);
  const rows = measured.map(([key, title]) => {
    const { wallMs, settledMs, cpuMs, rssBytes } = part[key];
    const seconds = settledMs / 1000;
    const memory = rssBytes <= RSS_MAX ? showBytes(rssBytes) : `**${showBytes(rssBytes)}**`;
    const rate = `${showBytes(size / seconds)}/s`;
    return [title, showMs(wallMs), showMs(settledMs), rate, (count / seconds).toFixed(0), showMs(cpuMs), memory];
  });
  const stored = `Stored: ${showBytes(storedFirst)} after the first capture, ${showBytes(storedLater - storedFirst)} more after the later one.`;
  // Of small files making them is the work, whatever is written into them.
  const beside = unpack
    ? `\`tar\` makes the same files, unverified, in ${showMs(unpack.settledMs)}: recover takes ${(recoverNewest.settledMs / unpack.settledMs).toFixed(2)} times as long.`
    : besideDisk(part);
  return [table(head, rows).trimEnd(), `${stored} ${beside}`];
}

/** @param {any} result */
function sectionText(result) {
  const { parts, machine } = result;
  const blocks = [
    '## Large and many',
    `${madeBy(result, 'npm run bench:large')} ${machine.memory}, ${machine['file system']}. One run, each step a process of ` +
      'its own, of recovers the fastest by turns (five of the large file, two of the many); every tree that came back was compared. Rates are content by the time until all of it is on the disk (`sync`). Limits: ' +
      `peak memory ${showBytes(RSS_MAX)}, and for the large file recover at ${DISK_SHARE * 100} % of what the disk takes in the same run; what misses them is bold.`,
  ];
  if (parts.file) {
    const title = `One file of ${showBytes(parts.file.size)}, of which a fifth (1 MiB blocks, at random) is rewritten`;
    blocks.push(`**${title}**`, ...partBlocks(parts.file));
  }
  if (parts.many) {
    const { count, size } = parts.many;
    const title = `${count} files of text, ${showBytes(size)} in all, of which one in a hundred is rewritten`;
    blocks.push(`**${title}**`, ...partBlocks(parts.many));
  }
  return [...blocks, ...notMeasured(result)].join('\n\n');
}

/**
 * @param {string} file
 * @param {any} result
 */
export function writeLarge(file, result) {
  writeSection(file, { name: 'large', program: PROGRAM, text: sectionText(result) });
}
