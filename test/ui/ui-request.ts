/** Plain HTTP, with any header one likes. */
import { type IncomingHttpHeaders, request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
}

export interface Wish {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export class Client {
  readonly port: number;
  cookie = '';

  constructor(port: number) {
    this.port = port;
  }

  /** Enters with the token of the page's address. */
  async enter(url: string): Promise<void> {
    const { headers } = await this.ask(url.slice(url.indexOf('/?')));
    this.cookie = headers['set-cookie']?.[0]?.split(';')[0] ?? '';
  }

  ask(path: string, wish: Wish = {}): Promise<Reply> {
    const headers = {
      host: `127.0.0.1:${this.port}`,
      ...(this.cookie ? { cookie: this.cookie } : {}),
      ...wish.headers,
    };
    return new Promise((resolve, reject) => {
      const asked = request(
        { host: '127.0.0.1', port: this.port, path, method: wish.method ?? 'GET', headers, agent: false },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.on('error', reject);
          answer.on('end', () => {
            const body = Buffer.concat(parts);
            resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body, text: body.toString('utf8') });
          });
        },
      );
      asked.on('error', reject);
      asked.end(wish.body);
    });
  }

  async json<T>(path: string): Promise<T> {
    const { status, text } = await this.ask(path);
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
    return JSON.parse(text) as T;
  }
}

export function idOf(path: string | Buffer): string {
  return Buffer.from(path).toString('base64url');
}
