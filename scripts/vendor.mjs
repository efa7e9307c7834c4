// Unpacks the third-party C that the addon is built from into native/<face>/vendor.
// Each package comes from the configured npm registry and must have exactly the
// sha512 written in vendor.json; nothing of it is run. A stamp makes the next call free.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const faces = JSON.parse(fs.readFileSync(path.join(root, 'scripts/vendor.json'), 'utf8'));

/** Downloads one package into `directory` and returns the archive's path once its digest is right. */
function download(part, directory) {
  const name = execFileSync(
    'npm',
    ['pack', part.package, '--silent', '--ignore-scripts', '--pack-destination', directory],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const archive = path.join(directory, path.basename(name.trim().split('\n').at(-1)));
  const digest = createHash('sha512').update(fs.readFileSync(archive)).digest('base64');
  if (`sha512-${digest}` !== part.integrity) {
    throw new Error(`${part.package} has sha512-${digest}, expected ${part.integrity}`);
  }
  return archive;
}

/** Moves the wanted files and folders of one package below `destination`. */
function unpack(part, destination) {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'diffkeeper-vendor-'));
  try {
    execFileSync('tar', ['-xzf', download(part, work), '-C', work]);
    for (const [from, to] of Object.entries(part.take)) {
      const source = path.join(work, 'package', from);
      const target = path.join(destination, to);
      fs.mkdirSync(path.dirname(target), { recursive: true });
      fs.cpSync(source, target, { recursive: true });
    }
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

for (const { face, parts } of faces) {
  const destination = path.join(root, 'native', face, 'vendor');
  const stamp = path.join(destination, '.stamp');
  const wanted = JSON.stringify(parts);
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === wanted) continue;
  fs.rmSync(destination, { recursive: true, force: true });
  fs.mkdirSync(destination, { recursive: true });
  for (const part of parts) unpack(part, destination);
  fs.writeFileSync(stamp, wanted);
  console.log(`vendored ${face}: ${parts.map((part) => part.package).join(', ')}`);
}
