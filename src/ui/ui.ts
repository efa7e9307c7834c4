/** Door of the room `ui`: a web page that shows what a store holds. */
import { DiffKeeperError, startApart } from '../core/core.js';
import type { Store } from '../store/store.js';
import { CheckpointIndex } from './checkpoint-index.js';
import { LiveFeed } from './live-feed.js';
import { StoreSession } from './store-session.js';
import { UiAnswers } from './ui-answers.js';
import { isLoopbackHost, UiGuard } from './ui-guard.js';
import { PageServer } from './ui-server.js';

const HOST = '127.0.0.1';

export interface UiOptions {
  /**
   * Opens the store, to read. Called whenever it is needed and not open: the page holds the store only while somebody
   * asks for something, and `idleMs` longer.
   */
  readonly open: () => Promise<Store>;
  /** 0 takes a free one. Default 0. */
  readonly port?: number;
  /** Address to listen on, default 127.0.0.1. Another one than a loopback address needs `remote`. */
  readonly host?: string;
  /** Let other machines reach the page: whoever sees the address sees all that was kept. Default false. */
  readonly remote?: boolean;
  /** The one directory that the page may restore into. Default none. */
  readonly restoreDir?: string;
  /** Time after which a store that nobody asks for is closed, ms. Default 2000. */
  readonly idleMs?: number;
}

export interface UiServer {
  /** What to open in a browser; the token in it is the key. */
  readonly url: string;
  readonly port: number;
  /** Whether this machine alone reaches it. */
  readonly loopback: boolean;
  /** Starts the user's browser with the page, where there is one. */
  show(): void;
  /** Ends all requests and closes the store. */
  close(): Promise<void>;
}

/**
 * Serves the page. Throws DK_ARGUMENT for an address that other machines reach without `remote`, DK_CONFIG when the
 * port cannot be had, RangeError for a port that is none. The store is opened with the first request.
 */
export async function serveUi(options: UiOptions): Promise<UiServer> {
  const { host = HOST, port = 0 } = options;
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new RangeError(`port: expected 0 to 65535, got ${port}`);
  if (!isLoopbackHost(host) && options.remote !== true) {
    throw new DiffKeeperError('DK_ARGUMENT', `other machines reach ${host}: that has to be asked for`, {
      name: 'host',
      actual: host,
    });
  }
  const session = new StoreSession(options.open, options.idleMs);
  const index = new CheckpointIndex();
  const feed = new LiveFeed(session, index);
  const guard = new UiGuard();
  const answers = new UiAnswers(session, index, options.restoreDir);
  const server = new PageServer({ guard, answers, feed, session, host });
  const bound = await server.listen(port);
  const shown = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  const page = `http://${shown}:${bound}/?token=`;
  return {
    url: page + guard.token,
    port: bound,
    loopback: isLoopbackHost(host),
    show: () => showPage(page + guard.tokenForOnce()),
    close: async () => {
      feed.close();
      await server.close();
      await session.end();
    },
  };
}

function showPage(url: string): void {
  const { platform, env } = process;
  if (platform === 'darwin') startApart('open', [url]);
  else if (platform === 'win32') startApart('explorer', [url]);
  else if (env.DISPLAY || env.WAYLAND_DISPLAY) startApart('xdg-open', [url]);
}
