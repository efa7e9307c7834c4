#!/usr/bin/env node
/**
 * Writes the bill of materials of a release (CycloneDX): the npm packages that an installation brings, from the lock file, and
 * the C sources compiled into the addon, from scripts/vendor.json.
 *
 *   npm run sbom [-- --out=out/diffkeeper.cdx.json]
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { values } = parseArgs({
  options: { out: { type: 'string', default: join(root, 'out', 'diffkeeper.cdx.json') } },
});

const words = ['sbom', '--package-lock-only', '--omit=dev', '--sbom-format=cyclonedx', '--sbom-type=application'];
const run = spawnSync('npm', words, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
if (run.status !== 0) throw new Error(`npm sbom failed: ${run.stderr}`);
const bill = JSON.parse(run.stdout);
// npm names it after the folder of the checkout.
bill.metadata.component.name = 'diffkeeper';

/** `name@version`, where the name may begin with a scope. */
function pinned(text) {
  const at = text.lastIndexOf('@');
  return { name: text.slice(0, at), version: text.slice(at + 1) };
}

/** SHA-512 as the lock file and the pins write it. @param {string} integrity */
const hashes = (integrity) => [{ alg: 'SHA-512', content: Buffer.from(integrity.slice(7), 'base64').toString('hex') }];
const purl = (name, version) => `pkg:npm/${name.replace('@', '%40')}@${version}`;

// npm leaves out what a tool for development needs, too.
const named = new Set(bill.components.map(({ name, version }) => `${name}@${version}`));
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
for (const [place, { version, integrity, license, dev }] of Object.entries(lock.packages)) {
  const name = place.split('node_modules/').at(-1);
  const ref = `${name}@${version}`;
  if (place === '' || dev || named.has(ref)) continue;
  const licenses = license ? [{ license: { id: license } }] : [];
  bill.components.push({
    ...{ type: 'library', 'bom-ref': ref, name, version, scope: 'required' },
    ...{ purl: purl(name, version), hashes: hashes(integrity), licenses },
  });
}

for (const { face, parts } of JSON.parse(readFileSync(join(root, 'scripts', 'vendor.json'), 'utf8'))) {
  for (const part of parts) {
    const { name, version } = pinned(part.package);
    bill.components.push({
      type: 'library',
      'bom-ref': `${face}: ${part.package}`,
      name,
      version,
      description: `C sources of ${face}, compiled into the addon`,
      scope: 'required',
      purl: purl(name, version),
      hashes: hashes(part.integrity),
    });
  }
}
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, `${JSON.stringify(bill, null, 1)}\n`);
console.log(`${values.out}: ${bill.components.length} components`);
