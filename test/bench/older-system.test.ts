/** The older system's path in the bench of states: with its own library where that is installed, and said so where not. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { scratch } from '../cli/cli-process.js';

interface OlderProcess {
  block(what: string, least: { calls: number; ms: number }): Promise<object>;
  close(): Promise<void>;
}
interface OlderSystem {
  buildOlder(directory: string, compiler?: string): object;
  OlderProcess: new (program: string, job: object) => OlderProcess;
  readOlder(text: string): object;
}
interface StateSection {
  writeStates(file: string, result: object): void;
}

const { buildOlder, OlderProcess, readOlder } = (await import(
  '../../bench/state/older-system.mjs' as string
)) as OlderSystem;
const { writeStates } = (await import('../../bench/state/state-section.mjs' as string)) as StateSection;

let directory = '';
let remove = async (): Promise<void> => {};
beforeAll(async () => {
  ({ directory, remove } = await scratch());
});
afterAll(() => remove());

const SAID = { bytes: 156, threads: 2, calls: 3, wallNs: 2e6, cpuNs: 4e6 };
const LEAST = { calls: 3, ms: 12 };

/** A program that stands for the compiler, and makes one that notes what it is given and asked, and answers this. */
function compiler(name: string, said: string): string {
  const file = path.join(directory, name);
  const program = [
    '#!/bin/sh',
    `printf '%s\\n' "$@" > "$0.words"`,
    ': > "$0.asked"',
    `while read -r line; do printf '%s\\n' "$line" >> "$0.asked"; echo '${said}'; done`,
  ];
  const lines = ['#!/bin/sh', '[ "$1" = build ] && [ "$2" = -o ] || exit 9', 'cat > "$3" <<"END"', ...program, 'END'];
  writeFileSync(file, `${[...lines, 'chmod +x "$3"'].join('\n')}\n`);
  chmodSync(file, 0o755);
  return file;
}

const target = Buffer.from('a state');
const job = (source?: Buffer) => ({ directory, target, level: 3, ...(source === undefined ? {} : { source }) });
const linesOf = (name: string): string[] => readFileSync(path.join(directory, name), 'utf8').trim().split('\n');

/** What a build is: the program. */
function programOf(build: object): string {
  expect(build).toEqual({ program: path.join(directory, 'older-path') });
  return path.join(directory, 'older-path');
}

