/** A process that does nothing but freeze and thaw an application, until it is killed; for tests of the watchdog. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import * as path from 'node:path';
import { MARK_VARIABLE } from '../../src/sidecar/proc.js';

/** State letter of a process; empty when it is gone. */
export function stateOf(pid: number): string {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return line.slice(line.lastIndexOf(')') + 2, line.lastIndexOf(')') + 3);
  } catch {
    return '';
  }
}

export interface Holder {
  readonly process: ChildProcess;
  readonly child: number;
  readonly escaped: number;
  readonly watchdog: number;
  /** Says `frozen` and `thawed` as it goes. */
  readonly said: () => string;
  readonly freezeFile: string;
}

export interface HolderOptions {
  readonly cgroup: boolean;
  /** How long each standstill takes, ms; Infinity: the first one never ends. */
  readonly holdMs: number;
  readonly tickSeconds?: number;
}

/** Writes the program; gives its command line. The store that it remembers stopped processes in is `keep`. */
export async function holderCommand(cwd: string, options: HolderOptions): Promise<[string, ...string[]]> {
  const room = new URL('../../dist/esm/sidecar/', import.meta.url);
  const file = path.join(cwd, 'diffkeeper-holder.mjs');
  await writeFile(
    file,
    `import { startChild } from '${room}child.js';
import { FreezeGroup } from '${room}cgroup.js';
import { Freezer } from '${room}freeze.js';
import { StopList } from '${room}stop-list.js';
import { startWatchdog } from '${room}watchdog.js';
import { readFileSync } from 'node:fs';
const [cgroup, holdMs, tickSeconds] = process.argv.slice(2);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const group = cgroup === 'true' ? FreezeGroup.make() : undefined;
if (cgroup === 'true' && !group) throw new Error('no control group');
const env = { ...process.env, ${MARK_VARIABLE}: 'holder-' + process.pid };
const command = ['sh', '-c', 'setsid sleep 60 & echo $! > escaped; sleep 60'];
const around = group && ((start) => group.startInside(start));
const child = await startChild({ command, ownGroup: true, env, cwd: process.cwd(), around });
const freezeFile = group?.freezeFile ?? '';
const watchdog = await startWatchdog({ freezeFile, tickSeconds: Number(tickSeconds) });
let escaped = '';
while (!escaped.endsWith('\\n')) {
  await sleep(10);
  try { escaped = readFileSync('escaped', 'utf8'); } catch {}
}
console.log(JSON.stringify({ child: child.pid, escaped: Number(escaped), watchdog: watchdog.pid, freezeFile }));
const clock = { nowMs: Date.now, steadyMs: () => performance.now() };
const mark = 'holder-' + process.pid;
const freezer = new Freezer({ ownGroup: true, group, mark, root: '/', watchdog, clock, stopped: new StopList('keep') });
await freezer.start(async () => child);
for (;;) {
  const frozen = await freezer.freeze().catch(() => undefined);
  // A busy machine: not everybody stopped in time.
  if (!frozen) continue;
  console.log('frozen');
  if (holdMs === 'Infinity') for (;;);
  await sleep(Number(holdMs));
  const told = await frozen.thaw().then(() => 'thawed', (error) => error.message);
  console.log(told);
  await sleep(1);
}`,
  );
  const words = [String(options.cgroup), String(options.holdMs), String(options.tickSeconds ?? 15)];
  return [process.execPath, file, ...words];
}

/** Starts it: its application has one process in the group and one that left it. */
export async function startHolder(cwd: string, options: HolderOptions): Promise<Holder> {
  const [program, ...words] = await holderCommand(cwd, options);
  const holder = spawn(program, words, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  const first = new Promise<string>((resolve, reject) => {
    holder.stdout.setEncoding('utf8').on('data', (part: string) => {
      said += part;
      const end = said.indexOf('\n');
      if (end >= 0) resolve(said.slice(0, end));
    });
    holder.once('exit', () => reject(new Error('the holder ended')));
  });
  const facts = JSON.parse(await first) as Pick<Holder, 'child' | 'escaped' | 'watchdog' | 'freezeFile'>;
  return { ...facts, process: holder, said: () => said };
}
