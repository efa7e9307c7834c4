// One diff or one patch by a package of npm.
//
//   node npm-one.mjs FOLDER bsdiff-node|fossil-delta diff SOURCE TARGET DELTA
//   node npm-one.mjs FOLDER bsdiff-node|fossil-delta patch SOURCE DELTA TARGET
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder = '', name = '', verb, source = '', second = '', out = ''] = process.argv.slice(2);
const file = createRequire(path.join(folder, 'package.json')).resolve(name);
const library = await import(pathToFileURL(file).href);
if (name === 'bsdiff-node') {
  await (verb === 'diff' ? library.default.diff(source, second, out) : library.default.patch(source, out, second));
} else {
  const run = verb === 'diff' ? library.createDelta : library.applyDelta;
  writeFileSync(out, Uint8Array.from(run(readFileSync(source), readFileSync(second))));
}
