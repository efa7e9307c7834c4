/** The import matrix of `docs/design.md`: rooms import downward only, and only through doors. */
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { importsOf, projectFiles, readText, withoutComments } from './source-tree.js';

/** What each room may import, besides itself. The table in `docs/design.md` says the same in words. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  control: ['core'],
  metrics: ['core'],
  format: ['core'],
  embedded: ['core'],
  engine: ['core'],
  crypt: ['core'],
  delta: ['engine', 'format', 'core'],
  store: ['crypt', 'engine', 'format', 'core'],
  baseline: ['delta', 'engine', 'format', 'metrics', 'core'],
  'baseline-store': ['baseline', 'store', 'engine', 'format', 'core'],
  transport: ['control', 'engine', 'format', 'metrics', 'core'],
  capture: ['store', 'delta', 'engine', 'format', 'core'],
  recover: ['store', 'delta', 'engine', 'format', 'core'],
  migrate: ['store', 'delta', 'engine', 'format', 'core'],
  replicate: ['store', 'transport', 'format', 'core'],
  sidecar: ['control', 'replicate', 'capture', 'recover', 'migrate', 'store', 'engine', 'format', 'metrics', 'core'],
  ui: ['recover', 'store', 'format', 'core'],
  cli: ['index'],
};

/** Files through which another room may be entered; a room not named here has one door that carries its name. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  engine: ['engine.ts', 'load.ts'],
};

/** Packages and built-in modules with exactly one importing file. */
const SINGLE_IMPORTER: readonly string[] = [
  'chokidar',
  'classic-level',
  'node:child_process',
  'node:net',
  'node:tls',
  'prom-client',
];

/** Room of a file below src: its folder, or `index` for the public API; the addon loader belongs to the engine. */
function roomOf(name: string): string {
  const parts = name.split('/');
  if (parts.length > 2) return parts[1] ?? '';
  return parts[1]?.startsWith('addon.') ? 'engine' : 'index';
}

function isDoor(name: string): boolean {
  const room = roomOf(name);
  if (room === 'index') return true;
  return (DOORS[room] ?? [`${room}.ts`]).includes(posix.basename(name));
}

/** The file below src that a relative import means. */
function resolved(from: string, target: string): string {
  return posix.join(posix.dirname(from), target).replace(/\.js$/, '.ts');
}

function problemOf(from: string, target: string): string | undefined {
  const room = roomOf(from);
  const to = resolved(from, target);
  if (!to.startsWith('src/')) return 'leaves src';
  const other = roomOf(to);
  if (other === room) return undefined;
  if (room === 'index') return isDoor(to) ? undefined : 'is not a door';
  if (!(MAY_IMPORT[room] ?? []).includes(other)) return `room ${room} may not import room ${other}`;
  return isDoor(to) ? undefined : `is not a door of room ${other}`;
}

const sources = projectFiles(/^src\/.*\.c?ts$/);

describe('import matrix', () => {
  it('finds the sources', () => {
    expect(sources.length).toBeGreaterThan(30);
  });

  it('knows every room', () => {
    const rooms = new Set(sources.map(roomOf));
    rooms.delete('index');
    expect([...rooms].filter((room) => !(room in MAY_IMPORT))).toEqual([]);
  });

  it('holds: downward, through doors', () => {
    const problems = sources.flatMap((name) =>
      importsOf(name)
        .filter(({ target }) => target.startsWith('.'))
        .flatMap(({ target, line }) => {
          const problem = problemOf(name, target);
          return problem ? [`${name}:${line} ${target}: ${problem}`] : [];
        }),
    );
    expect(problems).toEqual([]);
  });

  it('has no way up in its own table', () => {
    const ends = (room: string, seen: readonly string[]): boolean =>
      !seen.includes(room) && (MAY_IMPORT[room] ?? []).every((next) => ends(next, [...seen, room]));
    expect(Object.keys(MAY_IMPORT).filter((room) => !ends(room, []))).toEqual([]);
  });

  it('writes relative imports with their ending', () => {
    const loose = sources.flatMap((name) =>
      importsOf(name)
        .filter(({ target }) => target.startsWith('.') && !/\.(js|cjs|json)$/.test(target))
        .map(({ target }) => `${name}: ${target}`),
    );
    expect(loose).toEqual([]);
  });

  it('notices what it must notice', () => {
    expect(problemOf('src/core/fs.ts', '../store/store.js')).toMatch(/may not import/);
    expect(problemOf('src/capture/scan.ts', '../recover/recover.js')).toMatch(/may not import/);
    expect(problemOf('src/store/meta.ts', '../core/fs.js')).toMatch(/not a door/);
    expect(problemOf('src/cli/main.ts', '../store/store.js')).toMatch(/may not import/);
    expect(problemOf('src/store/meta.ts', '../engine/load.js')).toBeUndefined();
    expect(problemOf('src/cli/main.ts', '../index.js')).toBeUndefined();
  });
});

describe('one importer each', () => {
  it.each(SINGLE_IMPORTER)('%s', (module) => {
    const plain = module.replace(/^node:/, '');
    const importers = sources.filter((name) =>
      importsOf(name).some(({ target }) => target === module || target === plain),
    );
    expect(importers.length, importers.join(', ')).toBeLessThanOrEqual(1);
  });
});

describe('native rooms', () => {
  const native = projectFiles(/^native\/.*\.(cc|h)$/);

  it('Node-API appears in the binding only', () => {
    const leaks = native.filter(
      (name) => !name.startsWith('native/binding/') && /#\s*include\s*[<"]n(ode_)?api/.test(readText(name)),
    );
    expect(leaks).toEqual([]);
  });

  it('nothing below includes the binding', () => {
    const leaks = native.filter(
      (name) => !name.startsWith('native/binding/') && /#\s*include\s*"[^"]*binding\//.test(readText(name)),
    );
    expect(leaks).toEqual([]);
  });

  it('engines do no console output', () => {
    const loud = native.filter((name) =>
      /\b(std::cout|std::cerr|printf|fprintf)\b/.test(withoutComments(readText(name))),
    );
    expect(loud).toEqual([]);
  });
});
