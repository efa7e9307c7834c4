/** The server behind the page: who may ask, what is answered, and how much at once. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { DiffKeeperError, isDiffKeeperError, pathName, pathToText } from '../core/core.js';
import { VERSION_TYPE } from '../format/format.js';
import { readVersion } from '../recover/recover.js';
import { pathOfId, versionAt } from './entry-listing.js';
import type { LiveFeed } from './live-feed.js';
import { pageFile } from './page-file.js';
import type { StoreSession } from './store-session.js';
import { readOrder, type UiAnswers } from './ui-answers.js';
import { isOwnHost, isOwnOrigin, type UiGuard } from './ui-guard.js';

/** Requests are small: more than this, or slower, is not one of ours. */
const HEADER_BYTES_MAX = 16_384;
const BODY_BYTES_MAX = 65_536;
const REQUEST_MS = 10_000;
const CONNECTIONS_MAX = 128;
const DOWNLOADS_MAX = 8;

/** Nothing from elsewhere, no script in the page itself, no text that becomes markup. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; " +
  "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

/** Takes the place of the address with the token, in the history too. */
const WELCOME =
  '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/"><title>DiffKeeper</title>';
const NO_ENTRY = 'Open the address that "diffkeeper ui" printed: it carries the key to this page.\n';

export interface ServerParts {
  readonly guard: UiGuard;
  readonly answers: UiAnswers;
  readonly feed: LiveFeed;
  readonly session: StoreSession;
  /** Host name or address it listens on. */
  readonly host: string;
}

interface Asked {
  readonly request: IncomingMessage;
  readonly answer: ServerResponse;
  readonly url: URL;
  readonly signal: AbortSignal;
}

class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

function statusOf(error: unknown): number {
  if (error instanceof Refusal) return error.status;
  if (error instanceof RangeError || error instanceof TypeError) return 400;
  if (!isDiffKeeperError(error)) return 500;
  const byCode: Partial<Record<DiffKeeperError['code'], number>> = {
    DK_NOT_FOUND: 404,
    DK_ARGUMENT: 400,
    DK_UNSUPPORTED: 400,
    DK_LIMIT: 503,
    DK_STORE_LOCKED: 503,
    DK_STORE_CLOSED: 503,
    DK_NO_STORE: 503,
  };
  return byCode[error.code] ?? 500;
}

function send(answer: ServerResponse, status: number, type: string, body: string | Buffer): void {
  answer.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  answer.end(body);
}

