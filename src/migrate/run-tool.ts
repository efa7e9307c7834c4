/** Runs a tool of somebody else's to its end. */
import { once } from 'node:events';
import { childProcess, DiffKeeperError, isDiffKeeperError, throwIfAborted } from '../core/core.js';

/** A list of snapshots is text of this length at most, bytes. */
const STDOUT_BYTES_MAX = 64 << 20;
/** What a tool says of its failure is kept up to here, characters. */
const SAID_MAX = 2000;

/** Packages that bring the tools. */
const PACKAGES = {
  restic: 'the package "restic" (restic.net)',
  borg: 'the package "borgbackup" (borgbackup.org)',
  tar: 'the package "tar" (GNU tar)',
} as const;

export interface ToolRun {
  readonly tool: keyof typeof PACKAGES;
  readonly words: readonly string[];
  readonly cwd?: string;
  /** Beside our own environment, which has passwords for the tool. */
  readonly env?: Readonly<Record<string, string>>;
  /** Hands our stdin on. Default: there is none, so that nothing waits for a password. */
  readonly stdin?: boolean;
  /** Largest exit code that is no failure. Default 0. */
  readonly warnings?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Gives what the tool wrote to stdout.
 *
 * @throws DK_SPAWN when it is not installed, DK_REMOTE when it fails (the message has the end of what it said), DK_LIMIT
 * when it writes without end, DK_ABORTED
 */
export async function runTool(run: ToolRun): Promise<string> {
  const { tool, words, cwd, env, stdin = false, warnings = 0, signal } = run;
  throwIfAborted(signal);
  const child = childProcess().spawn(tool, words, {
    stdio: [stdin ? 'inherit' : 'ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd !== undefined && { cwd }),
  });
  const end = (): void => void child.kill('SIGTERM');
  signal?.addEventListener('abort', end, { once: true });
  const parts: Buffer[] = [];
  let bytes = 0;
  let said = '';
  child.stdout.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > STDOUT_BYTES_MAX) end();
    else parts.push(part);
  });
  child.stderr.on('data', (part: Buffer) => {
    said = (said + part.toString('utf8')).slice(-SAID_MAX);
  });
  try {
    const [code, killed] = (await once(child, 'close')) as [number | null, string | null];
    throwIfAborted(signal);
    if (bytes > STDOUT_BYTES_MAX) {
      throw new DiffKeeperError('DK_LIMIT', `${tool} wrote more than ${STDOUT_BYTES_MAX} bytes`, { name: tool });
    }
    if (code !== null && code <= warnings) return Buffer.concat(parts).toString('utf8');
    const why = said.trim() === '' ? '' : `: ${said.trim()}`;
    throw new DiffKeeperError('DK_REMOTE', `${tool} ended with ${code ?? killed}${why}`, { name: tool });
  } catch (error) {
    if (isDiffKeeperError(error)) throw error;
    throw new DiffKeeperError(
      'DK_SPAWN',
      `${tool} cannot be started: install ${PACKAGES[tool]}`,
      { name: tool },
      error,
    );
  } finally {
    signal?.removeEventListener('abort', end);
  }
}
