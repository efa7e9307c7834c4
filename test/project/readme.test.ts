/** Every example of README.md and docs/api.md is run as a reader would run it, against the built package. */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { anchorsOf } from '../../scripts/reference/anchors.mjs';
import { capture, openStore } from '../../src/index.js';
import { ensureBuilt } from '../cli/cli-process.js';
import { projectFiles, projectRoot, readText } from './source-tree.js';

/** The application of the examples: makes a state directory of its own. */
const APPLICATION = `
  const { mkdirSync, writeFileSync } = require('node:fs');
  mkdirSync('data/config', { recursive: true });
  writeFileSync('data/config/app.json', '{"port":8080}');
  writeFileSync('data/app.log', 'started');
`;

interface Example {
  readonly name: string;
  readonly code: string;
}

/** Fenced blocks of one language, named by the heading above each. */
function examplesOf(document: string, language: string): Example[] {
  const found: Example[] = [];
  let heading = '';
  const parts = /^#+ (.*)$|^```(\w*)\n([\s\S]*?)^```$/gm;
  for (const [, title, fence, code] of readText(document).matchAll(parts)) {
    if (title !== undefined) heading = title.replace(/`/g, '');
    else if (fence === language) found.push({ name: `${document}: ${heading}`, code: code ?? '' });
  }
  return found;
}

/** An example of the API may lean on what the text says before it: names are imported, `store` is open. */
async function asModule(code: string): Promise<string> {
  if (/from 'diffkeeper'/.test(code)) return code;
  const names = Object.keys(await import('../../src/index.js')).filter((name) =>
    new RegExp(`\\b${name}\\b`).test(code),
  );
  const opens = /\bstore\b/.test(code) && !/const store\b|store: '/.test(code);
  return [
    `import { ${[...new Set([...names, 'openStore'])].join(', ')} } from 'diffkeeper';`,
    ...(code.match(/^import .*$/gm) ?? []),
    opens ? "const store = await openStore('./keep');" : '',
    code.replace(/^import .*$/gm, ''),
    opens ? 'await store.close();' : '',
  ].join('\n');
}

let folder: string;

function run(command: string, args: readonly string[]): { readonly status: number | null; readonly text: string } {
  const env = { ...process.env, NO_COLOR: '1', PATH: `${join(folder, 'bin')}:${process.env.PATH}` };
  const result = spawnSync(command, args, { cwd: folder, env, encoding: 'utf8', timeout: 25_000 });
  return { status: result.status, text: `${result.stdout}${result.stderr}` };
}

beforeAll(ensureBuilt, 120_000);

beforeEach(async () => {
  if (folder) await rm(folder, { recursive: true, force: true });
  folder = await mkdtemp(join(tmpdir(), 'diffkeeper-readme-'));
  await mkdir(join(folder, 'node_modules'));
  await symlink(projectRoot, join(folder, 'node_modules', 'diffkeeper'));
  const main = join(projectRoot, 'dist', 'cli', 'main.js');
  await mkdir(join(folder, 'bin'));
  await writeFile(join(folder, 'bin', 'diffkeeper'), `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
  await chmod(join(folder, 'bin', 'diffkeeper'), 0o755);
  await writeFile(join(folder, 'app.js'), APPLICATION);
  const older = await readFile(join(projectRoot, 'test', 'fixtures', 'bolt', 'v2-chain.bolt.gz'));
  await writeFile(join(folder, 'db.bolt'), gunzipSync(older));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** A state directory, and a store that knows it since an hour. */
async function prepareStore(): Promise<void> {
  expect(run(process.execPath, ['app.js']).status).toBe(0);
  const clock = { nowMs: () => Date.now() - 3_600_000, steadyMs: () => performance.now() };
  const store = await openStore(join(folder, 'keep'), { create: true, clock });
  await capture(store, join(folder, 'data'));
  await store.close();
}

describe('library examples', () => {
  const examples = [...examplesOf('README.md', 'js'), ...examplesOf('docs/api.md', 'js')];

  it('are there', () => {
    expect(examples.length).toBeGreaterThanOrEqual(10);
  });

  it.each(examples)('$name', async ({ code }) => {
    await prepareStore();
    await writeFile(join(folder, 'example.mjs'), await asModule(code));
    const { status, text } = run(process.execPath, ['example.mjs']);
    expect(status, text).toBe(0);
  });

  it('README.md restores what it captured', async () => {
    await prepareStore();
    await writeFile(join(folder, 'example.mjs'), examples[0]?.code ?? '');
    const { text } = run(process.execPath, ['example.mjs']);
    expect(text).toBe('2 0 true\n{"port":8080}');
    expect(await readFile(join(folder, 'restored', 'app.log'), 'utf8')).toBe('started');
  });
});

describe('command line examples', () => {
  it.each(examplesOf('README.md', 'sh'))('$name', async ({ code }) => {
    // With something in it from the start, checkpoint 1 is the same however fast the application is.
    expect(run(process.execPath, ['app.js']).status).toBe(0);
    const { status, text } = run('sh', ['-euc', code]);
    expect(status, text).toBe(0);
    expect(text).toContain('tree root verified');
    expect(text).toContain('{"port":8080}');
    for (const restored of ['data', 'then']) {
      expect(await readFile(join(folder, restored, 'app.log'), 'utf8')).toBe('started');
    }
  });
});

describe('the guide', () => {
  it.each(examplesOf('docs/guide.md', 'sh'))('$name', async ({ code }) => {
    expect(run(process.execPath, ['app.js']).status).toBe(0);
    const { status, text } = run('sh', ['-euc', code]);
    expect(status, text).toBe(0);
  });
});

describe('links', () => {
  it.each(projectFiles(/\.md$/))('%s points at files that are there', (document) => {
    const targets = [...readText(document).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)].map((match) => match[1] ?? '');
    const files = targets.filter((target) => !/^[a-z]+:/.test(target));
    const missing = files.filter((target) => !existsSync(join(projectRoot, dirname(document), target)));
    expect(missing).toEqual([]);
  });

  it.each(projectFiles(/\.md$/))('%s points at headings that are there', (document) => {
    const links = [...readText(document).matchAll(/\]\(([^)#\s:]*)#([^)\s]+)\)/g)];
    const dead = links.filter(([, file = '', anchor = '']) => {
      const target = file === '' ? document : join(dirname(document), file);
      return target.endsWith('.md') && !anchorsOf(readText(target)).includes(anchor);
    });
    expect(dead.map(([link]) => link)).toEqual([]);
  });
});

describe('third-party notices', () => {
  it('are what ships', () => {
    const { status, text } = run(process.execPath, [join(projectRoot, 'scripts/third-party-notices.mjs'), '--check']);
    expect(status, text).toBe(0);
  });
});
