/** The applications of the sidecar's benchmarks; each is a process of its own: `node sidecar-loads.mjs NAME DIR ...`. */
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { seeded } from '../../demo/seeded.mjs';

const MEGABYTE = 1 << 20;

/** Dirties this many MB all over one file, again and again, evenly over each second. */
async function dirty(directory, megabytes, seconds) {
  mkdirSync(directory, { recursive: true });
  const random = seeded(5);
  const page = Buffer.alloc(4096);
  const pages = (Number(megabytes) * MEGABYTE) / page.length;
  const fd = openSync(join(directory, 'dirty.bin'), 'w+');
  for (let at = 0; at < pages; at += 1) writeSync(fd, page, 0, page.length, at * page.length);
  const endMs = Date.now() + Number(seconds) * 1000;
  const slices = 50;
  for (let round = 0; Date.now() < endMs; round += 1) {
    for (let at = round % slices; at < pages; at += slices) {
      page.writeUInt32LE(random(2 ** 31), random(1000) * 4);
      writeSync(fd, page, 0, page.length, at * page.length);
    }
    await sleep(1000 / slices);
  }
  closeSync(fd);
}

/** Replaces small files at this rate; each holds the moment of its writing. */
async function changes(directory, perSecond, seconds) {
  mkdirSync(directory, { recursive: true });
  const startMs = Date.now();
  for (let written = 0; ; ) {
    const due = Math.min(((Date.now() - startMs) * Number(perSecond)) / 1000, Number(perSecond) * Number(seconds));
    for (; written < due; written += 1) {
      const name = join(directory, `f${written % 500}`);
      writeFileSync(`${name}.new`, `${Date.now()}\n${'x'.repeat(200)}`);
      renameSync(`${name}.new`, name);
    }
    if (written >= Number(perSecond) * Number(seconds)) break;
    await sleep(5);
  }
  await sleep(1500);
}

/** Makes many new files as fast as it can, after a moment of calm; says when it began. */
async function burst(directory, count) {
  mkdirSync(directory, { recursive: true });
  await sleep(2000);
  process.stdout.write(`began ${Date.now()}\n`);
  for (let at = 0; at < Number(count); at += 1) {
    if (at % 100 === 0) mkdirSync(join(directory, `d${at / 100}`));
    writeFileSync(join(directory, `d${Math.floor(at / 100)}`, `f${at}`), `file ${at}\n`.repeat(20));
  }
  process.stdout.write(`ended ${Date.now()}\n`);
  await sleep(15_000);
}

const [name, ...words] = process.argv.slice(2);
await { dirty, changes, burst }[name](...words);
