/**
 * One sidecar per state directory, whatever store it uses: an abstract socket that is named after the directory and
 * gone with its owner, however that ends. Nothing is written anywhere. Linux only; containers that share a directory
 * but no network are kept apart by the lock of their store alone.
 */
import { statSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { DiffKeeperError, type Logger, systemCode } from '../core/core.js';

const ANSWER = 'diffkeeper keeps this directory';
const ASK_MS = 1000;

export interface StateLock {
  release(): void;
}

function nameOf(stateDir: string): string {
  const { dev, ino } = statSync(stateDir, { bigint: true });
  return `\0diffkeeper/state/${dev}:${ino}`;
}

/** Process id of the owner; undefined when whoever has the name is no sidecar. */
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

/** Takes the directory. Throws DK_STATE_DIR_LOCKED, with the other one's process id, when another sidecar keeps it. */
export async function lockStateDir(stateDir: string, logger: Logger): Promise<StateLock> {
  if (process.platform !== 'linux') return { release: () => {} };
  const name = nameOf(stateDir);
  const server: Server = createServer((_asked, answer) => {
    answer.writeHead(200, { connection: 'close' });
    answer.end(`${ANSWER}: ${process.pid}`);
  });
  server.unref();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: name }, resolve);
    });
    server.on('error', () => {});
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
  }
  return {
    release: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
