/** What the figures were taken on. */
import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { CLI, ROOT } from './tools.mjs';

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function answer(command, args) {
  const result = spawnSync(command, args, { encoding: 'utf8' });
  return result.status === 0 ? result.stdout.trim() : 'unknown';
}

/**
 * @param {string} directory where the work is done
 * @returns {Record<string, string>}
 */
export function machineFacts(directory) {
  const engine = JSON.parse(answer(process.execPath, [CLI, 'engine', '--json']) || '{}');
  return {
    CPU: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} threads`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: `Linux ${release()}`,
    'file system': answer('stat', ['-f', '-c', '%T', directory]),
    node: process.version,
    engine: `${engine.kind ?? 'unknown'}, ${engine.simd ?? 'unknown'}, ${engine.threads ?? '?'} threads`,
    commit: answer('git', ['-C', ROOT, 'describe', '--always', '--dirty']),
  };
}
