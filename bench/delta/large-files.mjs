#!/usr/bin/env node
/**
 * Delta and patch of a long file from disk by the program: peak memory, time and bytes, the result compared. Needs three
 * times the size in DIR. The figures go to large-pair.json, from which `compare.mjs` and `report.mjs` take figure 6.
 *
 *   node bench/delta/large-files.mjs [--mebibytes=4768] [--dir=/tmp] [--results=bench/results]
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machineFacts } from '../lib/machine.mjs';
import { timeStep } from '../lib/timed-run.mjs';
import { CLI, ROOT } from '../lib/tools.mjs';
import { inheritedEnvironment, openWorkspace } from '../lib/workspace.mjs';

const PAIR = fileURLToPath(new URL('large-pair.mjs', import.meta.url));
const { values: options } = parseArgs({
  options: {
    mebibytes: { type: 'string', default: '4768' },
    dir: { type: 'string', default: tmpdir() },
    results: { type: 'string', default: join(ROOT, 'bench', 'results') },
  },
});
const workspace = openWorkspace(options.dir);
const env = inheritedEnvironment(workspace);
const [source, target, delta, made] = ['source', 'target', 'delta', 'made'].map((name) => join(workspace.root, name));
execFileSync(process.execPath, [PAIR, workspace.root, options.mebibytes]);
const ours = (/** @type {string[]} */ ...args) => timeStep({ command: process.execPath, args: [CLI, ...args] }, env);
const diff = await ours('delta', '--effort=fast', source, target, delta);
const patch = await ours('patch', source, delta, made);
execFileSync('cmp', [target, made]);
const result = {
  sourceBytes: statSync(source).size,
  targetBytes: statSync(target).size,
  deltaBytes: statSync(delta).size,
  diff: diff.cost,
  patch: patch.cost,
  date: new Date().toISOString().slice(0, 10),
  machine: machineFacts(workspace.root),
};
mkdirSync(options.results, { recursive: true });
writeFileSync(join(options.results, 'large-pair.json'), `${JSON.stringify(result, null, 1)}\n`);
process.stdout.write(`${JSON.stringify(result)}\n`);
