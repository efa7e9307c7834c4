/** Several processes, or several openings, that want one store (`docs/durability.md`, section 4). */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { openStore } from '../../src/store/store.js';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';
import { codeOf, commitFiles, contentOf, noise } from './store-fixture.js';

/** Called once, when a directory of this name has been made. */
const hook = { name: '', run: async () => {} };
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const mkdir = async (...values: Parameters<typeof real.mkdir>) => {
    const made = await real.mkdir(...values);
    if (hook.name !== '' && String(values[0]).endsWith(hook.name)) {
      hook.name = '';
      await hook.run();
    }
    return made;
  };
  return { ...real, mkdir };
});

beforeAll(ensureBuilt, 120_000);
let base = '';
const children: ChildProcess[] = [];
beforeEach(async () => {
  base = await mkdtemp(path.join(tmpdir(), 'dk-two-'));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(base, { recursive: true, force: true });
});

const library = pathToFileURL(path.join(projectRoot, 'dist', 'esm', 'index.js')).href;
/** Opens the store, says how that went, and keeps it open. */
const OPEN = `
const { openStore } = await import(${JSON.stringify(library)});
await openStore(process.argv[1], { create: true }).then(
  () => console.log('open'),
  (error) => console.log(error.code, error.facts.pid),
);
setInterval(() => {}, 1000);`;

function openElsewhere(root: string): { readonly child: ChildProcess; readonly said: Promise<string> } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', OPEN, root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const said = new Promise<string>((resolve) =>
    child.stdout?.setEncoding('utf8').once('data', (text) => resolve(text.trim())),
  );
  return { child, said };
}

it('one of the processes that make a store at the same time has it, the others are told; a killed owner leaves no lock', async () => {
  for (let round = 0; round < 3; round += 1) {
    const root = path.join(base, `keep-${round}`);
    const all = [openElsewhere(root), openElsewhere(root), openElsewhere(root)];
    const said = await Promise.all(all.map((one) => one.said));
    const owner = all[said.indexOf('open')];
    expect(said.filter((text) => text === 'open')).toHaveLength(1);
    // Too early for the owner's name, or already with it; a directory that is being filled is no store yet.
    const others = said.filter((text) => text !== 'open');
    for (const text of others)
      expect(text).toMatch(new RegExp(`^DK_STORE_LOCKED (${owner?.child.pid}|undefined)$|^DK_NO_STORE`));
    expect(await codeOf(() => openStore(root))).toBe('DK_STORE_LOCKED');
    for (const { child } of all) child.kill('SIGKILL');
    await new Promise((resolve) => owner?.child.once('close', resolve));
    const store = await openStore(root);
    await commitFiles(store, { a: noise(100, 1) });
    await store.close();
  }
}, 60_000);

it('a store that was made, filled and closed while another opening was about to make it keeps its marker', async () => {
  const root = path.join(base, 'keep');
  hook.name = 'quarantine';
  hook.run = async () => {
    const first = await openStore(root, { create: true });
    await commitFiles(first, { a: noise(100, 1) });
    await first.close();
  };
  const store = await openStore(root, { create: true });
  expect(hook.name).toBe('');
  expect((await contentOf(store, 'a'))?.equals(noise(100, 1))).toBe(true);
  expect((await store.verify()).damage).toEqual([]);
  await store.close();
});
