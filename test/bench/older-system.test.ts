/** The older system's path in the bench of states: with its own library where that is installed, and said so where not. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratch } from '../cli/cli-process.js';

interface OlderSystem {
  buildOlder(directory: string, compiler?: string): object;
  olderFigures(build: object | undefined, job: object): object;
  readOlder(text: string): object;
}
interface StateSection {
  writeStates(file: string, result: object): void;
}

const { buildOlder, olderFigures, readOlder } = (await import(
  '../../bench/state/older-system.mjs' as string
)) as OlderSystem;
const { writeStates } = (await import('../../bench/state/state-section.mjs' as string)) as StateSection;

let directory = '';
let remove = async (): Promise<void> => {};
beforeAll(async () => {
  ({ directory, remove } = await scratch());
});
afterAll(() => remove());

const SAID = { bytes: 156, encodeWallNs: 2e6, encodeCpuNs: 4e6, decodeWallNs: 3e6, decodeCpuNs: 5e6, threads: 2 };

/** A program that stands for the compiler, and makes one that says this. */
function compiler(name: string, said: string): string {
  const file = path.join(directory, name);
  const program = ['#!/bin/sh', `printf '%s\\n' "$@" > "$0.words"`, `echo '${said}'`];
  const lines = ['#!/bin/sh', '[ "$1" = build ] && [ "$2" = -o ] || exit 9', 'cat > "$3" <<"END"', ...program, 'END'];
  writeFileSync(file, `${[...lines, 'chmod +x "$3"'].join('\n')}\n`);
  chmodSync(file, 0o755);
  return file;
}

const target = Buffer.from('a state');
const job = (source?: Buffer) => ({
  directory,
  target,
  level: 3,
  times: 5,
  ...(source === undefined ? {} : { source }),
});

describe('the program', () => {
  it('is built, given the files, and believed when it says everything', () => {
    const build = buildOlder(directory, compiler('good', JSON.stringify(SAID)));
    const figures = olderFigures(build, job(Buffer.from('before')));
    expect(figures).toEqual({
      bytes: 156,
      threads: 2,
      encode: { wallMs: 2, cpuMs: 4 },
      decode: { wallMs: 3, cpuMs: 5 },
    });
    const words = (): string[] => readFileSync(path.join(directory, 'older-path.words'), 'utf8').trim().split('\n');
    const [level, repeats, to = '', from = ''] = words();
    expect([level, repeats, readFileSync(to, 'utf8'), readFileSync(from, 'utf8')]).toEqual([
      '3',
      '5',
      'a state',
      'before',
    ]);
    olderFigures(build, job());
    expect(words()).toHaveLength(3);
  });

  it('is not made up where there is no compiler, or it does not build', () => {
    expect(buildOlder(directory, path.join(directory, 'nowhere'))).toEqual({
      missing: expect.stringContaining('is not installed'),
    });
    const failing = path.join(directory, 'failing');
    writeFileSync(failing, '#!/bin/sh\necho "# package" >&2\necho "no such library" >&2\nexit 1\n');
    chmodSync(failing, 0o755);
    const build = buildOlder(directory, failing);
    expect(build).toEqual({ missing: 'it cannot be built: no such library' });
    expect(olderFigures(build, job())).toEqual(build);
    expect(olderFigures(undefined, job())).toEqual({ missing: 'it was not asked for' });
  });

  it('is not believed when it says less', () => {
    for (const name of Object.keys(SAID)) {
      for (const wrong of [undefined, 0, -1, 1.5, '7']) {
        expect(() => readOlder(JSON.stringify({ ...SAID, [name]: wrong }))).toThrow(name);
      }
    }
    expect(() => readOlder('')).toThrow();
    const build = buildOlder(directory, compiler('short', '{}'));
    expect(() => olderFigures(build, job())).toThrow(/bytes/);
  });
});

describe('the section', () => {
  const times = (cpuMs: number) => ({ wallMs: cpuMs, cpuMs });
  const own = {
    full: 9,
    bytes: 120,
    kind: 'delta',
    engines: ['sparse'],
    encode: times(1),
    decode: times(1),
    stateBytes: 1 << 20,
  };
  const row = { own, older: { bytes: 115, ...times(2) }, xbzrle: 34_000, zstd: { bytes: 24_000, cpuMs: 3 } };
  const textOf = (olderOwn?: object): string => {
    const out = path.join(directory, 'performance.md');
    writeFileSync(out, '# Performance\n');
    const parts = { workloads: { 'one-percent': olderOwn === undefined ? row : { ...row, olderOwn } } };
    writeStates(out, {
      parts,
      missing: {},
      quick: false,
      date: '2020-01-01',
      machine: {},
      taken: { workloads: { date: '2020-01-01' } },
    });
    return readFileSync(out, 'utf8').replace(/^Made by.*$/m, '');
  };

  it('judges by the own library, and shows the other ratio beside it', () => {
    const text = textOf(readOlder(JSON.stringify({ ...SAID, encodeCpuNs: 12e6 })));
    expect(text).toMatch(
      /faster than by the older path as it runs here, with its own library \| one-percent 12\.0x \(C zstd 2\.0x\) \| met/,
    );
    expect(text).toMatch(
      /smaller than the older path as it runs here, with its own library, deltas \| one-percent 120 B of 156 B \| met/,
    );
    expect(text).toContain('Verdicts on the older path go by this one');
    expect(text).toMatch(/makes and checks no digest/);
    expect(text).not.toMatch(/NaN|undefined/);
  });

  it.each([
    ['the reason', { missing: 'go is not installed' }, 'go is not installed'],
    ['that it is of an older run', undefined, 'an older run'],
  ])('says %s where there is none', (_name, olderOwn, reason) => {
    const text = textOf(olderOwn);
    expect(text).toContain(reason);
    expect(text).toMatch(
      /faster than by the older path as it runs here, with C zstd \| one-percent 2\.0x \| \*\*missed/,
    );
    expect(text).toMatch(/with C zstd, deltas \| one-percent 120 B of 115 B \| \*\*missed/);
    expect(text).not.toMatch(/NaN|undefined/);
  });
});
