/** How the package behaves inside the programs of others: when it is imported, bundled, and run in several processes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

const esm = join(projectRoot, 'dist', 'esm', 'index.js');
const cjs = join(projectRoot, 'dist', 'cjs', 'index.js');
const place = mkdtempSync(join(tmpdir(), 'dk-manners-'));

beforeAll(() => ensureBuilt());
afterAll(() => rmSync(place, { recursive: true }));

function run(name: string, code: string, ...flags: string[]): string {
  const file = join(place, name);
  writeFileSync(file, code);
  return execFileSync(process.execPath, [...flags, file], {
    cwd: place,
    encoding: 'utf8',
    timeout: 30_000,
    stdio: 'pipe',
  });
}

/** What an import could leave behind, before and after it. */
const TRACES = `const traces = () => JSON.stringify({
  names: Object.getOwnPropertyNames(globalThis).sort(),
  environment: process.env,
  listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
  resources: process.getActiveResourcesInfo(),
});`;

describe('an import', () => {
  it.each([
    ['ESM', 'import.mjs', `await import(${JSON.stringify(esm)});`],
    ['CommonJS', 'require.cjs', `require(${JSON.stringify(cjs)});`],
  ])('leaves nothing behind: no output, handles, listeners or globals (%s)', (_kind, name, load) => {
    const code = `${TRACES}\nconst before = traces();\n${load}\nconst after = traces();
      if (after !== before) console.log(before, after);`;
    expect(run(name, code)).toBe('');
  });
});

describe('a bundle', () => {
  async function bundled(code: string): Promise<{ readonly bytes: number; readonly packages: string[] }> {
    const { metafile } = await build({
      stdin: { contents: code, resolveDir: place },
      alias: { diffkeeper: esm },
      bundle: true,
      write: false,
      metafile: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
      external: ['classic-level', 'node-gyp-build'],
    });
    const [output] = Object.values(metafile.outputs);
    const names = Object.entries(output?.inputs ?? {}).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
    const inside = names.map(([name]) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(name)?.[1] ?? '');
    const outside = (output?.imports ?? []).map(({ path }) => path);
    return { bytes: output?.bytes ?? 0, packages: [...new Set([...inside, ...outside])] };
  }

  it('holds what is used of the package, and nothing for an import alone', async () => {
    expect((await bundled("import 'diffkeeper';")).bytes).toBe(0);
    const all = await bundled("import * as all from 'diffkeeper'; console.log(all);");
    const deltas = await bundled("import { diff, patch } from 'diffkeeper'; console.log(diff, patch);");
    expect(deltas.bytes).toBeLessThan(all.bytes / 2);
    for (const name of ['classic-level', 'chokidar', 'prom-client']) {
      expect(all.packages).toContain(name);
      expect(deltas.packages).not.toContain(name);
    }
  });
});

describe('source maps', () => {
  it.each([
    ['ESM', `import { openStore } from ${JSON.stringify(esm)};`, 'mapped.mjs'],
    ['CommonJS', `const { openStore } = require(${JSON.stringify(cjs)});`, 'mapped.cjs'],
  ])('name the line of the source in a stack (%s)', (_, load, name) => {
    const code = `${load} openStore('missing').catch((error) => console.log(error.stack));`;
    const stack = run(name, code, '--enable-source-maps');
    const [, file, line] = /\((?:\S*\/)?(src\/store\/[\w-]+\.ts):(\d+):\d+\)/.exec(stack) ?? [];
    if (file === undefined) expect.fail(stack);
    const source = readFileSync(join(projectRoot, file), 'utf8').split('\n');
    expect(source[Number(line) - 1]).toMatch(/DiffKeeperError|throw|await|return/);
  });
});

describe('a cluster', () => {
  it('works in every process of it; a store belongs to one of them', () => {
    const code = `
      import cluster from 'node:cluster';
      import { isDiffKeeperError, diff, openStore, patch } from ${JSON.stringify(esm)};
      if (cluster.isPrimary) {
        const said = [];
        // Those that ask for the store do so while the first one has it.
        const waiting = [];
        const letGo = () => {
          if (said.includes('0 opened')) for (const worker of waiting.splice(0)) worker.send('go');
        };
        cluster.on('message', (worker, text) => {
          if (text === 'ready') waiting.push(worker);
          else said.push(text);
          letGo();
        });
        let left = 3;
        cluster.on('exit', () => {
          left -= 1;
          if (left === 1) for (const first of Object.values(cluster.workers)) first.send('go');
          if (left === 0) console.log(said.sort().join('\\n'));
        });
        for (let id = 0; id < 3; id += 1) cluster.fork({ ID: String(id) });
      } else {
        const { ID } = process.env;
        const go = new Promise((resolve) => process.once('message', resolve));
        const source = Buffer.alloc(1 << 20, ID);
        const target = Buffer.concat([source, Buffer.from('more')]);
        if (!(await patch(source, await diff(source, target))).equals(target)) process.exit(1);
        if (ID !== '0') {
          process.send('ready');
          await go;
        }
        const store = await openStore('keep', { create: true }).catch((error) => error);
        process.send(ID + (isDiffKeeperError(store) ? ' ' + store.code : ' opened'));
        if (ID === '0') await go;
        if (!isDiffKeeperError(store)) await store.close();
        process.disconnect();
      }`;
    expect(run('cluster.mjs', code)).toBe('0 opened\n1 DK_STORE_LOCKED\n2 DK_STORE_LOCKED\n');
  });
});

describe('worker threads', () => {
  it('capture and recover at the same time; a store belongs to one thread, and is free when that is ended', () => {
    const code = `
      import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
      import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
      import { capture, isDiffKeeperError, openStore, recover } from ${JSON.stringify(esm)};
      const started = (id) => {
        const worker = new Worker(new URL(import.meta.url), { workerData: id });
        const told = new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        return { worker, told };
      };
      if (isMainThread) {
        const store = await openStore('shared', { create: true });
        for (const { told } of [0, 1, 2].map(started)) console.log(await told);
        await store.close();
        const busy = started('busy');
        await busy.told;
        await busy.worker.terminate();
        const again = await openStore('shared');
        console.log((await again.verify()).damage.length);
        await again.close();
      } else if (workerData === 'busy') {
        const store = await openStore('shared');
        mkdirSync('many');
        for (let at = 0; ; at += 1) {
          writeFileSync('many/' + at, Buffer.alloc(300_000, String(at)));
          await capture(store, 'many');
          parentPort.postMessage('captured');
        }
      } else {
        const state = 'state' + workerData;
        mkdirSync(state);
        for (let at = 0; at < 20; at += 1) writeFileSync(state + '/' + at, Buffer.alloc(20_000 + at, String(at)));
        const store = await openStore('keep' + workerData, { create: true });
        await capture(store, state);
        writeFileSync(state + '/7', 'changed');
        await capture(store, state);
        const { written, rootVerified } = await recover(store, 'back' + workerData, { at: 1 });
        await store.close();
        const equal = readFileSync('back' + workerData + '/7').equals(Buffer.alloc(20_007, '7'));
        const refused = await openStore('shared').catch((error) => error);
        parentPort.postMessage([written, rootVerified, equal, isDiffKeeperError(refused) && refused.code].join(' '));
      }`;
    const each = '20 true true DK_STORE_LOCKED\n';
    expect(run('workers.mjs', code)).toBe(`${each}${each}${each}0\n`);
  });
});
