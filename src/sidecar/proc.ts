/**
 * Reads `/proc`: what processes there are, whether they stand
 * still, and which files they have mapped for writing. Synchronous on purpose:
 * the application may be stopped while this runs, and each read takes microseconds.
 */
import { readdirSync } from 'node:fs';
import { type BytePath, pathFromText, systemCode } from '../core/core.js';
import { loadProcessCalls, type ProcessCalls } from '../engine/load.js';
import { NO_ANSWER, readText } from './proc-text.js';
import { startsProcess, stopIsPending } from './vfork-wait.js';

/** Name of the variable that marks the environment of the application's processes. */
export const MARK_VARIABLE = 'DIFFKEEPER_CHILD';
/** Its value for what we start for ourselves: commands around checkpoints, the watchdog. */
export const HELPER_MARK = `helper-${process.pid}`;

/** Place of the start time among the fields behind the name. */
const START_FIELD = 19;

/** Whom we started. Its number stands for its group and its session, too, for as long as somebody is left in them. */
export interface Leader {
  readonly pid: number;
  /** Clock ticks since boot; 0: it had ended when we looked. Whoever has the number with others is somebody else. */
  readonly startTicks: number;
}

export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks since boot. */
  readonly startTicks: number;
}

/** Fields of a stat line from the third on, as far as the start time. The name (field 2) may hold anything, so the line is cut after
 * its last parenthesis. */
function statFields(path: string): string[] | undefined {
  const line = readText(path, true);
  const close = line.lastIndexOf(')');
  return close < 0 ? undefined : line.slice(close + 2).split(' ', START_FIELD + 1);
}

export function processFacts(pid: number): ProcessFacts | undefined {
  const fields = statFields(`/proc/${pid}/stat`);
  if (fields === undefined) return undefined;
  // Ended and not collected yet. A leading thread may end before the others, so all of them are asked.
  if (fields[0] === 'Z' && onlyEnded(pid)) return undefined;
  return {
    pid,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTicks: Number(fields[START_FIELD]),
  };
}

/** Threads of a process, each with the letter of its state; without one it has ended meanwhile. */
function threadsOf(pid: number): (readonly [thread: string, state: string | undefined])[] {
  try {
    return readdirSync(`/proc/${pid}/task`).map((thread) => [
      thread,
      statFields(`/proc/${pid}/task/${thread}/stat`)?.[0],
    ]);
  } catch (error) {
    // The process is gone, and its threads with it. Out of descriptors we must not take it for gone.
    if (NO_ANSWER.includes(systemCode(error))) return [];
    throw error;
  }
}

function onlyEnded(pid: number): boolean {
  return threadsOf(pid).every(([, state]) => state === undefined || state === 'Z' || state === 'X');
}

