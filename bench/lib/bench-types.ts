/** Shapes shared by the programs of the benchmark, which are plain JavaScript with JSDoc types. */

export type ToolName = 'diffkeeper' | 'restic' | 'borg' | 'git' | 'gzip';

/** One command of a tool. */
export interface Step {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
}

/** Where one tool works during one trial. */
export interface Place {
  readonly state: string;
  readonly store: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface Tool {
  readonly name: ToolName;
  /** What it is compared as, for the report. */
  readonly role: string;
  /** The version found, or null when it is not installed. */
  version(): string | null;
  /** Makes an empty store; never timed. */
  prepare(place: Place): readonly Step[];
  /** Takes the state as version `version`, counted from 1. */
  capture(place: Place, version: number): readonly Step[];
  /** Brings a version back into `target`, an empty directory; null is the newest version. */
  recover(place: Place, version: number | null, target: string): readonly Step[];
  /** Name at the top of what was restored that the tool itself put there. */
  readonly leaves?: string;
}

/** What one timed step cost. Times in milliseconds; memory is that of the largest process. */
export interface Cost {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly rssBytes: number;
}

export interface Sample extends Cost {
  readonly tool: ToolName;
  readonly trial: number;
  /** Version counted from 1; 0 where versions mean nothing. */
  readonly version: number;
  readonly step: 'first' | 'later' | 'recover' | 'warm-session' | 'warm-capture' | 'durable' | 'asked';
  /** Growth of the store, sum of file lengths. */
  readonly addedBytes?: number;
  /** Growth of the store, space allotted by the file system. */
  readonly addedDiskBytes?: number;
  /** Of `wallMs`: waiting for quiet and for the event, before the capture began. */
  readonly waitMs?: number;
}

export interface ToolOutcome {
  readonly version: string | null;
  status: 'verified' | 'missing' | 'failed' | 'not-applicable';
  reason: string;
  /** Trees that were compared with what had been captured, and were equal. */
  verifiedTrees: number;
  /** Calls that make bytes durable, for each repetition of the one change. */
  syncCalls?: number[];
}

export interface StateFacts {
  readonly files: number;
  readonly bytes: number;
  readonly largestBytes: number;
}

export interface ScenarioResult {
  readonly schema: 1;
  readonly scenario: string;
  readonly title: string;
  readonly description: string;
  readonly laterName: string;
  readonly quick: boolean;
  readonly scale: number;
  readonly trials: number;
  readonly date: string;
  readonly command: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly state: StateFacts;
  readonly tools: Partial<Record<ToolName, ToolOutcome>>;
  readonly samples: readonly Sample[];
}

export interface Workspace {
  readonly root: string;
  /** A fresh directory name below the root. */
  place(...names: readonly string[]): string;
}

export interface RunContext {
  readonly tools: readonly Tool[];
  readonly trials: number;
  /** 1 is the full size. */
  readonly scale: number;
  /** Few versions and repetitions: to see that everything works. */
  readonly quick: boolean;
  readonly workspace: Workspace;
  say(text: string): void;
}

/** What a scenario hands back; the frame around it is added by the runner. */
export interface ScenarioOutput {
  readonly state: StateFacts;
  readonly tools: Partial<Record<ToolName, ToolOutcome>>;
  readonly samples: readonly Sample[];
}

export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** What a later capture is, in the words of the report. */
  readonly laterName: string;
  describe(scale: number, quick: boolean): string;
  /** Why it cannot run at once on this machine, if so; a quick run leaves it out then, others install what it lacks. */
  lacks?(): string | undefined;
  /** Free space wanted for the tools asked for, bytes. */
  needsBytes(scale: number, trials: number): number;
  run(context: RunContext): Promise<ScenarioOutput>;
}

/** A scenario whose state goes through versions that every tool captures. */
export interface VersionPlan {
  readonly name: string;
  /** States in all, the first included; a quick run makes `QUICK_VERSIONS` at most. */
  readonly versions: number;
  make(state: string, scale: number): void | Promise<void>;
  /** Turns version `version - 1` into `version`, counted from 1. */
  change(state: string, version: number, scale: number): void | Promise<void>;
  /** Few files, many bytes: the stores of a trial go before the next one. Others wait for the end. */
  readonly removeAfterTrial: boolean;
  /** All versions are the same: there is no older one to bring back. */
  readonly unchanging?: boolean;
  /** Runs after the captures of a trial and before its recovers. */
  after?(context: RunContext, trial: number, places: ReadonlyMap<ToolName, Place>): Promise<readonly Sample[]>;
}
