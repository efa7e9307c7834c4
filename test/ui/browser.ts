/**
 * Drives the system's Chromium over the DevTools protocol, through a pair of pipes: no port that others could reach, and
 * no library. Only what the tests need.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { Readable, Writable } from 'node:stream';

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
/** Long, for machines that are busy with other things. */
const WAIT_MS = 25_000;

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

type Listener = (params: Record<string, unknown>) => void;

export class Browser {
  readonly #child: ChildProcess;
  readonly #profile: string;
  readonly #waiting = new Map<number, { resolve(value: Record<string, unknown>): void; reject(error: Error): void }>();
  readonly #listeners = new Map<string, Listener[]>();
  #next = 1;
  #text = '';

  private constructor(child: ChildProcess, profile: string) {
    this.#child = child;
    this.#profile = profile;
    const out = child.stdio[4] as Readable;
    out.setEncoding('utf8');
    out.on('data', (part: string) => this.#take(part));
    child.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the browser ended'));
    });
  }

  static async start(): Promise<Browser> {
    const program = PROGRAMS.find((one) => existsSync(one));
    if (program === undefined) throw new Error('these tests need Chromium: apt-get install chromium');
    const profile = await mkdtemp(path.join(tmpdir(), 'dk-chromium-'));
    const quiet = [
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-extensions',
      '--no-first-run',
    ];
    const words = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--hide-scrollbars',
      ...quiet,
    ];
    const child = spawn(program, [...words, '--remote-debugging-pipe', `--user-data-dir=${profile}`], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    await once(child, 'spawn');
    return new Browser(child, profile);
  }

  #take(part: string): void {
    this.#text += part;
    for (let end = this.#text.indexOf('\0'); end >= 0; end = this.#text.indexOf('\0')) {
      const message = JSON.parse(this.#text.slice(0, end)) as Answer;
      this.#text = this.#text.slice(end + 1);
      const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
      if (message.id !== undefined) this.#waiting.delete(message.id);
      if (message.error) waiting?.reject(new Error(message.error.message));
      else waiting?.resolve(message.result ?? {});
      for (const listener of this.#listeners.get(message.method ?? '') ?? []) listener(message.params ?? {});
    }
  }

  send(method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> {
    const id = this.#next;
    this.#next += 1;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      (this.#child.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  on(method: string, listener: Listener): void {
    this.#listeners.set(method, [...(this.#listeners.get(method) ?? []), listener]);
  }

  async page(width = 1440, height = 900): Promise<Page> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const page = new Page(this, String(sessionId));
    await page.start(width, height);
    return page;
  }

  async close(): Promise<void> {
    const ended = once(this.#child, 'exit');
    await this.send('Browser.close').catch(() => {});
    await ended;
    await rm(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class Page {
  /** What went wrong in it: exceptions, refused by policy, failed loads. */
  readonly problems: string[] = [];
  readonly #browser: Browser;
  readonly #session: string;

  constructor(browser: Browser, session: string) {
    this.#browser = browser;
    this.#session = session;
  }

  send(method: string, params: object = {}): Promise<Record<string, unknown>> {
    return this.#browser.send(method, params, this.#session);
  }

  async start(width: number, height: number): Promise<void> {
    for (const domain of ['Page', 'Runtime', 'Log']) await this.send(`${domain}.enable`);
    await this.resize(width, height);
    this.#browser.on('Runtime.exceptionThrown', ({ exceptionDetails }) => {
      this.problems.push(JSON.stringify(exceptionDetails).slice(0, 500));
    });
    this.#browser.on('Log.entryAdded', ({ entry }) => {
      const { level, text, url } = entry as { level: string; text: string; url?: string };
      if (level === 'error') this.problems.push(`${text} ${url ?? ''}`);
    });
  }

  resize(width: number, height: number): Promise<unknown> {
    return this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  }

  dark(on: boolean): Promise<unknown> {
    const features = [{ name: 'prefers-color-scheme', value: on ? 'dark' : 'light' }];
    return this.send('Emulation.setEmulatedMedia', { features });
  }

  async goto(url: string): Promise<void> {
    await this.send('Page.navigate', { url });
  }

  /** The value of an expression in the page. */
  async eval<T>(expression: string): Promise<T> {
    const facts = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', facts);
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails).slice(0, 800));
    return (result as { value: T }).value;
  }

  /** Waits until an expression is true. */
  async until(expression: string): Promise<void> {
    const endMs = performance.now() + WAIT_MS;
    // A page that is being left has nobody to ask.
    while (!(await this.eval<boolean>(`Boolean(${expression})`).catch(() => false))) {
      if (performance.now() > endMs) throw new Error(`never true: ${expression}; ${this.problems.join('; ')}`);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  }

  /** Presses keys, each as the page names them (`j`, `Enter`, `ArrowDown`). */
  async press(...keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const text = key.length === 1 ? { text: key } : key === 'Enter' ? { text: '\r' } : {};
      const code = { Enter: 13, Escape: 27, Backspace: 8 }[key];
      const facts = { key, ...text, ...(code ? { windowsVirtualKeyCode: code } : {}) };
      await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...facts });
      await this.send('Input.dispatchKeyEvent', { type: 'keyUp', key });
    }
  }

  /** A picture of what is seen; its bytes. */
  async picture(file: string): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    const bytes = Buffer.from(String(data), 'base64');
    await writeFile(file, bytes);
    return bytes;
  }
}