export function processIds(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Who somebody is, as far as `/proc` tells. */
export function leaderOf(pid: number): Leader {
  return { pid, startTicks: Number(statFields(`/proc/${pid}/stat`)?.[START_FIELD] ?? 0) };
}

/** Those of whose group or session somebody is left. */
export function stillLeading(leaders: readonly Leader[]): Leader[] {
  const led = new Set<number>();
  for (const pid of processIds()) {
    const facts = processFacts(pid);
    if (facts) led.add(facts.group).add(facts.session);
  }
  return leaders.filter(({ pid }) => led.has(pid));
}

/** The same process is still there. */
export function stillRuns({ pid, startTicks }: Leader): boolean {
  return processFacts(pid)?.startTicks === startTicks;
}

/** What a whole table of processes says of each, in the order of the system. */
const COLUMNS = 6;
const ZOMBIE = 'Z'.charCodeAt(0);
/** For the table of processes: it is looked at for each freeze point. */
let table = new Float64Array(COLUMNS * 512);
let calls: ProcessCalls | null | undefined;

/** The processes of the machine in one call; undefined where that cannot be asked. Gone ones may have left theirs. */
export function allProcesses(): Map<number, ProcessFacts> | undefined {
  calls ??= loadProcessCalls() ?? null;
  let count = calls?.listProcesses(table);
  while (count !== undefined && count * COLUMNS > table.length) {
    table = new Float64Array(COLUMNS * 2 * count);
    count = calls?.listProcesses(table);
  }
  if (count === undefined) return undefined;
  const found = new Map<number, ProcessFacts>();
  for (let at = 0; at < count * COLUMNS; at += COLUMNS) {
    const [pid = 0, state = 0, parent = 0, group = 0, session = 0, startTicks = 0] = table.subarray(at, at + COLUMNS);
    // As in `processFacts`.
    if (state === ZOMBIE && onlyEnded(pid)) continue;
    found.set(pid, { pid, parent, group, session, startTicks });
  }
  return found;
}

/** States in which a thread cannot write: stopped, traced, ended. */
const STILL = new Set(['T', 't', 'Z', 'X', 'x']);

/**
 * Whether every thread of a process stands still; an ended process does.
 *
 * @param told it has been sent SIGSTOP and nobody but us takes that back: waiting in `vfork` is standing still then
 */
export function standsStill(pid: number, told = false): boolean {
  return threadsOf(pid).every(
    ([thread, state]) =>
      state === undefined || STILL.has(state) || (told && state === 'D' && startsProcess(pid, thread)),
  );
}

/**
 * Threads that go on although their process has been told to stop, since the one that has to pass it on to them, the first
 * one, waits in `vfork`.
 */
export function passedBy(pid: number): number[] {
  const threads = threadsOf(pid);
  const first = threads.find(([thread]) => Number(thread) === pid);
  if (threads.length < 2 || first?.[1] !== 'D' || !startsProcess(pid, first[0])) return [];
  return threads
    .filter(([, state]) => state !== undefined && !STILL.has(state) && state !== 'D')
    .map(([thread]) => Number(thread));
}

/** Whether there is no such process any more, or only its remains. */
export function hasEnded(pid: number): boolean {
  const state = statFields(`/proc/${pid}/stat`)?.[0];
  return state === undefined || state === 'X' || (state === 'Z' && onlyEnded(pid));
}

/** The process that would be told if this one stopped; undefined when it is gone. */
export function parentOf(pid: number): number | undefined {
  const fields = statFields(`/proc/${pid}/stat`);
  return fields && Number(fields[1]);
}

/** Whether a process has been stopped by a signal, or is about to stop: one that waits in `vfork` does so after it. */
export function isStopping(pid: number): boolean {
  return threadsOf(pid).some(([, state]) => state === 'T') || stopIsPending(pid);
}

/** Whether a process was stopped by a signal, as by Ctrl-Z; a traced one does not count. */
export function isStopped(pid: number): boolean {
  return statFields(`/proc/${pid}/stat`)?.[0] === 'T';
}

/**
 * Paths below `root` that a process has mapped shared and writable, relative to it. Stores through such a mapping
 * need not move the file's times.
 *
 * @param calls what the kernel is asked with; undefined: the text of `/proc` is read
 */
export function mappedWritable(pid: number, root: string, calls: ProcessCalls | undefined): BytePath[] {
  const prefix = `${pathFromText(root)}/`;
  const found = new Set<BytePath>();
  const names = calls?.writableMappings(pid)?.toString('latin1').split('\0') ?? mappedByText(pid, prefix);
  for (const name of names) {
    if (name.startsWith(prefix) && !name.endsWith(' (deleted)')) found.add(name.slice(prefix.length));
  }
  return [...found];
}

function mappedByText(pid: number, prefix: string): string[] {
  const text = readText(`/proc/${pid}/maps`);
  // Most have none: a search is cheaper than a look at each of hundreds of lines.
  if (!text.includes(prefix.replaceAll('\n', '\\012'))) return [];
  const names: string[] = [];
  for (const line of text.split('\n')) {
    const name = /^\S+ .w.s \S+ \S+ \d+ +(\/.*)$/.exec(line)?.[1];
    if (name !== undefined) names.push(name.replaceAll('\\012', '\n'));
  }
  return names;
}
