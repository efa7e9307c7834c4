/** The control interface: checkpoints on demand, status, health and metrics over HTTP, on a socket or an address. */
import { lstatSync } from 'node:fs';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import {
  bindLocal,
  DiffKeeperError,
  isDiffKeeperError,
  LIMITS,
  type LocalListener,
  type LocalSocket,
  systemCode,
} from '../core/core.js';
import { type ControlAddress, isLoopback } from './control-address.js';

/** What paths are relative to. */
const BASE = 'http://sidecar';
/** Requests are small: more than this, or slower, is not one of ours. */
const HEADER_BYTES_MAX = 8192;
const REQUEST_MS = 10_000;
/** Connections that have asked for nothing yet: of more than these the oldest is cut, so that none of them keeps others out. */
const SILENT_MAX = 64;
/** Connections at all: descriptors that strangers use up are missing when files are captured. */
const CONNECTIONS_MAX = 2 * SILENT_MAX;

/** What the interface can tell and do. */
export interface ControlSubject {
  status(): object;
  ready(): { readonly ready: boolean; readonly reason: string };
  metrics(): Promise<{ readonly contentType: string; readonly text: string }>;
  /** Takes a checkpoint for who asks here, and tells about it; absent where there is nothing to take one of. */
  checkpoint?(tag: string | undefined, asker: LocalSocket): Promise<object>;
}

interface Answer {
  readonly code: number;
  readonly body: string | object;
  readonly contentType?: string;
  /** Methods that the path takes. */
  readonly allow?: string;
}

export class ControlServer {
  readonly #server: Server;
  readonly #address: ControlAddress;
  readonly #subject: ControlSubject;
  readonly #readOnly: boolean;
  readonly #silent = new Set<LocalSocket>();
  #bound: LocalListener | undefined;

