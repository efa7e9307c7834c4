/**
 * Writes THIRD-PARTY-NOTICES.md from what ships: the C sources compiled into the
 * addon (`native/<face>/vendor`, unpacked by vendor.mjs) and the npm packages that
 * an installation brings along, with what those carry inside. Licences are read
 * from disk, never from memory; a package without one stops the script.
 *
 *   --check   writes nothing; fails when the file is not what would be written
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const output = path.join(root, 'THIRD-PARTY-NOTICES.md');
const read = (...parts) => fs.readFileSync(path.join(root, ...parts), 'utf8');
const vendorPins = JSON.parse(read('scripts', 'vendor.json'));

/** Comment block that opens a C file, without its decoration. */
function headerComment(text) {
  const block = /\/\*([\s\S]*?)\*\//.exec(text)?.[1] ?? '';
  const lines = block.split('\n').map((line) => line.replace(/^ ?\* ?/, '').trimEnd());
  const start = lines.findIndex((line) => line.startsWith('Copyright'));
  const end = lines.findIndex((line) => line.startsWith('You can contact'));
  if (start < 0) throw new Error('the header names no copyright');
  return lines.slice(start, end < 0 ? undefined : end).join('\n');
}

/** Packages that a vendored face was unpacked from. */
function pinned(face) {
  return vendorPins.find((entry) => entry.face === face).parts.map((part) => part.package);
}

/** Version as the sources themselves state it. */
function defined(file, ...names) {
  const text = read(file);
  const values = names.map((name) => new RegExp(`#define\\s+${name}\\s+"?([\\d.]+)"?`).exec(text)?.[1]);
  if (values.includes(undefined)) throw new Error(`${file} does not define ${names.join(', ')}`);
  return values.join('.');
}

function vendored() {
  const zstd = ['ZSTD_VERSION_MAJOR', 'ZSTD_VERSION_MINOR', 'ZSTD_VERSION_RELEASE'];
  const xxhash = ['XXH_VERSION_MAJOR', 'XXH_VERSION_MINOR', 'XXH_VERSION_RELEASE'];
  return [
    {
      name: `zstd ${defined('native/zstd/vendor/zstd.h', ...zstd)}`,
      licence: 'BSD-3-Clause (offered together with GPL-2.0; BSD is taken)',
      text: read('native/zstd/vendor/LICENSE'),
      note: `addon; sources from ${pinned('zstd').join(', ')}`,
    },
    {
      name: `BLAKE3 ${defined('native/blake3/vendor/blake3.h', 'BLAKE3_VERSION_STRING')}`,
      licence: 'Apache-2.0 (offered together with CC0-1.0; Apache-2.0 is taken)',
      text: read('native/blake3/vendor/LICENSE_A2'),
      note: `addon; sources from ${pinned('blake3').join(', ')}`,
    },
    {
      name: `xxHash ${defined('native/xxhash/vendor/xxhash.h', ...xxhash)}`,
      licence: 'BSD-2-Clause',
      text: headerComment(read('native/xxhash/vendor/xxhash.h')),
      note: `addon; sources from ${pinned('xxhash').join(', ')}`,
    },
    {
      name: pinned('node-api').join(', ').replace('@', ' '),
      licence: 'MIT',
      text: read('native/node-api/vendor/LICENSE'),
      note: 'headers that the addon is built with',
    },
    {
      name: `bzip2 ${/libbzip2 version ([\d.]+)/.exec(read('native/bzip2/vendor/bzlib.h'))[1]}`,
      licence: 'bzip2-1.0.6',
      text: read('native/bzip2/vendor/COPYING'),
      note: `addon; sources from ${pinned('bzip2').join(', ')}`,
    },
  ];
}

/** Folder of a package as Node would find it from another package's folder. */
function folderOf(name, from) {
  for (let at = from; ; at = path.dirname(at)) {
    const folder = path.join(at, 'node_modules', name);
    if (fs.existsSync(path.join(folder, 'package.json'))) return folder;
    if (at === root || at === path.dirname(at)) throw new Error(`${name} is not installed: npm ci`);
  }
}

/** Folders of all production dependencies, each once. */
function productionFolders() {
  const found = new Set();
  const visit = (folder) => {
    const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    for (const name of Object.keys(manifest.dependencies ?? {})) {
      const next = folderOf(name, folder);
      if (found.has(next)) continue;
      found.add(next);
      visit(next);
    }
  };
  visit(root);
  return [...found];
}

