/** A directory for each test of a file, and programs started in it that end with the test. */
import { afterEach, beforeAll, beforeEach } from 'vitest';
import { type CliResult, ensureBuilt, type RunningCli, runCli, scratch, startCli } from './cli-process.js';

export interface CliPlace {
  /** Another one in each test. */
  readonly directory: string;
  /** Runs the program to its end. */
  run(...words: string[]): Promise<CliResult>;
  /** Starts the program; it is killed when the test is over. */
  start(...words: string[]): RunningCli;
}

/** To be called once, outside of tests. `prepare` fills the directory before each. */
export function cliPlace(prepare?: (directory: string) => Promise<void>): CliPlace {
  let place: Awaited<ReturnType<typeof scratch>>;
  const started: RunningCli[] = [];
  beforeAll(ensureBuilt, 120_000);
  beforeEach(async () => {
    place = await scratch();
    await prepare?.(place.directory);
  });
  afterEach(async () => {
    for (const { process: child, ended } of started.splice(0)) {
      child.kill('SIGKILL');
      await ended;
    }
    await place.remove();
  });
  return {
    get directory() {
      return place.directory;
    },
    run: (...words) => runCli(words, { cwd: place.directory }),
    start: (...words) => {
      const cli = startCli(words, { cwd: place.directory });
      started.push(cli);
      return cli;
    },
  };
}
