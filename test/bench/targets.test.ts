/** What the report says of the targets: one verdict for each, by how much it is missed, and why. */
import { describe, expect, it } from 'vitest';
import type { Sample, ScenarioResult, ToolName } from '../../bench/lib/bench-types.js';

type Results = ReadonlyMap<string, ScenarioResult>;

/** The reports of plain JavaScript, as these tests use them. */
interface Report {
  readonly SCENARIO_ORDER: readonly string[];
  performanceDocument(results: Results): string;
}

interface Targets {
  judge(
    results: Results,
  ): readonly { readonly target: string; readonly where: string; readonly verdict: string; readonly why?: string }[];
}

const { performanceDocument, SCENARIO_ORDER } = (await import('../../bench/lib/report-text.mjs' as string)) as Report;
const { judge } = (await import('../../bench/lib/targets.mjs' as string)) as Targets;

const TOOLS: readonly ToolName[] = ['diffkeeper', 'restic', 'borg'];

/** Every step of ours takes `ms` ms and `rssBytes`; of the others six times as long. */
function resultOf(scenario: string, ms: number, rssBytes = 200e6): ScenarioResult {
  const samples = TOOLS.flatMap((tool) =>
    (['first', 'later', 'recover', 'warm-session', 'warm-capture', 'durable', 'asked'] as const).map(
      (step): Sample => ({
        tool,
        trial: 1,
        version: 1,
        step,
        wallMs: tool === 'diffkeeper' ? ms : 6 * ms,
        cpuMs: ms,
        rssBytes,
        addedBytes: tool === 'diffkeeper' ? 1000 : 60_000,
        addedDiskBytes: 4096,
        waitMs: step === 'durable' && tool === 'diffkeeper' ? ms / 2 : 0,
      }),
    ),
  );
  const outcome = { version: '1', status: 'verified', reason: '', verifiedTrees: 1, syncCalls: [2] } as const;
  return {
    schema: 1,
    scenario,
    title: scenario,
    description: 'made up',
    laterName: 'a change',
    quick: false,
    scale: 1,
    trials: 1,
    date: '2026-01-01T00:00:00Z',
    command: 'none',
    machine: { cpu: 'none', memory: 'none', kernel: 'none', fileSystem: 'none', node: 'none', commit: 'none' },
    state: { files: 1, bytes: 1, largestBytes: 1e9 },
    tools: Object.fromEntries(TOOLS.map((tool) => [tool, { ...outcome }])),
    samples,
  } as unknown as ScenarioResult;
}

const all = (ms: number, rssBytes?: number) =>
  new Map(SCENARIO_ORDER.map((name) => [name, resultOf(name, ms, rssBytes)]));

describe('targets', () => {
  it('has a verdict for every figure that was promised, in every scenario', () => {
    const verdicts = judge(all(15));
    expect(verdicts.filter(({ verdict }) => verdict !== 'met')).toEqual([]);
    const told = verdicts.map(({ target, where }) => `${target}, ${where}`);
    for (const scenario of SCENARIO_ORDER) {
      expect(told.filter((line) => line.startsWith('peak memory') && line.endsWith(scenario))).toHaveLength(1);
    }
    for (const scenario of ['small-files', 'sqlite', 'big-file', 'noop']) {
      for (const start of ['later capture', 'full recover'])
        for (const peer of ['restic', 'borg'])
          expect(told.filter((line) => line.startsWith(start) && line.endsWith(`${scenario}, ${peer}`))).toHaveLength(
            1,
          );
    }
    expect(told.filter((line) => line.startsWith('10 KB durable'))).toHaveLength(6);
    expect(told.filter((line) => line.startsWith('unchanged directory'))).toHaveLength(3);
  });

  it('says by how much a target is missed, and why', () => {
    const missed = judge(all(120, 300e6)).filter(({ verdict }) => verdict !== 'met');
    expect(missed.map(({ target, verdict }) => `${target}: ${verdict}`)).toEqual([
      'unchanged directory, warm: at most 100 ms: missed by 20.0 ms',
      'unchanged directory, warm: at most 25 ms (moonshot): missed by 95.0 ms',
      'unchanged directory, `diffkeeper capture`: at most 100 ms: missed by 20.0 ms',
      '10 KB durable: at most 20 ms, asked for on the control socket: missed by 100 ms',
      '10 KB durable: at most 20 ms, waiting for quiet apart: missed by 40.0 ms',
      '10 KB durable: at most 20 ms, waiting for quiet included: missed by 100 ms',
      ...SCENARIO_ORDER.map(() => 'peak memory at most 256 MB and 1 % of the largest file: missed by 34.0 MB'),
    ]);
    const text = performanceDocument(all(120, 300e6));
    expect(text).toMatch(
      /waiting for quiet included \| durable \| 120 ms \| \*\*missed by 100 ms\*\*: the watcher waits/,
    );
    expect(text).toContain('`POST /checkpoint` on the control socket right after the write | 120 ms');
    expect(text).toContain('(performance-notes.md)');
  });

  it('counts no figure of a tool whose trees were not equal', () => {
    const results = all(15);
    const broken = results.get('noop');
    if (broken) Object.assign(broken.tools.diffkeeper ?? {}, { status: 'failed', reason: 'it differs' });
    const unknown = judge(results).filter(({ verdict }) => verdict === 'not measured');
    expect(new Set(unknown.map(({ where }) => where.split(',')[0]))).toEqual(new Set(['noop']));
  });
});
