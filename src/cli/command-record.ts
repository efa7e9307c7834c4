/** `record`: a flight recorder. Runs a command, keeps every version of a directory, and says how to look at them. */
import { EXIT_CODES, runSidecar, type Store } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { metricsAddress } from './listen-options.js';
import type { Output } from './output.js';
import { captureOptions, storeOptions, withStore } from './store-access.js';
import { VERSION } from './version.js';

/** Bytes of the command that its tag shows. */
const SHOWN_BYTES = 200;

export async function run(context: CommandContext): Promise<number> {
  const { settings, command, output, logger } = context;
  if (command === null || command.length === 0) throw argumentError('command', 'nothing to run; write it after "--"');
  return withStore(context, { ...storeOptions(settings), create: true }, async (store) => {
    const before = store.newest?.sequence ?? 0;
    const exitCode = await runSidecar({
      stateDir: settings.stateDir,
      store,
      command,
      // What is there is what the command is to find; nothing is brought back.
      recover: 'never',
      orphan: settings.orphan,
      maxLagMs: settings.maxLag,
      consistency: settings.consistency,
      collectGarbage: true,
      adoptOrphans: true,
      freezeWith: settings.freezeWith,
      checkpointIntervalMs: settings.checkpointInterval,
      ...(settings.maxOverhead !== undefined && { maxOverheadPercent: settings.maxOverhead }),
      control: settings.control,
      ...metricsAddress(settings),
      stopTimeoutMs: settings.stopTimeout,
      version: VERSION,
      logger,
      ...captureOptions(settings),
    });
    // The recording is there: that its last line is missing is no reason to hide how the command ended.
    const last = await tagEnd(store, command, exitCode).catch((error: unknown) => {
      logger.error({ error: String(error) }, 'the end of the recording cannot be tagged');
      return store.newest?.sequence ?? before;
    });
    tell(output, { store: settings.store, from: before + 1, to: last, exitCode });
    return exitCode;
  });
}

/** One more checkpoint that changes nothing and says how it ended; gives its number. */
async function tagEnd(store: Store, command: readonly string[], exitCode: number): Promise<number> {
  const words = command.join(' ').slice(0, SHOWN_BYTES);
  const transaction = store.begin();
  try {
    const checkpoint = await transaction.commit({ tag: `exit code ${exitCode}: ${words}`, force: true });
    return checkpoint?.sequence ?? 0;
  } finally {
    await transaction.abort();
  }
}

interface Recording {
  readonly store: string;
  readonly from: number;
  readonly to: number;
  readonly exitCode: number;
}

/** Stdout was the command's own: only `--json` adds a line to it. */
function tell(output: Output, recording: Recording): void {
  const { from, to, exitCode } = recording;
  const store = /^[\w./=:@+-]+$/.test(recording.store) ? recording.store : JSON.stringify(recording.store);
  output.record('recording', recording);
  const ended = exitCode === EXIT_CODES.ok ? 'succeeded' : `ended with ${exitCode}`;
  output.note(`diffkeeper: the command ${ended}; recorded as checkpoints ${from} to ${to}`);
  output.note(`  diffkeeper timeline --store=${store} --limit=${Math.max(1, to - from + 1)}`);
  output.note(`  diffkeeper export --store=${store} --format=dir --at=${Math.max(from, to - 1)} DIRECTORY`);
}
