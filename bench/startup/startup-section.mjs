/** The section of docs/performance.md about how soon the program is there. */
import { showBytes, showMs, table } from '../lib/figures.mjs';
import { writeSection } from '../lib/marked-section.mjs';

const PROGRAM = 'bench/startup/run-startup.mjs';
const LIMIT_MS = 150;

/** Rows of the table: what is measured, in words. */
const ROWS = {
  node: 'floor: `node -e 0`',
  'executable version': 'one file: `--version`',
  'npm version': 'npm: `--version`',
  'executable capture': 'one file: `capture`, nothing changed',
  'npm capture': 'npm: `capture`, nothing changed',
  'executable run': 'one file: `-- date`, run to its end',
  'npm run': 'npm: `-- date`, run to its end',
};

/** @param {number} ms */
const judged = (ms) => (ms <= LIMIT_MS ? showMs(ms) : `**${showMs(ms)}**`);

/** @param {any} result */
function sectionText({ quick, trials, date, machine, starts }) {
  const rows = Object.entries(ROWS).map(([key, words]) => {
    const { wallMs, lowMs, highMs, cpuMs, rssBytes, runsMs } = starts[key];
    const range = `${showMs(lowMs)} – ${showMs(highMs)}`;
    // A capture is work, not start; and the end of a run is the application's, and our last capture.
    const first = key.endsWith(' capture') || key === 'node' ? '–' : judged(runsMs ?? wallMs);
    return [words, first, showMs(wallMs), range, showMs(cpuMs), showBytes(rssBytes)];
  });
  const head = ['', 'until it is there', 'whole run', 'min – max', 'CPU', 'peak memory'];
  return [
    '## Start of the program',
    `${quick ? 'Quick run: **do not quote**. ' : ''}Made by \`npm run bench:startup\` on ${date}; ${machine.CPU}, ${machine.engine}, ` +
      `node ${machine.node}, commit ${machine.commit}. Medians of ${trials} trials, each a process of its own, the programs in turns; ` +
      'exit code and output of each were checked; the files are in the page cache; `NODE_EXTRA_CA_CERTS` and `NODE_OPTIONS` are not set.',
    `*one file*: \`out/diffkeeper\` of \`npm run build:executable\`; *npm*: \`node dist/cli/main.js\`, with the compiled code beside it that an installation keeps. ` +
      'The directory has 100 files of 10 KB and was captured before. *until it is there*: of `--version` the whole run, in run mode the time ' +
      `from starting DiffKeeper until the application (\`date\`) says the time, the directory recovered. Over ${LIMIT_MS} ms is bold.`,
    table(head, rows).trimEnd(),
  ].join('\n\n');
}

/**
 * @param {string} file
 * @param {object} result
 */
export function writeStartup(file, result) {
  writeSection(file, { name: 'startup', program: PROGRAM, text: sectionText(result) });
}