/** Licence text of a package; undefined for one that only declares MIT in its manifest. */
function licenceText(folder, manifest) {
  const file = fs.readdirSync(folder).find((name) => /^(licen[cs]e|copying)/i.test(name));
  if (file) return fs.readFileSync(path.join(folder, file), 'utf8');
  if (manifest.license !== 'MIT') throw new Error(`${manifest.name} carries no licence text`);
  return undefined;
}

/** Third-party code inside an installed package that has a licence of its own. */
const CARRIED = [
  {
    within: 'classic-level',
    name: 'LevelDB 1.20',
    licence: 'BSD-3-Clause',
    file: 'deps/leveldb/leveldb-1.20/LICENSE',
  },
  { within: 'classic-level', name: 'Snappy', licence: 'BSD-3-Clause', file: 'deps/snappy/snappy/COPYING' },
];

function carried() {
  return CARRIED.map(({ within, name, licence, file }) => ({
    name,
    licence,
    text: fs.readFileSync(path.join(folderOf(within, root), file), 'utf8'),
    note: `inside ${within}`,
  }));
}

function packages() {
  const entries = productionFolders().map((folder) => {
    const manifest = JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
    const text = licenceText(folder, manifest);
    return {
      name: `${manifest.name} ${manifest.version}`,
      licence: manifest.license,
      text,
      note: text === undefined ? 'npm package; states its licence without a text' : 'npm package',
    };
  });
  const unique = new Map(entries.map((entry) => [entry.name, entry]));
  return [...unique.values()].sort((one, other) => (one.name < other.name ? -1 : 1));
}

/** One paragraph per paragraph, lines joined: the same terms wrapped differently are the same terms. */
function paragraphs(text) {
  return text
    .replace(/\r/g, '')
    .split(/\n\s*\n/)
    .map((part) => part.split(/\s+/).join(' ').trim())
    .filter((part) => part !== '');
}

const isTitle = (part) => /^[#(]*\s*(The )?(MIT|ISC)( License)?( \(MIT\))?[)#\s]*$/i.test(part);
const isCopyright = (part) => /^(copyright\b|\(c\) ?\d{4}|all rights reserved)/i.test(part);

/** Groups by terms: copyright lines stay with each name, the terms are printed once. */
function byTerms(entries) {
  const groups = new Map();
  for (const entry of entries) {
    if (entry.text === undefined) continue;
    const parts = paragraphs(entry.text);
    const terms = parts.filter((part) => !isTitle(part) && !isCopyright(part)).join('\n\n');
    const copyright = parts.filter(isCopyright).map((part) => part.replace(/[<>]/g, (sign) => `\\${sign}`));
    const group = groups.get(terms) ?? { terms, licence: entry.licence, entries: [] };
    group.entries.push({ ...entry, copyright });
    groups.set(terms, group);
  }
  return [...groups.values()];
}

function render() {
  const all = [...vendored(), ...carried(), ...packages()];
  const lines = [
    '# Third-party notices',
    '',
    'Written by `node scripts/third-party-notices.mjs` from the licences on disk; not edited by hand. Lists what is',
    'compiled into the addon and what an installation brings along. Tools used only to build and test are not listed.',
    '',
    '| name | licence | where |',
    '|---|---|---|',
    ...all.map(({ name, licence, note }) => `| ${name} | ${licence} | ${note} |`),
  ];
  for (const { terms, entries } of byTerms(all)) {
    const first = entries[0];
    lines.push('', `## ${entries.length === 1 ? first.name : `${first.licence}: ${entries.length} packages`}`, '');
    for (const { name, copyright } of entries) {
      lines.push(`- ${name}${copyright.length > 0 ? `: ${copyright.join('; ')}` : ''}`);
    }
    lines.push('', '```text', terms, '```');
  }
  return `${lines.join('\n')}\n`;
}

const text = render();
if (!process.argv.includes('--check')) {
  fs.writeFileSync(output, text);
  console.log(`wrote ${path.basename(output)}`);
} else if (!fs.existsSync(output) || fs.readFileSync(output, 'utf8') !== text) {
  console.error('THIRD-PARTY-NOTICES.md is out of date: node scripts/third-party-notices.mjs');
  process.exitCode = 1;
}
