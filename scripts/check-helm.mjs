/**
 * Renders the Helm chart by Go's templates with the functions that Helm has, for several sets of values, and starts the
 * program with the arguments that come out. Needs Debian's golang-go, golang-github-masterminds-sprig-dev and
 * golang-k8s-sigs-yaml-dev.
 *
 *   npm run check:helm
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const chart = join(root, 'deploy', 'helm', 'diffkeeper');
const work = mkdtempSync(join(tmpdir(), 'dk-helm-'));

function run(program, args, input, env = {}) {
  const done = spawnSync(program, args, { input, encoding: 'utf8', env: { ...process.env, ...env } });
  if (done.error) throw done.error;
  if (done.status !== 0) throw new Error(`${program} ${args.join(' ')}: exit ${done.status}: ${done.stderr}`);
  return done.stdout;
}

/** Every document of a YAML text, by a parser that is not ours. */
function yaml(text) {
  const program = 'import json,sys,yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))';
  return JSON.parse(run('/usr/bin/python3', ['-c', program], text));
}

function want(name, came, expected) {
  if (!isDeepStrictEqual(came, expected))
    throw new Error(`${name}: ${JSON.stringify(came)}, expected ${JSON.stringify(expected)}`);
}

const places = { stateDir: join(work, 'state: 1'), store: join(work, 'deltas', 'store') };
const odd = 'says "hello": \'it\' # {{ }}';
const SETS = {
  defaults: {},
  // A port of its own: the program is started.
  started: { diffkeeper: places, command: ['sh', '-c', 'test "$0" = "$1"', odd, odd], metrics: { port: 0 } },
  options: {
    diffkeeper: {
      ...places,
      options: { ignore: ['*.tmp', '*.log'], condense: true, 'max-overhead': '5%', 'restart-limit': 1000000000 },
    },
    state: { claim: 'game' },
    store: { storageClass: 'fast' },
    ports: [],
  },
};

function merged(base, own) {
  const all = { ...base };
  for (const [name, value] of Object.entries(own)) {
    const both = [base[name], value].every((side) => typeof side === 'object' && side !== null && !Array.isArray(side));
    all[name] = both ? merged(base[name], value) : value;
  }
  return all;
}

try {
  const renderer = join(work, 'render');
  const go = { GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: join(work, 'cache') };
  run('go', ['build', '-o', renderer, join(root, 'scripts', 'helm', 'render.go')], '', go);
  const [defaults] = yaml(readFileSync(join(chart, 'values.yaml'), 'utf8'));
  const [facts] = yaml(readFileSync(join(chart, 'Chart.yaml'), 'utf8'));
  for (const [name, own] of Object.entries(SETS)) {
    const values = merged(defaults, own);
    const input = JSON.stringify({ Values: values, Release: { Name: 'keeper' }, Chart: { Name: facts.name } });
    const rendered = JSON.parse(run(renderer, [chart], input));
    const [service] = yaml(rendered['service.yaml']);
    const [set] = yaml(rendered['statefulset.yaml']);
    want(`${name}: kinds`, [service.kind, set.kind], ['Service', 'StatefulSet']);
    const ports = [{ name: 'metrics', port: values.metrics.port }, ...values.ports];
    want(`${name}: ports`, service.spec.ports, ports);
    const { containers, volumes, ...pod } = set.spec.template.spec;
    const [container] = containers;
    want(
      `${name}: ports of the container`,
      container.ports.map((port) => port.containerPort),
      ports.map(({ port }) => port),
    );
    want(`${name}: who it runs as`, pod.securityContext, values.securityContext);
    want(`${name}: time to end`, pod.terminationGracePeriodSeconds, values.terminationGracePeriodSeconds);
    const volume = values.state.claim
      ? { name: 'state', persistentVolumeClaim: { claimName: values.state.claim } }
      : { name: 'state', emptyDir: values.state.emptyDir };
    want(`${name}: state`, volumes, [volume]);
    const [claim] = set.spec.volumeClaimTemplates;
    want(`${name}: storage`, claim.spec.resources.requests.storage, values.store.size);
    want(`${name}: class`, claim.spec.storageClassName ?? '', values.store.storageClass);
    const { stateDir, store } = values.diffkeeper;
    want(
      `${name}: mounts`,
      container.volumeMounts.map(({ mountPath }) => mountPath),
      [stateDir, join(store, '..')],
    );
    const wanted = Object.entries(values.diffkeeper.options).flatMap(([flag, value]) =>
      [value].flat().map((each) => `--${flag}=${each}`),
    );
    const split = container.args.indexOf('--');
    // Go walks a map in the order of its names.
    want(`${name}: options`, container.args.slice(7, split).sort(), wanted.sort());
    want(`${name}: command`, container.args.slice(split + 1), values.command);
    if (name === 'started') {
      run('mkdir', ['-p', stateDir, join(store, '..')], '');
      run(process.execPath, [join(root, 'dist', 'cli', 'main.js'), ...container.args], '');
    }
    console.log(`${name}: ${Object.keys(rendered).length} files, ${container.args.length} arguments`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
