/** Many small files, of which one in a hundred is edited for each later version, as people and programs edit. */
import { chmodSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SeededRandom } from '../lib/seeded-data.mjs';
import { VersionTrials, versionCount } from '../lib/version-trials.mjs';

const FILES = 20_000;
const VERSIONS = 5;
const CHANGED_SHARE = 0.01;
const BYTES_MIN = 1000;
const BYTES_MAX = 50_000;
const FILES_PER_DIRECTORY = 50;
const LINK_EVERY = 1000;
const KINDS = /** @type {const} */ (['json', 'json', 'json', 'json', 'ts', 'ts', 'ts', 'log', 'log', 'bin']);

/**
 * @param {number} scale
 * @param {number} [files]
 */
const fileCount = (scale, files = FILES) => Math.max(20, Math.round(files * scale));

/** @param {number} index */
function nameOf(index) {
  const directory = Math.floor(index / FILES_PER_DIRECTORY);
  return `part-${directory % 20}/group-${directory}/item-${index}.${KINDS[index % KINDS.length]}`;
}

/**
 * One line of a text file.
 * @param {string} kind
 * @param {SeededRandom} random
 */
function lineOf(kind, random) {
  const number = random.below(100_000);
  if (kind === 'json')
    return `    "${random.words(1)}_${number}": "${random.words(3)} ${random.bytes(4).toString('hex')}",`;
  if (kind === 'ts')
    return `  const ${random.words(1)}${number} = ${random.words(1)}(${random.words(1)}, ${number}); // ${random.words(4)}`;
  return `2026-01-02T03:${number % 60}:${number % 59}.${number % 1000}Z ${random.words(1)} id=${number} ${random.words(5)}`;
}

/**
 * @param {string} kind
 * @param {SeededRandom} random
 */
function contentOf(kind, random) {
  const length = random.logUniform(BYTES_MIN, BYTES_MAX);
  if (kind === 'bin') return random.halfCompressible(length);
  const lines = [];
  for (let size = 0; size < length; ) {
    const line = lineOf(kind, random);
    lines.push(line);
    size += line.length + 1;
  }
  return Buffer.from(`${lines.join('\n')}\n`);
}

/**
 * A small edit: of a text file one to three lines change, come or go; of a binary file up to 200 bytes in place.
 * @param {Buffer} bytes
 * @param {string} kind
 * @param {SeededRandom} random
 */
function edited(bytes, kind, random) {
  if (kind === 'bin') {
    const length = Math.min(bytes.length, 16 + random.below(200));
    random.bytes(length).copy(bytes, random.below(bytes.length - length + 1));
    return bytes;
  }
  const lines = bytes.toString('utf8').split('\n');
  for (let edits = 1 + random.below(3); edits > 0; edits -= 1) {
    const at = random.below(lines.length - 1);
    const removed = random.pick([1, 1, 0, 2]);
    lines.splice(at, removed, ...(removed === 2 ? [] : [lineOf(kind, random)]));
  }
  return Buffer.from(lines.join('\n'));
}

/**
 * Makes the first version. Also the state of the scenario `noop`.
 * @param {string} state
 * @param {number} count
 */
export function makeSmallFiles(state, count) {
  const random = new SeededRandom('small-files 1');
  for (let index = 0; index < count; index += 1) {
    const path = join(state, nameOf(index));
    if (index % FILES_PER_DIRECTORY === 0) mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, contentOf(KINDS[index % KINDS.length] ?? 'bin', random));
    if (index % 100 === 4) chmodSync(path, 0o755);
    if (index % LINK_EVERY === 0) symlinkSync(`item-${index}.json`, join(dirname(path), 'first'));
  }
}

/**
 * @param {string} state
 * @param {number} version
 * @param {number} count
 */
function changeSmallFiles(state, version, count) {
  const random = new SeededRandom(`small-files ${version}`);
  const chosen = new Set();
  while (chosen.size < Math.max(1, Math.round(count * CHANGED_SHARE))) chosen.add(random.below(count));
  for (const index of chosen) {
    const path = join(state, nameOf(index));
    const bytes = edited(readFileSync(path), KINDS[index % KINDS.length] ?? 'bin', random);
    // Half of the programs write in place, half through a temporary file.
    const inPlace = random.below(2) === 0;
    writeFileSync(inPlace ? path : `${path}.new`, bytes);
    if (inPlace) continue;
    chmodSync(`${path}.new`, index % 100 === 4 ? 0o755 : 0o644);
    renameSync(`${path}.new`, path);
  }
}

/** @type {import('../lib/bench-types.js').Scenario} */
export const smallFiles = {
  name: 'small-files',
  title: 'Many small files',
  laterName: 'capture after 1 % of the files were edited',
  describe: (scale, quick) =>
    `${fileCount(scale)} files of 1 to 50 KB (JSON, source text, logs, one in ten binary); ${versionCount(VERSIONS, quick)} versions, each with ` +
    'small edits in 1 % of the files.',
  needsBytes: (scale, trials) => trials * scale * 4e9,
  run: (context) =>
    new VersionTrials(
      {
        name: 'small-files',
        versions: VERSIONS,
        make: (state, scale) => makeSmallFiles(state, fileCount(scale)),
        change: (state, version, scale) => changeSmallFiles(state, version, fileCount(scale)),
        removeAfterTrial: false,
      },
      context,
    ).run(),
};
