/** Addons out of memory: loaded through a file of a moment, refused when they are not what was built in. */
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { addonDirectories, type EmbeddedAddon, loadEmbedded } from '../../src/embedded/embedded.js';

const require = createRequire(import.meta.url);
const levelFolder = path.dirname(require.resolve('classic-level/package.json'));
const bytes = readFileSync((require('node-gyp-build') as { resolve(folder: string): string }).resolve(levelFolder));
const addon: EmbeddedAddon = {
  name: 'classic-level.node',
  bytes,
  sha256: createHash('sha256').update(bytes).digest('hex'),
};

const made: string[] = [];

function scratch(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'dk-embedded-'));
  made.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
});

describe('an embedded addon', () => {
  it('is loaded, and leaves nothing behind', () => {
    const directory = scratch();
    expect(loadEmbedded(addon, [directory])).toHaveProperty('db_init');
    expect(readdirSync(directory)).toEqual([]);
  });

  it('is loaded from the first directory that lets it', () => {
    const directory = scratch();
    expect(loadEmbedded(addon, ['/proc', path.join(directory, 'missing'), directory])).toHaveProperty('db_init');
  });

  it('is refused when a byte of it differs, before it becomes a file', () => {
    const directory = scratch();
    const other = Buffer.from(bytes);
    other[1000] = (other[1000] ?? 0) ^ 1;
    chmodSync(directory, 0o500);
    expect(() => loadEmbedded({ ...addon, bytes: other }, [directory])).toThrow(/is damaged: SHA-256 [0-9a-f]{64}/);
  });

  it('that no directory takes is an error that names them all and the way out', () => {
    expect(() => loadEmbedded(addon, ['/proc', '/sys'])).toThrow(/DIFFKEEPER_ADDON_DIR[\s\S]*\/proc: [\s\S]*\/sys: /);
  });

  it('that is no program is an error of the loader, with nothing left behind', () => {
    const directory = scratch();
    const text = Buffer.from('no program');
    const none = { name: 'none.node', bytes: text, sha256: createHash('sha256').update(text).digest('hex') };
    expect(() => loadEmbedded(none, [directory])).toThrow(/cannot be loaded/);
    expect(readdirSync(directory)).toEqual([]);
  });
});

describe('directories', () => {
  it('begin with the one that was asked for, each named once', () => {
    const all = addonDirectories({ DIFFKEEPER_ADDON_DIR: '/opt/here', XDG_RUNTIME_DIR: '/dev/shm' });
    expect(all.slice(0, 2)).toEqual(['/opt/here', '/dev/shm']);
    expect(new Set(all).size).toBe(all.length);
  });
});
