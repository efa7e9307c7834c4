/** The files under `deploy/`: they parse, name what there is, and hang together. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { OPTION_TABLE, variableOf } from '../../src/cli/option-table.js';
import { Figures } from '../../src/sidecar/figures.js';
import { Metrics } from '../../src/sidecar/run-metrics.js';
import type { Store } from '../../src/store/store.js';
import { ensureBuilt, PROGRAM } from '../cli/cli-process.js';
import { projectFiles, projectRoot, readText } from '../project/source-tree.js';

type Json = { readonly [name: string]: Json } & readonly Json[] & string;

/** Every document of a YAML text, by the parser of the distribution. */
function yaml(text: string): Json[] {
  const program = 'import json,sys,yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin)), default=str))';
  const result = spawnSync('/usr/bin/python3', ['-c', program], { input: text, encoding: 'utf8' });
  expect(result.stderr).toBe('');
  return JSON.parse(result.stdout);
}

const variables = Object.values(OPTION_TABLE).map(variableOf);
const flags = Object.values(OPTION_TABLE).map(({ flag }) => `--${flag}`);

/** Names that the sidecar exports. */
async function metricNames(): Promise<string[]> {
  const figures = new Figures();
  figures.failed(new Error('x'));
  figures.hookDone('before-checkpoint', 'ok', 1);
  const store = { newest: null, stats: () => Promise.reject(new Error('none')) } as unknown as Store;
  const metrics = new Metrics({ figures, store, consistency: 'file', version: '0', missedChanges: () => 0 });
  return [...(await metrics.text()).matchAll(/^# TYPE (\w+)/gm)].map((match) => match[1] ?? '');
}

function namesIn(expression: string): string[] {
  return [...expression.matchAll(/\bdiffkeeper_\w+/g)].map(([name]) => name.replace(/_(bucket|count|sum)$/, ''));
}

function balanced(expression: string): boolean {
  const open: string[] = [];
  const pairs: Record<string, string> = { ')': '(', '}': '{', ']': '[' };
  for (const letter of expression.replace(/"[^"]*"/g, '')) {
    if ('([{'.includes(letter)) open.push(letter);
    else if (letter in pairs && open.pop() !== pairs[letter]) return false;
  }
  return open.length === 0;
}

describe('alert rules and dashboard', () => {
  const rules = yaml(readText('deploy/alerts.yml'))[0]?.groups?.[0]?.rules ?? ([] as unknown as Json);
  const dashboard = JSON.parse(readText('deploy/grafana.json')) as Json;
  const panels = dashboard.panels as unknown as Json[];

  it('ask for metrics that there are, in balanced expressions', async () => {
    const names = await metricNames();
    const texts = panels.flatMap(({ targets }) => (targets as unknown as Json[]).map(({ expr }) => String(expr)));
    const expressions = [...(rules as unknown as Json[]).map(({ expr }) => String(expr)), ...texts];
    expect(expressions.length).toBeGreaterThan(20);
    expect(expressions.filter((expression) => !balanced(expression))).toEqual([]);
    expect(expressions.flatMap(namesIn).filter((name) => !names.includes(name))).toEqual([]);
  });

  it('have what the tools ask for', () => {
    for (const rule of rules as unknown as Json[]) {
      expect(Object.keys(rule)).toEqual(expect.arrayContaining(['alert', 'expr', 'labels', 'annotations']));
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });

  it('docs/control.md explains every metric', async () => {
    const text = readText('docs/control.md');
    const missing = (await metricNames()).filter((name) => !text.includes(`\`${name.replace('diffkeeper_', '')}`));
    expect(missing).toEqual([]);
  });
});

it('every metric of the older system has its successor', async () => {
  const older = [
    'capture_duration_ms capture_total storage_saved_bytes_total storage_saved_ratio recovery_duration_ms recovery_total',
    'store_size_bytes files_tracked_total chunk_total chunk_dedup_ratio chunk_capture_duration_ms large_file_tracked_total',
    'deltas_total agent_info up',
  ];
  const wanted = older.flatMap((line) => line.split(' ')).map((name) => `diffkeeper_${name}`);
  const names = await metricNames();
  expect(wanted.filter((name) => !names.includes(name))).toEqual([]);
});

describe('Dockerfiles', () => {
  const KNOWN = /^(FROM|RUN|WORKDIR|COPY|LABEL|USER|ENV|VOLUME|HEALTHCHECK|STOPSIGNAL|ENTRYPOINT|CMD)\b/;

  it.each(projectFiles(/^deploy\/.*Dockerfile$/))('%s', (name) => {
    const text = readText(name).replace(/\\\n\s*/g, ' ');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.filter((line) => !KNOWN.test(line))).toEqual([]);
    const last = lines.slice(lines.map((line) => line.startsWith('FROM')).lastIndexOf(true));
    // The last user is none that may do everything.
    expect(last.findLast((line) => line.startsWith('USER'))).toMatch(/^USER (?!root)\w+$/);
    for (const line of lines.filter((one) => /^(ENTRYPOINT|CMD) /.test(one))) {
      expect(Array.isArray(JSON.parse(line.replace(/^\w+ /, '')))).toBe(true);
    }
    const copied = lines
      .filter((line) => /^COPY (?!--from)/.test(line))
      .flatMap((line) => line.split(' ').slice(1, -1));
    expect(copied.filter((file) => !existsSync(join(projectRoot, file)))).toEqual([]);
    const used = [...text.matchAll(/\bDIFFKEEPER_[A-Z_]+/g)].map(([variable]) => variable);
    expect(used.filter((variable) => !variables.includes(variable))).toEqual([]);
  });
});

describe('compose and Kubernetes', () => {
  it('images: the program is where the package has it', () => {
    const { bin } = JSON.parse(readText('package.json'));
    const images = projectFiles(/^deploy\/docker\/(.*\.)?Dockerfile$/);
    const named = images.flatMap((name) => [...readText(name).matchAll(/\/opt\/diffkeeper\/(\S*main\.js)/g)]);
    expect(named).toHaveLength(images.length);
    expect(new Set(named.map(([, file]) => `./${file}`))).toEqual(new Set([bin.diffkeeper]));
  });

  it('images: each server is told to end by the signal at which it does so at once', () => {
    const signals = { postgres: 'SIGINT', redis: 'SIGTERM' };
    for (const [server, signal] of Object.entries(signals)) {
      expect(readText(`deploy/docker/${server}.Dockerfile`)).toMatch(new RegExp(`^STOPSIGNAL ${signal}$`, 'm'));
    }
  });

  it('images: nothing of the host gets into them that they make themselves', () => {
    const ignored = readText('.dockerignore').split('\n');
    expect(ignored).toEqual(expect.arrayContaining(['node_modules', 'build', 'dist', 'native/*/vendor', '.git']));
    for (const name of projectFiles(/^deploy\/docker\/(.*\.)?Dockerfile$/)) {
      const copied = [...readText(name).matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, files = '']) =>
        files.split(' '),
      );
      expect(copied.filter((file) => ignored.includes(file.split('/')[0] ?? ''))).toEqual([]);
    }
  });

  it('compose: services build from files that are there, volumes are declared', () => {
    const [file] = yaml(readText('deploy/docker/compose.yml'));
    for (const service of Object.values(file?.services ?? {}) as unknown as Json[]) {
      expect(existsSync(join(projectRoot, String(service.build?.dockerfile)))).toBe(true);
      for (const volume of service.volumes as unknown as string[]) {
        expect(Object.keys(file?.volumes ?? {})).toContain(volume.split(':')[0]);
      }
      const names = Object.keys(service.environment ?? {}).filter((name) => name.startsWith('DIFFKEEPER_'));
      expect(names.filter((name) => !variables.includes(name))).toEqual([]);
    }
  });

  it('StatefulSet: selectors, ports, mounts and probes belong together', () => {
    const [service, set] = yaml(readText('deploy/kubernetes/redis.yaml'));
    const pod = set?.spec?.template;
    expect(pod?.metadata?.labels).toEqual(set?.spec?.selector?.matchLabels);
    expect(service?.spec?.selector).toEqual(pod?.metadata?.labels);
    expect(set?.spec?.serviceName).toBe(service?.metadata?.name);
    const container = pod?.spec?.containers?.[0] as Json;
    // Without a tag, as with `latest`, it would be pulled each time, from a registry that does not have it.
    expect([container.image, container.imagePullPolicy]).toEqual([expect.stringMatching(/:[\w.]+$/), 'IfNotPresent']);
    const ports = (container.ports as unknown as Json[]).map(({ name }) => name);
    for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe']) {
      expect(ports).toContain(container[probe]?.httpGet?.port);
      // The default of a second is little for a machine whose disk is busy.
      expect(Number(container[probe]?.timeoutSeconds)).toBeGreaterThanOrEqual(5);
    }
    const claims = ((set?.spec?.volumeClaimTemplates ?? []) as unknown as Json[]).map(({ metadata }) => metadata?.name);
    const volumes = ((pod?.spec?.volumes ?? []) as unknown as Json[]).map(({ name }) => name);
    for (const { name } of container.volumeMounts as unknown as Json[]) expect([...claims, ...volumes]).toContain(name);
    expect(Number(pod?.spec?.terminationGracePeriodSeconds)).toBeGreaterThan(25);
  });

  it('Helm chart: every value is there, every block ends, every flag exists', () => {
    const [values] = yaml(readText('deploy/helm/diffkeeper/values.yaml'));
    const [chart] = yaml(readText('deploy/helm/diffkeeper/Chart.yaml'));
    expect(chart).toMatchObject({ apiVersion: 'v2', name: 'diffkeeper' });
    expect(chart?.appVersion).toBe(JSON.parse(readText('package.json')).version);
    for (const name of projectFiles(/^deploy\/helm\/.*templates\/.*\.yaml$/)) {
      const text = readText(name);
      const blocks = [...text.matchAll(/\{\{-? *(if|range|with|else|end)\b/g)].map((match) => match[1]);
      const opened = blocks.filter((word) => ['if', 'range', 'with'].includes(word ?? '')).length;
      expect([name, blocks.filter((word) => word === 'end').length]).toEqual([name, opened]);
      for (const [, place = ''] of text.matchAll(/\.Values\.([\w.]+)/g)) {
        let at: Json | undefined = values;
        for (const step of place.split('.')) at = at?.[step];
        expect([place, at !== undefined]).toEqual([place, true]);
      }
      const used = [...text.matchAll(/"(--[a-z-]+)=/g)].map((match) => match[1] ?? '');
      expect(used.filter((flag) => !flags.includes(flag))).toEqual([]);
      for (const [probe] of text.matchAll(/\w+Probe:(\n {12}.*)+/g)) expect(probe).toMatch(/timeoutSeconds: \d/);
      // Without its actions it is YAML.
      const plain = text.replace(/^\s*\{\{-? *(if|else|end|range|\/\*).*\}\}\n/gm, '').replace(/\{\{[^}]*\}\}/g, 'x');
      expect(yaml(plain)[0]).toHaveProperty('kind');
    }
  });
});

describe('systemd unit and GitHub Action', () => {
  beforeAll(ensureBuilt, 120_000);

  it('the unit has its sections, and variables that exist', () => {
    const text = readText('deploy/systemd/diffkeeper@.service');
    const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines.filter((line) => !/^\[(Unit|Service|Install)\]$|^[A-Z]\w+=.+$/.test(line))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('['))).toEqual(['[Unit]', '[Service]', '[Install]']);
    const used = [...text.matchAll(/\bDIFFKEEPER_[A-Z_]+/g)].map(([name]) => name);
    expect(used.filter((name) => !variables.includes(name))).toEqual([]);
    // 128 + SIGINT and 128 + SIGTERM: how an application ends that was told to.
    expect(lines).toEqual(expect.arrayContaining(['SuccessExitStatus=130 143', 'User=%i']));
  });

  it('the action uses inputs and steps that it has, and options that exist', () => {
    const text = readText('deploy/record-action/action.yml');
    const [action] = yaml(text);
    const inputs = Object.keys(action?.inputs ?? {});
    const used = [...text.matchAll(/\binputs\.([\w-]+)/g)].map((match) => match[1] ?? '');
    expect(used.filter((name) => !inputs.includes(name))).toEqual([]);
    expect(inputs.filter((name) => !used.includes(name))).toEqual([]);
    const steps = action?.runs?.steps as unknown as Json[];
    for (const step of steps.filter(({ uses }) => uses === undefined)) {
      expect([step.name, typeof step.run, step.shell]).toEqual([step.name, 'string', 'bash']);
      // What a caller of the action says is data, never a part of a script.
      expect([step.name, String(step.run).includes('${{')]).toEqual([step.name, false]);
    }
    const names = steps.flatMap((step) => Object.keys(step.env ?? {})).filter((name) => name.startsWith('DIFFKEEPER_'));
    expect(names.filter((name) => !variables.includes(name))).toEqual([]);
  });

  it('the steps of the action record a test that fails, and show what it did', () => {
    const place = mkdtempSync(join(tmpdir(), 'dk-action-'));
    const [action] = yaml(readText('deploy/record-action/action.yml'));
    const given: Record<string, string> = {
      command: 'echo 1 > out/state; sleep 0.5; echo 2 > out/state; false',
      directory: 'out',
    };
    const inputs = (action?.inputs ?? {}) as Record<string, Json>;
    const steps = (action?.runs?.steps ?? []) as unknown as Json[];
    const filled = (text: string): string =>
      text
        .replace(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_, name: string) => given[name] ?? String(inputs[name]?.default))
        .replace(/\$\{\{ runner\.temp \}\}/g, join(place, 'temp'));
    mkdirSync(join(place, 'bin'));
    mkdirSync(join(place, 'temp'));
    writeFileSync(join(place, 'bin/diffkeeper'), `#!/bin/sh\nexec ${PROGRAM.join(' ')} "$@"\n`, { mode: 0o755 });
    const codes: (number | null)[] = [];
    const summary = join(place, 'summary');
    for (const name of ['Run', 'Timeline']) {
      const step = steps.find((one) => one.name === (name as Json));
      const own = Object.entries(step?.env ?? {}).map(([key, value]) => [key, filled(String(value))]);
      const PATH = `${join(place, 'bin')}${delimiter}${process.env.PATH}`;
      const env = { ...process.env, ...Object.fromEntries(own), PATH, GITHUB_STEP_SUMMARY: summary };
      codes.push(spawnSync('bash', ['-euo', 'pipefail', '-c', filled(String(step?.run))], { cwd: place, env }).status);
    }
    const text = readFileSync(summary, 'utf8');
    expect(codes).toEqual([1, 0]);
    expect(text).toMatch(/~ state[\s\S]*exit code 1: bash/);
    // What it says one is to type next gives back what was there before the failure.
    const typed = /`(diffkeeper export .*)`$/m.exec(text)?.[1] ?? '';
    expect(typed).toMatch(/--at=NUMBER look$/);
    const states = [1, 2, 3, 4].map((number) => {
      const words = typed.replace('NUMBER', String(number)).replace(/look$/, `look${number}`);
      const PATH = `${join(place, 'bin')}${delimiter}${process.env.PATH}`;
      spawnSync('sh', ['-c', words], { cwd: join(place, 'temp'), env: { ...process.env, PATH } });
      const file = join(place, `temp/look${number}/state`);
      return existsSync(file) ? readFileSync(file, 'utf8') : '';
    });
    expect(states).toEqual(expect.arrayContaining(['1\n', '2\n']));
    rmSync(place, { recursive: true });
  }, 60_000);
});