function sendError(answer: ServerResponse, error: unknown): void {
  if (answer.headersSent) return void answer.destroy();
  const message = error instanceof Error ? error.message : String(error);
  const code = isDiffKeeperError(error) ? error.code : null;
  send(answer, statusOf(error), 'application/json', JSON.stringify({ code, message }));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) throw new Refusal(413, 'the body is too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** A name for the file that a browser makes of it; the browser checks it again. */
function attachment(path: string): string {
  const name = pathToText(pathName(path)).replace(/[\u0000-\u001f\u007f"\\/]/g, '_');
  const ascii = name.replace(/[^\x20-\x7e]/g, '_');
  const coded = encodeURIComponent(name).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
  return `attachment; filename="${ascii}"; filename*=UTF-8''${coded}`;
}

export class PageServer {
  readonly #parts: ServerParts;
  readonly #server: Server;
  #port = 0;
  #downloads = 0;

  constructor(parts: ServerParts) {
    this.#parts = parts;
    const limits = { maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS };
    this.#server = createServer(limits, (request, answer) => {
      for (const [name, value] of Object.entries(HEADERS)) answer.setHeader(name, value);
      this.#take(request, answer).catch((error: unknown) => sendError(answer, error));
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Listens; gives the port. Throws DK_CONFIG when it cannot. */
  async listen(port: number): Promise<number> {
    const { host } = this.#parts;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(
          new DiffKeeperError(
            'DK_CONFIG',
            `cannot listen on ${host}:${port}: ${error.message}`,
            { actual: port },
            error,
          ),
        ),
      );
      this.#server.listen({ host: host.replace(/^\[|\]$/g, ''), port, exclusive: true }, resolve);
    });
    const bound = this.#server.address();
    this.#port = typeof bound === 'object' && bound !== null ? bound.port : port;
    return this.#port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #take(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { guard, host } = this.#parts;
    if (!isOwnHost(request.headers.host, host)) throw new Refusal(421, 'this address has another name');
    if (!URL.canParse(request.url ?? '', 'http://page')) throw new Refusal(400, 'not an address');
    const url = new URL(request.url ?? '/', 'http://page');
    const entering = url.pathname === '/' && request.method === 'GET';
    if (!entering && !isOwnOrigin(request.headers)) throw new Refusal(403, 'not from another page');
    if (entering && guard.hasToken(url.searchParams.get('token'))) {
      answer.setHeader('set-cookie', guard.cookie(this.#port));
      return send(answer, 200, 'text/html; charset=utf-8', WELCOME);
    }
    if (!guard.hasCookie(request.headers.cookie, this.#port)) {
      return send(answer, 401, 'text/plain; charset=utf-8', NO_ENTRY);
    }
    const stop = new AbortController();
    answer.on('close', () => stop.abort());
    await this.#route({ request, answer, url, signal: stop.signal });
  }

  async #route(asked: Asked): Promise<void> {
    const { request, answer, url } = asked;
    if (url.pathname === '/api/restore') return this.#restore(asked);
    if (request.method !== 'GET') throw new Refusal(405, 'only GET here');
    if (url.pathname === '/api/events') {
      if (!this.#parts.feed.add(answer)) throw new Refusal(503, 'too many pages listen');
      return;
    }
    if (url.pathname === '/download') return this.#download(asked);
    if (url.pathname.startsWith('/api/')) {
      const { known } = this.#parts.answers;
      const name = url.pathname.slice('/api/'.length);
      if (!Object.hasOwn(known, name)) throw new Refusal(404, 'no such question');
      const result = await known[name]?.({ query: url.searchParams, signal: asked.signal });
      return send(answer, 200, 'application/json', JSON.stringify(result));
    }
    const file = pageFile(url.pathname);
    if (file === undefined) throw new Refusal(404, 'no such page');
    send(answer, 200, file.type, file.text);
  }

  async #restore({ request, answer, signal }: Asked): Promise<void> {
    if (request.method !== 'POST') throw new Refusal(405, 'restore takes POST');
    // A form of another page cannot send this type without asking first.
    if (request.headers['content-type'] !== 'application/json') throw new Refusal(415, 'expected application/json');
    const order = readOrder(await bodyOf(request));
    const report = await this.#parts.answers.restore(order, signal);
    send(answer, 200, 'application/json', JSON.stringify(report));
  }

  /** A damaged content ends the connection early: the length is known, so the browser sees that it is not whole. */
  async #download({ answer, url, signal }: Asked): Promise<void> {
    const path = pathOfId(url.searchParams.get('id') ?? '');
    const at = Number(url.searchParams.get('at'));
    if (!Number.isSafeInteger(at) || at < 1) throw new RangeError('at: expected a checkpoint number');
    if (this.#downloads >= DOWNLOADS_MAX) throw new DiffKeeperError('DK_LIMIT', 'too many downloads at once');
    this.#downloads += 1;
    try {
      await this.#parts.session.use(async (store) => {
        const version = await versionAt(store, path, at);
        if (version?.type !== VERSION_TYPE.file) throw new Refusal(404, 'no file of this name there');
        answer.writeHead(200, {
          'content-type': 'application/octet-stream',
          'content-length': version.size,
          'content-disposition': attachment(path),
          'content-security-policy': 'sandbox',
        });
        await pipeline(readVersion(store, version), answer, { signal });
      });
    } finally {
      this.#downloads -= 1;
    }
  }
}
