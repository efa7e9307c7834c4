/**
 * Who may ask. The page shows everything that was ever kept, so a request must come from the person who was given the
 * address: it has the token once, a cookie afterwards. `Host` and `Origin` are looked at as well, since a page of another
 * site can make a browser send requests here (with a name of its own that resolves to this machine, too).
 */
import type { IncomingHttpHeaders } from 'node:http';
import { equalSecretly, randomBytes } from '../core/core.js';

const SECRET_BYTES = 32;
/** A browser that is started for the page asks for it at once. */
const ONCE_MS = 30_000;

function secret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/** Whether a host can be reached from this machine only. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || /^\[?::1\]?$/.test(host) || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The host of a `Host` header without its port; undefined when it is none. */
function hostOf(header: string | undefined): string | undefined {
  return /^(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(header ?? '')?.[1]?.toLowerCase();
}

/** A name that somebody else can make resolve to this machine is none of ours: addresses cannot be rebound. */
export function isOwnHost(header: string | undefined, listen: string): boolean {
  const host = hostOf(header);
  if (host === undefined) return false;
  if (isLoopbackHost(host)) return true;
  if (isLoopbackHost(listen)) return false;
  return host === listen.toLowerCase() || host.startsWith('[') || /^\d{1,3}(\.\d{1,3}){3}$/.test(host);
}

/** What comes from a page of another origin says so in one of two headers. */
export function isOwnOrigin(headers: IncomingHttpHeaders): boolean {
  const { origin, host } = headers;
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) return false;
  const site = headers['sec-fetch-site'];
  return site === undefined || site === 'same-origin' || site === 'none';
}

function sameSecret(given: string, secret: string): boolean {
  return equalSecretly(Buffer.from(given), Buffer.from(secret));
}

export class UiGuard {
  /** In the address that the user opens. */
  readonly token: string;
  readonly #session = secret();
  #once: { readonly token: string; readonly untilMs: number } | null = null;

  constructor(token: string = secret()) {
    this.token = token;
  }

  /** Another token, for one use, soon: the words a program is started with can be seen by all users of a machine. */
  tokenForOnce(): string {
    this.#once = { token: secret(), untilMs: performance.now() + ONCE_MS };
    return this.#once.token;
  }

  hasToken(given: string | null): boolean {
    if (given === null) return false;
    const once = this.#once;
    if (once && performance.now() < once.untilMs && sameSecret(given, once.token)) {
      this.#once = null;
      return true;
    }
    return sameSecret(given, this.token);
  }

  /** Cookies do not know ports: the name tells two pages of one machine apart. */
  #cookieName(port: number): string {
    return `diffkeeper_${port}`;
  }

  cookie(port: number): string {
    return `${this.#cookieName(port)}=${this.#session}; Path=/; HttpOnly; SameSite=Strict`;
  }

  hasCookie(header: string | undefined, port: number): boolean {
    const name = this.#cookieName(port);
    return (header ?? '').split(';').some((pair) => {
      const cut = pair.indexOf('=');
      return cut > 0 && pair.slice(0, cut).trim() === name && sameSecret(pair.slice(cut + 1).trim(), this.#session);
    });
  }
}
