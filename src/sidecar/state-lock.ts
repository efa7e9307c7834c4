/**
 * One sidecar per state directory, whatever store it uses: an abstract socket that is named after the directory and tells who keeps
 * it, and a mark on the directory itself, for those who share the directory and no network. Both are gone with their owner, however
 * that ends. Nothing is written anywhere. Linux only.
 */
import { type FileHandle, lstat, realpath } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:http';
import { DiffKeeperError, type Logger, silentLogger, systemCode } from '../core/core.js';
import { type DirectoryId, markerOf, markStateDir } from './state-mark.js';

const ANSWER = 'diffkeeper keeps this directory';
const ASK_MS = 1000;
/** How often it is seen whether the directory is still the same one, ms. */
const FOLLOW_MS = 1000;
/** A directory that is replaced while it is being taken is taken anew, so often. */
const TAKES = 5;

export interface StateLock {
  release(): void;
}

/** A directory that is ours. */
interface Held {
  readonly name: string;
  /** Undefined where there are no sockets, or somebody who is no sidecar has the name. */
  readonly server: Server | undefined;
  /** Open, so that no other directory is given its inode while it is locked, and marked where that can be had; undefined when that failed. */
  readonly directory: FileHandle | undefined;
}

/** Of a real path. Throws when something else than a directory is there: what a link points at is not ours. */
async function idOf(stateDir: string): Promise<DirectoryId> {
  const facts = await lstat(stateDir, { bigint: true });
  if (!facts.isDirectory() || (await realpath(stateDir)) !== stateDir) throw new Error('it is no directory any more');
  return facts;
}

function nameOf({ dev, ino }: DirectoryId): string {
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

async function listenAt(name: string): Promise<Server> {
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
  return server;
}

function letGo({ server, directory }: Omit<Held, 'name'>): void {
  server?.closeAllConnections();
  server?.close();
  directory?.close().catch(() => {});
}

/** @param pid undefined: it cannot be seen from here */
function keptAlready(stateDir: string, pid: number | undefined, cause?: unknown): DiffKeeperError {
  const who =
    pid === undefined ? 'another sidecar, which cannot be seen from here (another container?),' : `process ${pid}`;
  const message = `${who} keeps the state directory ${stateDir} already`;
  return new DiffKeeperError(
    'DK_STATE_DIR_LOCKED',
    message,
    { path: stateDir, ...(pid !== undefined && { pid }) },
    cause,
  );
}

/**
 * Takes the directory as it is now; undefined when that cannot be made sure of. Throws DK_STATE_DIR_LOCKED.
 *
 * @param isTold nobody wants to hear again what is wrong, or who keeps it
 */
async function take(stateDir: string, logger: Logger, isTold = false): Promise<Held | undefined> {
  for (let time = 1; ; time += 1) {
    const held = await takeOnce(stateDir, isTold ? silentLogger : logger, isTold);
    if (held !== 'replaced') return held;
    if (time === TAKES) throw new DiffKeeperError('DK_STATE_DIR', `${stateDir} is replaced again and again`);
  }
}

async function takeOnce(stateDir: string, logger: Logger, isTold: boolean): Promise<Held | undefined | 'replaced'> {
  const id = await idOf(stateDir);
  const name = nameOf(id);
  let server: Server | undefined;
  let refusal: unknown;
  try {
    server = await listenAt(name);
  } catch (error) {
    const pid = systemCode(error) === 'EADDRINUSE' ? await ownerOf(name) : undefined;
    if (pid !== undefined) throw keptAlready(stateDir, pid, error);
    refusal = error;
  }
  const { directory, outcome, trouble } = await markStateDir(stateDir, id);
  if (outcome === 'taken' || outcome === 'replaced') {
    letGo({ server, directory });
    if (outcome === 'taken') throw keptAlready(stateDir, isTold ? undefined : markerOf(id));
    return outcome;
  }
  if (server === undefined && outcome === 'unknown') {
    letGo({ server, directory });
    // A sandbox without sockets, or a name taken by somebody else: no reason not to run.
    logger.warn({ error: String(refusal) }, 'cannot make sure that no other sidecar keeps this state directory');
    return undefined;
  }
  if (trouble !== undefined) {
    logger.warn({ error: trouble }, 'cannot mark this state directory: sidecars in other containers are not kept off');
  }
  return { name, server, directory };
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
    const name = await idOf(stateDir).then(nameOf, () => held?.name);
    if (name === held?.name) return;
    const next = await take(stateDir, logger, told);
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
