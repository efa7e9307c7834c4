/**
 * Keeps a directory from within a program: a session stays warm between captures, so that each costs what changed.
 * Then looks at the history, brings an older state back beside the newest, and drops what is not wanted any more.
 *
 *   node examples/capture-from-code.mjs
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCaptureSession, openStore, prune, recover } from 'diffkeeper';

const folder = await mkdtemp(join(tmpdir(), 'diffkeeper-example-'));
const state = join(folder, 'state');
await mkdir(state);

const store = await openStore(join(folder, 'keep'), { create: true });
const session = await openCaptureSession(store, state);
for (let day = 1; day <= 5; day += 1) {
  await writeFile(join(state, 'diary.txt'), `day ${day}\n`, { flag: 'a' });
  await writeFile(join(state, 'today.json'), JSON.stringify({ day }));
  const { checkpoint, added, changed, storedBytes } = await session.capture({ tag: `day ${day}` });
  console.log(
    `checkpoint ${checkpoint?.sequence}: ${added} files new, ${changed} changed, ${storedBytes} bytes stored`,
  );
}
await session.close();

for await (const { sequence, tag } of store.checkpoints({ limit: 2 })) console.log(`newest: ${sequence} "${tag}"`);

const past = join(folder, 'day-2');
const report = await recover(store, past, { at: 2 });
console.log(`day 2 is back: ${report.written} files, root verified: ${report.rootVerified}`);
console.log((await readFile(join(past, 'diary.txt'), 'utf8')).trim().split('\n').join(', '));

const { kept, dropped } = await prune(store, { keepLast: 3 });
console.log(`pruned: ${dropped.length} dropped, ${kept.join(', ')} kept`);

await store.close();
await rm(folder, { recursive: true });
