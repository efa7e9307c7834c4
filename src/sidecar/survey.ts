/** Which processes belong to the application: by descent, by group and session, and whoever has left all of these behind. */
import type { BytePath } from '../core/core.js';
import { loadProcessCalls } from '../engine/load.js';
import {
  allProcesses,
  HELPER_MARK,
  type Leader,
  leaderOf,
  MARK_VARIABLE,
  mappedWritable,
  type ProcessFacts,
  processFacts,
  processIds,
} from './proc.js';
import { readText } from './proc-text.js';

/** Most that may have taken an orphan: all above us, in any tree of processes that is one. */
const ADOPTERS_MAX = 64;

/** A split of the processes of the machine, taken at one moment. */
export interface ProcessSurvey {
  /** Processes that belong to the application, by process id. */
  readonly members: ReadonlySet<number>;
  /** All other processes: a process does not become a member later, so these need no second look. */
  readonly others: ReadonlySet<number>;
}

/** Orphans of the application come to us, so that a child of ours that we have not started belongs to it. */
export interface Adoption {
  /** Children that we had before: process ids, each with the clock ticks from boot to its start. */
  readonly strangers: ReadonlyMap<number, number>;
}

/** What is known of the application while its processes are sought. */
interface Family {
  /** Numbers of leaders, and so of their groups and sessions. */
  readonly numbers: ReadonlySet<number>;
  /** When we were started: whoever carries the mark is younger. */
  readonly sinceTicks: number;
  readonly mark: string;
  /** Parents of processes that have lost theirs. */
  readonly orphanage: ReadonlySet<number>;
  readonly adoption: Adoption | undefined;
}

function familyOf(
  leaders: readonly Leader[],
  mark: string,
  adoption: Adoption | undefined,
  factsOf: (pid: number) => ProcessFacts | undefined,
): Family {
  // A number is given away again only when nobody is left of the group and the session that it named.
  const own = leaders.filter(({ pid, startTicks }) => (factsOf(pid)?.startTicks ?? startTicks) === startTicks);
  return {
    numbers: new Set(own.map(({ pid }) => pid)),
    sinceTicks: factsOf(process.pid)?.startTicks ?? 0,
    mark,
    adoption,
    orphanage: adopters(factsOf),
  };
}

/**
 * Who may be the parent of a process of ours that has lost its own: process 1, we ourselves, and those above us, any of
 * which may have said that it takes orphans (`systemd --user` has).
 */
function adopters(factsOf: (pid: number) => ProcessFacts | undefined): Set<number> {
  const found = new Set([0, 1, process.pid]);
  let at: number | undefined = process.ppid;
  for (; at !== undefined && !found.has(at) && found.size < ADOPTERS_MAX; at = factsOf(at)?.parent) found.add(at);
  return found;
}

/**
 * A process belongs to the application when its parent does, when it is in a leader's group or session, or, for a
 * daemon that left all of these behind, when it has come to us as an orphan, or carries the mark in its environment.
 */
function belongs(facts: ProcessFacts, family: Family, members: Set<number>): boolean {
  const { numbers, sinceTicks, mark, orphanage, adoption } = family;
  if (numbers.has(facts.pid) || members.has(facts.parent)) return true;
  if (numbers.has(facts.group) || numbers.has(facts.session)) return true;
  if (adoption && facts.parent === process.pid && adoption.strangers.get(facts.pid) !== facts.startTicks) {
    // What we have started for ourselves, and what that left behind, says so.
    return !carriesMark(facts.pid, HELPER_MARK);
  }
  // Only a process that lost its parent can have hidden its descent: this keeps environ reads rare.
  if (mark === '' || facts.startTicks < sinceTicks || !orphanage.has(facts.parent)) return false;
  return carriesMark(facts.pid, mark);
}

/** Whether the environment that a process was started with has the mark, as far as we may see it. */
export function carriesMark(pid: number, mark: string): boolean {
  return `\0${readText(`/proc/${pid}/environ`)}`.includes(`\0${MARK_VARIABLE}=${mark}\0`);
}

/**
 * Sorts all processes into members and others; with `before`, looks only at what is new since then.
 *
 * @param adoption given where orphans come to us
 */
export function surveyProcesses(
  leaders: readonly Leader[],
  mark: string,
  before?: ProcessSurvey,
  adoption?: Adoption,
): ProcessSurvey {
  const members = new Set<number>(before?.members);
  const others = new Set<number>(before?.others);
  // Of few new ones a listing of numbers tells more cheaply.
  const all = before === undefined ? allProcesses() : undefined;
  const factsOf = (pid: number) => (all ? all.get(pid) : processFacts(pid));
  let open: ProcessFacts[] = [];
  for (const pid of all?.keys() ?? processIds()) {
    if (members.has(pid) || others.has(pid) || pid === process.pid) continue;
    const facts = factsOf(pid);
    if (facts !== undefined) open.push(facts);
  }
  if (open.length === 0) return { members, others };
  const family = familyOf(leaders, mark, adoption, factsOf);
  // Parents may come after their children in the listing: repeat until nothing is added.
  for (let grown = true; grown; ) {
    const rest = open.filter((facts) => {
      const member = belongs(facts, family, members);
      if (member) members.add(facts.pid);
      return !member;
    });
    grown = rest.length < open.length;
    open = rest;
  }
  for (const facts of open) others.add(facts.pid);
  return { members, others };
}

/** Paths below `root` that a process or a descendant of it has mapped shared and writable, relative to it. */
export function mappedByFamily(leaderPid: number, root: string): BytePath[] {
  const found = new Set<BytePath>();
  const calls = loadProcessCalls();
  for (const pid of surveyProcesses([leaderOf(leaderPid)], '').members) {
    for (const path of mappedWritable(pid, root, calls)) found.add(path);
  }
  return [...found];
}
