/** A listing made while names are replaced can leave out a name that was there all the time: no removal may follow. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { engines, StateFixture } from './state-fixture.js';

const FILES = 1500;
/** Replaces all files in turn by renaming, as editors and databases do. */
const RENAMER = `const fs=require('node:fs');const [,folder,count]=process.argv;process.stdout.write('go');
for(let n=0;;n++){const tmp=folder+'/../../tmp';fs.writeFileSync(tmp,''+n);fs.renameSync(tmp,folder+'/f'+(n%count))}`;
const before = process.env.TMPDIR;
let fixture: StateFixture;

beforeEach(() => {
  // A memory file system gives a replaced name a new place in the listing, so that a reader may pass it by.
  if (existsSync('/dev/shm')) process.env.TMPDIR = '/dev/shm';
});

afterEach(async () => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  await fixture.close();
});

describe('files that are replaced while they are listed', () => {
  it.each(engines())('are never taken for removed (%s)', async (_name, engine) => {
    fixture = await StateFixture.create(engine);
    for (let i = 0; i < FILES; i += 1) fixture.write(`d/f${i}`, `${i}`);
    await fixture.capture();
    const renamer = spawn(process.execPath, ['-e', RENAMER, fixture.path('d'), `${FILES}`]);
    try {
      await new Promise((resolve) => renamer.stdout.once('data', resolve));
      for (const end = performance.now() + 1500; performance.now() < end; ) {
        expect((await fixture.capture()).removed).toBe(0);
      }
      // A session that knows nothing compares with the store.
      await fixture.reopen('stat.idx');
      expect((await fixture.capture()).removed).toBe(0);
    } finally {
      renamer.kill();
    }
  });
});
