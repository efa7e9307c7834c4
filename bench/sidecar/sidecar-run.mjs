/** Runs an application under the sidecar, as a process of its own, and says what that cost. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CLI } from '../lib/tools.mjs';

const TICKS_PER_SECOND = 100;

function quantile(values, share) {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

export const spread = (values) => ({
  count: values.length,
  p50: quantile(values, 0.5),
  p99: quantile(values, 0.99),
  max: quantile(values, 1),
});

/** Processor seconds and peak memory (bytes) of a process so far, and its own memory now: what is of no file. */
function costOf(pid) {
  const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const bytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1]) * 1024;
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
    peakBytes: bytes('VmHWM'),
    ownBytes: bytes('RssAnon'),
  };
}

/** Runs an application under the sidecar to its end (or until `enough`); gives log entries and what the sidecar cost. */
export async function underSidecar(place, flags, command, enough = () => false) {
  const base = [
    CLI,
    `--state-dir=${join(place, 'state')}`,
    `--store=${join(place, 'keep')}`,
    '--debug',
    '--log-format=json',
  ];
  const sidecar = spawn(process.execPath, [...base, ...flags, '--', ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  const entries = [];
  const lines = [];
  let cost = { cpuSeconds: 0, peakBytes: 0, ownPeakBytes: 0 };
  for (const stream of [sidecar.stdout, sidecar.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (part) => {
      const all = (rest + part).split('\n');
      rest = all.pop() ?? '';
      for (const line of all)
        if (line.startsWith('{')) entries.push(JSON.parse(line));
        else lines.push(line);
    });
  }
  const startMs = performance.now();
  const ended = new Promise((resolve) => sidecar.once('exit', resolve));
  let over = false;
  void ended.then(() => {
    over = true;
  });
  while (!over) {
    try {
      const { ownBytes, ...now } = costOf(sidecar.pid);
      // Of an ended process only the times are left.
      if (now.peakBytes > 0) cost = { ...now, ownPeakBytes: Math.max(cost.ownPeakBytes, ownBytes) };
    } catch {
      // It ended in this moment.
    }
    // A server of databases takes this as an order to end at once, whoever is connected.
    if (enough(entries, lines)) sidecar.kill('SIGINT');
    await Promise.race([ended, sleep(100)]);
  }
  return { entries, lines, ...cost, seconds: (performance.now() - startMs) / 1000 };
}

/** Until everybody stood still, a part of each pause. */
export const stops = (entries) =>
  entries.filter(({ msg }) => msg === 'the application stood still').map(({ stopMs }) => stopMs);
export const checkpoints = (entries) => entries.filter(({ msg }) => msg === 'checkpoint');
