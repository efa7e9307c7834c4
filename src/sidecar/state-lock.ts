/**
 * One sidecar per state directory, whatever store it uses: an abstract socket that is named after the directory and
 * gone with its owner, however that ends. Nothing is written anywhere. Linux only; containers that share a directory
 * but no network are kept apart by the lock of their store alone.
 */
import { type FileHandle, lstat, open, realpath } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { DiffKeeperError, type Logger, silentLogger, systemCode } from '../core/core.js';

const ANSWER = 'diffkeeper keeps this directory';
const ASK_MS = 1000;
/** How often it is seen whether the directory is still the same one, ms. */
const FOLLOW_MS = 1000;

export interface StateLock {
  release(): void;
}

/** A directory that is ours. */
interface Held {
  readonly name: string;
  readonly server: Server;
  /** Open, so that no other directory is given its inode while it is locked; undefined when that failed. */
  readonly directory: FileHandle | undefined;
}

/** Of a real path. Throws when something else than a directory is there: what a link points at is not ours. */
async function nameOf(stateDir: string): Promise<string> {
  const facts = await lstat(stateDir, { bigint: true });
  if (!facts.isDirectory() || (await realpath(stateDir)) !== stateDir) throw new Error('it is no directory any more');
  const { dev, ino } = facts;
  return `\0diffkeeper/state/${dev}:${ino}`;
}

/** Process id that whoever has the name gives; undefined when it is no sidecar. */
function ownerOf(name: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const asked = request({ socketPath: name, path: '/', timeout: ASK_MS }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        text = (text + part).slice(0, 200);
      });
      answer.on('end', () => resolve(Number(new RegExp(`^${ANSWER}: (\\d+)$`).exec(text)?.[1]) || undefined));
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', () => resolve(undefined));
    asked.end();
  });
}

async function holdName(name: string, stateDir: string): Promise<Held> {
  const server = createServer((_asked, answer) => {
    answer.writeHead(200, { connection: 'close' });
    answer.end(`${ANSWER}: ${process.pid}`);
  });
  server.unref();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ path: name }, resolve);
  });
  server.on('error', () => {});
  return { name, server, directory: await open(stateDir, 'r').catch(() => undefined) };
}

function letGo({ server, directory }: Held): void {
  server.closeAllConnections();
  server.close();
  directory?.close().catch(() => {});
}

/** Takes the directory as it is now; undefined, with a warning, when that cannot be made sure of. Throws DK_STATE_DIR_LOCKED. */
async function take(stateDir: string, logger: Logger): Promise<Held | undefined> {
  const name = await nameOf(stateDir);
  try {
    return await holdName(name, stateDir);
  } catch (error) {
    const pid = systemCode(error) === 'EADDRINUSE' ? await ownerOf(name) : undefined;
    if (pid !== undefined) {
      throw new DiffKeeperError(
        'DK_STATE_DIR_LOCKED',
        `process ${pid} keeps the state directory ${stateDir} already`,
        { path: stateDir, pid },
        error,
      );
    }
    // A sandbox without sockets, or a name taken by somebody else: no reason not to run.
    logger.warn({ error: String(error) }, 'cannot make sure that no other sidecar keeps this state directory');
    return undefined;
  }
}

/**
 * Takes the directory, named by its real path, and the one that takes its place should it be removed and made again. Throws DK_STATE_DIR_LOCKED,
 * with the other one's process id, when another sidecar keeps it.
 */
export async function lockStateDir(stateDir: string, logger: Logger): Promise<StateLock> {
  if (process.platform !== 'linux') return { release: () => {} };
  let held = await take(stateDir, logger);
  if (held === undefined) return { release: () => {} };
  let released = false;
  let told = false;
  const follow = async (): Promise<void> => {
    const name = await nameOf(stateDir).catch(() => held?.name);
    if (name === held?.name) return;
    const next = await take(stateDir, told ? silentLogger : logger);
    if (next === undefined) {
      told = true;
      return;
    }
    if (held) letGo(held);
    held = next;
    told = false;
    if (released) letGo(next);
  };
  let following = false;
  const timer = setInterval(() => {
    // On a mount that hangs the last look is still under way.
    if (following) return;
    following = true;
    follow()
      .catch((error: unknown) => {
        if (!told)
          logger.error({ error: String(error) }, 'the state directory was made anew, and another sidecar keeps it');
        told = true;
      })
      .finally(() => {
        following = false;
      });
  }, FOLLOW_MS).unref();
  return {
    release: () => {
      released = true;
      clearInterval(timer);
      if (held) letGo(held);
    },
  };
}
