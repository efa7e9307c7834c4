/**
 * Captures of an unchanged directory inside one process, as a program that uses the library sees them.
 *
 *   node warm-capture.mjs STATE STORE COUNT   prints {"session": [ms], "capture": [ms], "rssBytes": n}
 */
import { fileURLToPath } from 'node:url';
import { peakMemoryBytes } from './peak-memory.mjs';

const library = fileURLToPath(new URL('../../dist/esm/index.js', import.meta.url));
const { capture, openCaptureSession, openStore } = await import(library);
const [state = '', place = '', count = '1'] = process.argv.slice(2);

/** @param {() => Promise<{ checkpoint: unknown }>} task */
async function times(task) {
  const found = [];
  for (let turn = 0; turn < Number(count); turn += 1) {
    const start = performance.now();
    const { checkpoint } = await task();
    found.push(performance.now() - start);
    if (checkpoint !== null) throw new Error('a capture of an unchanged directory made a checkpoint');
  }
  return found;
}

const store = await openStore(place);
const session = await openCaptureSession(store, state);
await session.capture();
const inSession = await times(() => session.capture());
await session.close();
const alone = await times(() => capture(store, state));
await store.close();
console.log(JSON.stringify({ session: inSession, capture: alone, rssBytes: peakMemoryBytes() }));
