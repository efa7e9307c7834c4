/** House rules that a formatter cannot check: lengths, names, banned words, what must not be in git. */
import { posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lineCount, projectFiles, readText, withoutComments } from './source-tree.js';

const TYPESCRIPT_LINES_MAX = 300;
const TEST_LINES_MAX = 500;
const CPP_LINES_MAX = 450;
const FUNCTION_LINES_MAX = 70;

/** The door of a room's types may be called alike in every room; fixed names are a tool's choice. */
const SHARED_NAMES: readonly RegExp[] = [/^types\.ts$/, /^README\.md$/, /^package(-lock)?\.json$/, /^\./];

const code = projectFiles(/^(src|test|bench|scripts|demo|examples)\/.*\.(c|m)?[jt]s$/);
const sheets = projectFiles(/\.css$/);
const cpp = projectFiles(/^native\/.*\.(cc|h)$/);
const readable = projectFiles(/\.(ts|cts|mjs|cjs|js|cc|h|md|json|sh|yml|txt|gyp)$|^\.ci\/run$|^CMakeLists\.txt$/);

/** Lines of each C++ function: from a line in column 0 that opens a body to the brace that closes it there. */
function cppFunctions(name: string): { readonly line: number; readonly lines: number }[] {
  const found: { line: number; lines: number }[] = [];
  let start = -1;
  for (const [index, line] of readText(name).split('\n').entries()) {
    if (start < 0 && /^[A-Za-z].*\(/.test(line) && !/;\s*$/.test(line)) start = index;
    else if (start >= 0 && /^\}/.test(line)) {
      found.push({ line: start + 1, lines: index - start + 1 });
      start = -1;
    } else if (start >= 0 && /^\S.*;\s*$/.test(line)) start = -1;
  }
  return found;
}

describe('lengths', () => {
  it(`TypeScript, scripts and style sheets: ${TYPESCRIPT_LINES_MAX} lines, tests ${TEST_LINES_MAX}`, () => {
    const long = [...code, ...sheets].filter(
      (name) => lineCount(name) > (name.startsWith('test/') ? TEST_LINES_MAX : TYPESCRIPT_LINES_MAX),
    );
    expect(long).toEqual([]);
  });

  it(`C++: ${CPP_LINES_MAX} lines`, () => {
    expect(cpp.filter((name) => lineCount(name) > CPP_LINES_MAX)).toEqual([]);
  });

  it(`C++ functions: ${FUNCTION_LINES_MAX} lines`, () => {
    const long = cpp.flatMap((name) =>
      cppFunctions(name)
        .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
        .map(({ line, lines }) => `${name}:${line} has ${lines}`),
    );
    expect(long).toEqual([]);
  });

  it('nothing big in git', () => {
    const big = projectFiles(/./).filter((name) => readText(name).length > 1 << 20);
    expect(big).toEqual([]);
  });
});

describe('names', () => {
  it('file names are unique', () => {
    const seen = new Map<string, string[]>();
    for (const name of [...code, ...cpp]) {
      const base = posix.basename(name);
      if (SHARED_NAMES.some((shared) => shared.test(base))) continue;
      seen.set(base, [...(seen.get(base) ?? []), name]);
    }
    expect([...seen.values()].filter((names) => names.length > 1)).toEqual([]);
  });

  it('file names are lower case and say something', () => {
    const odd = [...code, ...cpp].filter((name) => {
      const base = posix.basename(name);
      return base !== base.toLowerCase() || /^(utils?|helpers?|misc|common)\./.test(base);
    });
    expect(odd).toEqual([]);
  });
});

describe('banned', () => {
  it('the type any', () => {
    const typed = code.filter((name) => name.endsWith('ts'));
    const uses = typed.filter((name) => {
      const bare = withoutComments(readText(name)).replace(/'[^'\n]*'|"[^"\n]*"|`[^`]*`/g, "''");
      return /(:|<|\bas|\||,|=>)\s*any\b(?!\s*[:(])|\bany\s*\[\]/.test(bare);
    });
    expect(uses).toEqual([]);
  });

  it('left-over markers, skipped and focused tests', () => {
    // Written in halves, so that this file does not find itself.
    const words = [`TO${'DO'}`, `FIX${'ME'}`, `X${'XX'}`];
    const markers = new RegExp(`\\b(${words.join('|')})\\b|\\b(it|test|describe)\\.(skip|only|todo)\\b`);
    const left = [...code, ...cpp].filter((name) => markers.test(readText(name)));
    expect(left).toEqual([]);
  });

  it('suppressed type checks', () => {
    expect(
      code.filter((name) => /@ts-(ignore|nocheck)/.test(readText(name)) && !name.endsWith('style.test.ts')),
    ).toEqual([]);
  });

  it('paths of one machine', () => {
    const machine = /(^|[\s"'`(=:])\/(work|root|home\/[a-z]+)\//m;
    expect(readable.filter((name) => !name.includes('style.test') && machine.test(readText(name)))).toEqual([]);
  });
});

describe('packages', () => {
  const lockfiles = projectFiles(/(^|\/)package-lock\.json$/);

  it('lock files name no download host', () => {
    expect(lockfiles.length).toBeGreaterThanOrEqual(2);
    expect(lockfiles.filter((name) => /"resolved":\s*"http/.test(readText(name)))).toEqual([]);
  });

  it('direct dependencies are pinned exactly', () => {
    const manifests = projectFiles(/(^|\/)package\.json$/).map(
      (name) => JSON.parse(readText(name)) as Record<string, Record<string, string> | undefined>,
    );
    const loose = manifests.flatMap((manifest) =>
      Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(
        ([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version) && !/^(file|link):/.test(version),
      ),
    );
    expect(loose).toEqual([]);
  });
});