  private constructor(address: ControlAddress, subject: ControlSubject, readOnly: boolean) {
    this.#address = address;
    this.#subject = subject;
    this.#readOnly = readOnly;
    this.#server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: REQUEST_MS }, (asked, answer) => {
      this.#silent.delete(asked.socket);
      this.#answer(asked).then(
        (result) => reply(answer, result),
        (error: unknown) => reply(answer, failure(error)),
      );
    });
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('connection', (socket) => this.#greet(socket));
    this.#server.unref();
  }

  #greet(socket: LocalSocket): void {
    this.#silent.add(socket);
    socket.once('close', () => this.#silent.delete(socket));
    const [oldest] = this.#silent;
    if (this.#silent.size > SILENT_MAX) oldest?.destroy();
  }

  /**
   * Listens. `readOnly`: tells, and takes no orders. Throws DK_IO when it cannot, DK_CONFIG when another process listens
   * on the socket or something else than a socket is there.
   */
  static async listen(address: ControlAddress, subject: ControlSubject, readOnly = false): Promise<ControlServer> {
    const control = new ControlServer(address, subject, readOnly);
    try {
      if (address.kind === 'tcp') await listenTcp(control.#server, address);
      else {
        await assertReplaceable(address.path);
        control.#bound = await bindLocal(control.#server, address.path);
      }
    } catch (error) {
      if (isDiffKeeperError(error)) throw error;
      const reason = error instanceof Error ? error.message : String(error);
      throw new DiffKeeperError('DK_IO', `cannot listen: ${reason}`, {}, error);
    }
    return control;
  }

  /** Where it listens, as a user would write it. */
  get where(): string {
    if (this.#address.kind === 'socket') return `unix:${this.#address.path}`;
    const bound = this.#server.address();
    const port = typeof bound === 'object' && bound !== null ? bound.port : this.#address.port;
    return `${this.#address.host}:${port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    if (this.#bound) await this.#bound.close();
    else await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(asked: IncomingMessage): Promise<Answer> {
    const place = asked.url ?? '/';
    // Escapes that are no text would be taken for other text.
    if (!URL.canParse(place, BASE) || !isText(place)) return { code: 400, body: 'this is no path\n' };
    const url = new URL(place, BASE);
    const known: Record<string, 'GET' | 'POST'> = {
      '/status': 'GET',
      '/healthz': 'GET',
      '/readyz': 'GET',
      '/metrics': 'GET',
      ...(this.#readOnly || this.#subject.checkpoint === undefined ? {} : { '/checkpoint': 'POST' }),
    };
    const method = known[url.pathname];
    if (method === undefined) return { code: 404, body: `known: ${Object.keys(known).join(' ')}\n` };
    const allow = method === 'GET' ? 'GET, HEAD' : method;
    if (!allow.split(', ').includes(asked.method ?? '')) {
      return { code: 405, body: `${url.pathname} takes ${allow}\n`, allow };
    }
    if (!this.#readOnly && fromBrowser(asked, this.#address)) return { code: 403, body: 'not from a web page\n' };
    switch (url.pathname) {
      case '/healthz':
        return { code: 200, body: 'ok\n' };
      case '/readyz': {
        const { ready, reason } = this.#subject.ready();
        return { code: ready ? 200 : 503, body: `${reason}\n` };
      }
      case '/status':
        return { code: 200, body: this.#subject.status() };
      case '/metrics': {
        const { contentType, text } = await this.#subject.metrics();
        return { code: 200, body: text, contentType };
      }
      default:
        assertKnownNames(url.searchParams);
        return { code: 200, body: await this.#take(checkedTag(url.searchParams.get('tag')), asked) };
    }
  }

  async #take(tag: string | undefined, { socket }: IncomingMessage): Promise<object> {
    return (await this.#subject.checkpoint?.(tag, socket)) ?? {};
  }
}

async function listenTcp(server: Server, { host, port }: ControlAddress & { readonly kind: 'tcp' }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      server.on('error', () => {});
      resolve();
    });
  });
}

function isText(place: string): boolean {
  try {
    // In a query a plus sign is a space, which changes nothing here.
    decodeURIComponent(place);
    return true;
  } catch {
    return false;
  }
}

/** A name that is mistyped must not pass for a checkpoint without a tag. */
function assertKnownNames(parameters: URLSearchParams): void {
  for (const name of parameters.keys()) if (name !== 'tag') throw new RangeError(`unknown "${name}"; known: tag`);
  if (parameters.getAll('tag').length > 1) throw new RangeError('a checkpoint has one tag');
}

function checkedTag(tag: string | null): string | undefined {
  if (tag === null || tag === '') return undefined;
  if (Buffer.byteLength(tag) > LIMITS.tagBytes) throw new RangeError(`a tag has at most ${LIMITS.tagBytes} bytes`);
  return tag;
}

/** A page that somebody looks at must not reach us through their browser, not even under a name that it made up. */
function fromBrowser(asked: IncomingMessage, address: ControlAddress): boolean {
  if (asked.headers.origin !== undefined) return true;
  if (address.kind === 'socket') return false;
  const host = (asked.headers.host ?? '').replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  return !isLoopback(host);
}

function failure(error: unknown): Answer {
  if (error instanceof RangeError) return { code: 400, body: { code: 'DK_ARGUMENT', message: error.message } };
  const message = error instanceof Error ? error.message : String(error);
  // It never works, however often it is tried.
  const within = isDiffKeeperError(error, 'DK_WITHIN_HOOK');
  return { code: within ? 409 : 503, body: { code: isDiffKeeperError(error) ? error.code : null, message } };
}

function reply(answer: ServerResponse, { code, body, contentType, allow }: Answer): void {
  const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
  const type = contentType ?? (typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json');
  answer.writeHead(code, {
    'content-type': type,
    'cache-control': 'no-store',
    connection: 'close',
    ...(allow !== undefined && { allow }),
  });
  answer.end(text);
}

/** The socket of a run that was killed may be replaced. Throws DK_CONFIG when somebody answers there, or it is no socket. */
async function assertReplaceable(place: string): Promise<void> {
  const facts = lstatSync(place, { throwIfNoEntry: false });
  if (facts === undefined) return;
  if (!facts.isSocket()) {
    throw new DiffKeeperError('DK_CONFIG', `${place} is there and is no socket: it is left alone`, { path: place });
  }
  const alive = await new Promise<boolean>((resolve) => {
    const asked = request({ socketPath: place, path: '/healthz', timeout: 1000 }, (answer) => {
      answer.resume();
      resolve(true);
    });
    asked.once('timeout', () => asked.destroy());
    asked.once('error', (error) => resolve(!['ENOENT', 'ECONNREFUSED'].includes(systemCode(error))));
    asked.end();
  });
  if (alive) throw new DiffKeeperError('DK_CONFIG', `another process listens on ${place}`, { path: place });
}
