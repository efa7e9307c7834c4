/** The table of deltas on one small pair: measured, verified, reported, and kept when the rest of the document is made anew. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureBuilt, scratch } from '../cli/cli-process.js';
import { projectRoot } from '../project/source-tree.js';

interface Tool {
  readonly deltaBytes: number;
  readonly verified: boolean;
  readonly diff: {
    readonly wallMs: number;
    readonly cpuMs: number;
    readonly rssBytes: number;
    readonly callMs: number;
  };
}
interface Result {
  readonly pairs: readonly {
    readonly name: string;
    readonly targetBytes: number;
    readonly tools: Record<string, Tool>;
  }[];
}

let directory = '';
let remove = async (): Promise<void> => {};
const at = (name: string): string => path.join(directory, name);
const node = (...words: string[]) =>
  spawnSync(process.execPath, words, { encoding: 'utf8', cwd: projectRoot, timeout: 110_000 });

beforeAll(async () => {
  await ensureBuilt();
  ({ directory, remove } = await scratch());
}, 120_000);
afterAll(() => remove());

describe('the table of deltas', () => {
  it('measures ours and what tools there are, and judges', () => {
    const places = [`--dir=${at('pairs')}`, `--results=${at('results')}`];
    const run = node('bench/delta/compare.mjs', '--quick', '--pairs=config-json', ...places);
    expect(run.stderr).toMatch(/config-json: measured/);
    expect(run.status).toBe(0);
    const result = JSON.parse(readFileSync(at('results/deltas.json'), 'utf8')) as Result;
    const pair = result.pairs[0];
    expect(pair?.targetBytes).toBeGreaterThan(10_000);
    for (const effort of ['fast', 'balanced', 'max']) {
      const tool = pair?.tools[`diffkeeper ${effort}`];
      expect(tool?.verified).toBe(true);
      expect(tool?.deltaBytes).toBeLessThan(300);
      for (const figure of [tool?.diff.wallMs, tool?.diff.cpuMs, tool?.diff.rssBytes, tool?.diff.callMs]) {
        expect(figure).toBeGreaterThan(0);
      }
    }
    const section = readFileSync(at('results/deltas.md'), 'utf8');
    expect(section).toMatch(/Do not quote/);
    expect(section).toMatch(/\| diffkeeper fast \(\S+\) \| \d+ \|/);
    expect(section).toMatch(/not measured/);
  }, 120_000);

  it('judges all seven figures, and says why one is missed and what would close it', () => {
    const script = `
      const { judgeDeltas } = await import('./bench/delta/delta-targets.mjs');
      const { reasonsOf } = await import('./bench/delta/delta-reasons.mjs');
      const judged = judgeDeltas([]);
      console.log(JSON.stringify({ judged, reasons: reasonsOf(judged.map((one) => ({ ...one, verdict: 'missed' }))) }));`;
    const run = node('--input-type=module', '-e', script);
    const { judged, reasons } = JSON.parse(run.stdout) as { judged: { target: string }[]; reasons: string[] };
    expect([...new Set(judged.map(({ target }) => target[0]))]).toEqual(['1', '2', '3', '4', '5', '6', '7']);
    expect(reasons).toHaveLength(judged.length);
    expect(reasons.filter((line) => line.includes('not looked into'))).toEqual([]);
  });

  it('keeps its place in the document', () => {
    writeFileSync(at('document.md'), '# Title\n\ntext\n');
    const script = `
      const { keptSection, replaceDeltaSection } = await import('./bench/delta/delta-section.mjs');
      const { readFileSync, appendFileSync } = await import('node:fs');
      const [file, results] = process.argv.slice(1);
      const result = JSON.parse(readFileSync(results, 'utf8'));
      replaceDeltaSection(file, result, '.');
      appendFileSync(file, 'behind\\n');
      const first = keptSection(readFileSync(file, 'utf8'));
      replaceDeltaSection(file, { ...result, date: '2001-01-01' }, '.');
      const text = readFileSync(file, 'utf8');
      console.log(JSON.stringify({ first, text, second: keptSection(text) }));`;
    const run = node('--input-type=module', '-e', script, at('document.md'), at('results/deltas.json'));
    expect(run.stderr).toBe('');
    const { first, second, text } = JSON.parse(run.stdout) as Record<'first' | 'second' | 'text', string>;
    expect(text.startsWith('# Title\n\ntext\n\n<!-- deltas')).toBe(true);
    expect(text.endsWith('<!-- end of deltas -->\nbehind\n')).toBe(true);
    expect(second).toContain('2001-01-01');
    expect(second.split('<!-- deltas')).toHaveLength(2);
    expect(first.replace(/on \d{4}-\d\d-\d\d/, '')).toBe(second.replace(/on \d{4}-\d\d-\d\d/, ''));
  });
});
