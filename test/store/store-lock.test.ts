/** The store's own lock (`docs/format.md`, section 1): whatever happens to the directory that LevelDB's lock lies in. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { rotateStoreKey } from '../../src/store/key-rotation.js';
import { openStore, type Store, type StoreOptions } from '../../src/store/store.js';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';
import { codeOf, commitFiles, contentOf, noise, StoreFixture } from './store-fixture.js';

beforeAll(ensureBuilt, 120_000);
const fixture = new StoreFixture();
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

const library = pathToFileURL(path.join(projectRoot, 'dist', 'esm', 'index.js')).href;
const BEGIN = `const { openStore } = await import(${JSON.stringify(library)}); const root = process.argv[1];`;
/** Opens the store, says how that went, and keeps it open. */
const OPEN = `${BEGIN}
await openStore(root, { create: true }).then(
  () => console.log('open'),
  (error) => console.log(error.code, error.facts.pid),
);
setInterval(() => {}, 1000);`;
/** The same with a program that outlives it, and has every descriptor that it is handed. */
const OPEN_AND_START = `${BEGIN}
await openStore(root);
const { spawn } = await import('node:child_process');
const child = spawn('/bin/sleep', ['60'], { detached: true, stdio: 'ignore' });
child.once('spawn', () => console.log(child.pid));`;
/** Opens and closes it until it is told to end; says how often which way. */
const OPEN_AGAIN = `${BEGIN}
const key = process.argv[2] && { keyBytes: Buffer.from(process.argv[2], 'hex') };
const counts = {};
let ended = false;
process.stdin.once('data', () => { ended = true; });
console.log('begun');
while (!ended) {
  const code = await openStore(root, { key }).then((store) => store.close().then(() => 'open'), (error) => error.code ?? String(error));
  counts[code] = (counts[code] ?? 0) + 1;
  await new Promise((resolve) => setTimeout(resolve, 1));
}
console.log(JSON.stringify(counts));
process.exit();`;

interface Elsewhere {
  readonly child: ChildProcess;
  /** What it says next. */
  readonly said: () => Promise<string>;
}

function elsewhere(code: string, words: readonly string[], engine?: 'typescript'): Elsewhere {
  const env = { ...process.env, ...(engine && { DIFFKEEPER_ENGINE: engine }) };
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env,
  });
  children.push(child);
  child.stdout.setEncoding('utf8');
  return { child, said: async () => String((await once(child.stdout, 'data'))[0]).trim() };
}

async function end({ child }: Elsewhere): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'close');
}

/** As in the moment of a repair in which `meta/` is not the directory that LevelDB has locked. */
function moveMetadata(): void {
  renameSync(path.join(fixture.root, 'meta'), path.join(fixture.base, `meta-${readdirSync(fixture.base).length}`));
  mkdirSync(path.join(fixture.root, 'meta'));
}

async function makeStore(options: StoreOptions = {}): Promise<void> {
  const store = await openStore(fixture.root, { create: true, ...options });
  await commitFiles(store, { a: noise(1000, 1) });
  await store.close();
}

async function expectWhole(options: StoreOptions = {}): Promise<Store> {
  const store = await fixture.open(options);
  expect((await contentOf(store, 'a'))?.equals(noise(1000, 1))).toBe(true);
  return store;
}

describe.each([
  ['the addon', undefined],
  ['LevelDB', 'typescript'],
] as const)('held by %s', (_way, engine) => {
  it('keeps out others by itself, of either kind, and ends with the process', async () => {
    await makeStore();
    const owner = elsewhere(OPEN, [fixture.root], engine);
    expect(await owner.said()).toBe('open');
    moveMetadata();
    const error = await openStore(fixture.root).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'DK_STORE_LOCKED', facts: { pid: owner.child.pid } });
    for (const other of [undefined, 'typescript'] as const) {
      expect(await elsewhere(OPEN, [fixture.root], other).said()).toBe(`DK_STORE_LOCKED ${owner.child.pid}`);
    }
    await end(owner);
    await expectWhole();
    expect(existsSync(path.join(fixture.root, 'lock', 'LOCK'))).toBe(true);
  }, 60_000);
});

it('is not had by a program that its owner has started and that outlives it', async () => {
  await makeStore();
  const owner = elsewhere(OPEN_AND_START, [fixture.root]);
  const pid = Number(await owner.said());
  try {
    await end(owner);
    expect(process.kill(pid, 0)).toBe(true);
    await expectWhole();
  } finally {
    process.kill(pid, 'SIGKILL');
  }
}, 60_000);

it('keeps out another opening in the same process, too', async () => {
  await makeStore();
  const store = await expectWhole();
  moveMetadata();
  expect(await codeOf(() => openStore(fixture.root))).toBe('DK_STORE_LOCKED');
  expect(await codeOf(() => openStore(fixture.root))).toBe('DK_STORE_LOCKED');
  await store.close();
  await expectWhole();
});

it('is let go by an opening that fails', async () => {
  const key = { keyBytes: noise(32, 1) };
  await makeStore({ encrypt: true, key });
  const wrong = { key: { keyBytes: noise(32, 2) } };
  for (let times = 0; times < 2; times += 1)
    expect(await codeOf(() => openStore(fixture.root, wrong))).toBe('DK_KEY_WRONG');
  await expectWhole({ key });
});

it('without the addon: what a crash has left of the empty database is begun anew', async () => {
  await makeStore();
  const first = elsewhere(OPEN, [fixture.root], 'typescript');
  expect(await first.said()).toBe('open');
  await end(first);
  writeFileSync(path.join(fixture.root, 'lock', 'CURRENT'), 'MANIFEST-000099\n');
  const second = elsewhere(OPEN, [fixture.root], 'typescript');
  expect(await second.said()).toBe('open');
  await end(second);
  await expectWhole();
}, 60_000);

/** Does something to the store again and again beside a process that opens it again and again. */
async function besideOpenings(key: Buffer | undefined, work: () => Promise<void>): Promise<Record<string, number>> {
  const other = elsewhere(OPEN_AGAIN, [fixture.root, ...(key ? [key.toString('hex')] : [])]);
  expect(await other.said()).toBe('begun');
  for (let done = 0, tries = 0; done < 12; tries += 1) {
    expect(tries).toBeLessThan(20_000);
    const code = await codeOf(work);
    if (code === 'no error') done += 1;
    else expect(code).toBe('DK_STORE_LOCKED');
  }
  other.child.stdin?.write('end\n');
  return JSON.parse(await other.said());
}

describe('an opening beside what replaces the metadata is told DK_STORE_LOCKED or comes later', () => {
  it('a new master key', async () => {
    const keyBytes = noise(32, 1);
    await makeStore({ encrypt: true, key: { keyBytes } });
    const counts = await besideOpenings(keyBytes, async () => void (await rotateStoreKey(fixture.root, { keyBytes })));
    expect(Object.keys(counts).filter((code) => !['open', 'DK_STORE_LOCKED'].includes(code))).toEqual([]);
    await expectWhole({ key: { keyBytes } });
  }, 120_000);

  it('a repair', async () => {
    await makeStore();
    const counts = await besideOpenings(undefined, async () => {
      const store = await openStore(fixture.root);
      await store.rebuildIndex({ check: true }).finally(() => store.close());
    });
    expect(Object.keys(counts).filter((code) => !['open', 'DK_STORE_LOCKED'].includes(code))).toEqual([]);
    await expectWhole();
  }, 120_000);
});