describe('the program', () => {
  it('is built, given the files, asked for one block after another, and believed when it says everything', async () => {
    const program = programOf(buildOlder(directory, compiler('good', JSON.stringify(SAID))));
    const older = new OlderProcess(program, job(Buffer.from('before')));
    for (const what of ['encode', 'decode']) {
      expect(await older.block(what, LEAST)).toEqual({ bytes: 156, threads: 2, wallMs: 2, cpuMs: 4 });
    }
    await older.close();
    const [level, to = '', from = ''] = linesOf('older-path.words');
    expect([level, readFileSync(to, 'utf8'), readFileSync(from, 'utf8')]).toEqual(['3', 'a state', 'before']);
    expect(linesOf('older-path.asked')).toEqual(['encode 3 12', 'decode 3 12']);
    const alone = new OlderProcess(program, job());
    await alone.block('encode', LEAST);
    await alone.close();
    expect(linesOf('older-path.words')).toHaveLength(2);
  });

  it('is not made up where there is no compiler, or it does not build', () => {
    expect(buildOlder(directory, path.join(directory, 'nowhere'))).toEqual({
      missing: expect.stringContaining('is not installed'),
    });
    const failing = path.join(directory, 'failing');
    writeFileSync(failing, '#!/bin/sh\necho "# package" >&2\necho "no such library" >&2\nexit 1\n');
    chmodSync(failing, 0o755);
    expect(buildOlder(directory, failing)).toEqual({ missing: 'it cannot be built: no such library' });
  });

  it('fails what it is asked for when it ends, or is not there, with what it said', async () => {
    const failing = path.join(directory, 'ends');
    writeFileSync(failing, '#!/bin/sh\necho "no such state" >&2\nexit 1\n');
    chmodSync(failing, 0o755);
    for (const [program, said] of [
      [failing, /older-path: no such state/],
      [path.join(directory, 'nowhere'), /older-path: .*ENOENT/],
    ] as const) {
      const older = new OlderProcess(program, job());
      await expect(older.block('encode', LEAST)).rejects.toThrow(said);
      await older.close();
    }
  });

  it('is not believed when it says less', async () => {
    for (const name of Object.keys(SAID)) {
      for (const wrong of [undefined, 0, -1, 1.5, '7']) {
        expect(() => readOlder(JSON.stringify({ ...SAID, [name]: wrong }))).toThrow(name);
      }
    }
    expect(() => readOlder('')).toThrow();
    const older = new OlderProcess(programOf(buildOlder(directory, compiler('short', '{}'))), job());
    await expect(older.block('encode', LEAST)).rejects.toThrow(/bytes/);
    await older.close();
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
  const textOf = (more: object): string => {
    const out = path.join(directory, 'performance.md');
    writeFileSync(out, '# Performance\n');
    const parts = { workloads: { 'one-percent': { ...row, ...more } } };
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

  const olderOwn = { bytes: 156, threads: 2, encode: times(12), decode: times(8) };

  it('judges by the own library, and shows the other ratio beside it', () => {
    const text = textOf({ olderOwn });
    const way = 'by the older path as it runs here, with its own library';
    expect(text).toContain(`deltas coded 10 times faster than ${way} | one-percent 12.0x (C zstd 2.0x) | met`);
    expect(text).toContain(
      `deltas decoded 10 times faster than ${way} | one-percent 8.0x | **missed on one-percent 8.0x**`,
    );
    expect(text).toMatch(
      /smaller than the older path as it runs here, with its own library, deltas \| one-percent 120 B of 156 B \| met/,
    );
    expect(text).toContain('Verdicts on the older path go by this one');
    expect(text).toMatch(/makes and checks no digest/);
    expect(text).not.toMatch(/NaN|undefined/);
  });

  it('judges by the ratios of neighbouring blocks where there are some, and shows their spread', () => {
    const factors = {
      encode: { median: 9.4, low: 9.1, high: 10.2, turns: 35 },
      decode: { median: 11, low: 10.5, high: 12, turns: 35 },
      rewritten: { median: 3, low: 2, high: 4, turns: 14 },
    };
    const text = textOf({ olderOwn, factors, trials: 7 });
    expect(text).toContain('| one-percent 9.4x (9.1 to 10.2; C zstd 3.0x) | **missed on one-percent 9.4x**');
    expect(text).toContain('| one-percent 11.0x (10.5 to 12.0) | met');
    expect(text).toContain(
      '0.09 GB/s (9.4x, 9.1 to 10.2) | 0.13 GB/s (11.0x, 10.5 to 12.0) | 0.52 GB/s (3.0x, 2.0 to 4.0)',
    );
    expect(text).toContain('each of 7 trials');
    expect(text).not.toMatch(/NaN|undefined/);
  });

  it.each([
    ['the reason', { olderOwn: { missing: 'go is not installed' } }, 'go is not installed'],
    ['that it is of an older run', {}, 'an older run'],
  ])('says %s where there is none', (_name, more, reason) => {
    const text = textOf(more);
    expect(text).toContain(reason);
    expect(text).toMatch(
      /faster than by the older path as it runs here, with C zstd \| one-percent 2\.0x \| \*\*missed/,
    );
    expect(text).toMatch(
      /decoded 10 times faster than by the older path as it runs here, with C zstd \| nothing measured/,
    );
    expect(text).toMatch(/with C zstd, deltas \| one-percent 120 B of 115 B \| \*\*missed/);
    expect(text).not.toMatch(/NaN|undefined/);
  });
});
