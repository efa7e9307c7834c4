/**
 * An Express application that keeps its own state: every request that changes something is followed by a capture, and
 * GET /history and POST /back go through the versions. Needs `npm install express`.
 *
 *   node examples/express-app.mjs [directory] [port]
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDiffKeeperError, openStore, recover, watch } from 'diffkeeper';
import express from 'express';

const [folder = join(tmpdir(), 'diffkeeper-express'), port = '8080'] = process.argv.slice(2);
const state = join(folder, 'state');
const notes = join(state, 'notes.json');

const store = await openStore(join(folder, 'keep'), { create: true });
if (store.newest !== null) await recover(store, state);
await mkdir(state, { recursive: true });
const watcher = await watch(store, state, { maxLagMs: 200 });

const read = async () => JSON.parse(await readFile(notes, 'utf8').catch(() => '[]'));
const app = express();
app.use(express.json());

app.get('/notes', async (_request, response) => {
  response.json(await read());
});

app.post('/notes', async (request, response) => {
  await writeFile(notes, JSON.stringify([...(await read()), request.body]));
  // Durable before the answer goes out.
  const report = await watcher.flush({ tag: 'a note' });
  response.status(201).json({ checkpoint: report.checkpoint?.sequence });
});

app.get('/history', async (_request, response) => {
  const checkpoints = [];
  for await (const { sequence, timeMs, tag } of store.checkpoints({ limit: 20 }))
    checkpoints.push({ sequence, timeMs, tag });
  response.json(checkpoints);
});

app.post('/back/:sequence', async (request, response) => {
  try {
    const { written, removed } = await recover(store, state, { at: Number(request.params.sequence) });
    response.json({ written, removed });
  } catch (error) {
    if (!isDiffKeeperError(error, 'DK_NOT_FOUND')) throw error;
    response.status(404).json({ error: error.message });
  }
});

const server = app.listen(Number(port), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/notes`);
});

async function stop() {
  server.close();
  await watcher.close();
  await store.close();
}
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
