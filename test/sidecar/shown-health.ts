/** What a run shows of its health wherever somebody may look: `/status`, `/readyz` and `/metrics`. */
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';

export interface Reply {
  readonly code: number;
  readonly text: string;
}

/** Asks for a place of the control interface. */
export type Ask = (place: string) => Promise<Reply>;

/** How long a run may take until all three places agree: some troubles come and go within a second. */
const PATIENCE_MS = 40_000;

function askThrough(place: string, where: { readonly socketPath?: string; readonly through?: Socket }): Promise<Reply> {
  const { socketPath, through } = where;
  return new Promise((resolve, reject) => {
    const asked = request(
      { path: place, ...(socketPath && { socketPath }), ...(through && { createConnection: () => through }) },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve({ code: answer.statusCode ?? 0, text }));
      },
    );
    asked.once('error', reject);
    asked.end();
  });
}

/** Connects anew for each question. */
export function asking(socketPath: string): Ask {
  return (place) => askThrough(place, { socketPath });
}

/** Connects now, for so many questions later: a run without descriptors lets nobody new in. */
export async function askingLater(socketPath: string, questions: number): Promise<Ask> {
  const connected = Array.from({ length: questions }, async () => {
    const socket = connect(socketPath);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return socket;
  });
  const sockets = await Promise.all(connected);
  // Connected is not yet accepted: that one of them is answered says that all before it were let in.
  await askThrough('/healthz', { socketPath });
  return (place) => {
    const through = sockets.shift();
    if (through === undefined) throw new Error('no connection is left to ask through');
    return askThrough(place, { through });
  };
}

interface Shown {
  readonly status: { readonly state: string; readonly degraded: boolean; readonly reason: string };
  readonly ready: Reply;
  readonly metrics: string;
}

async function look(ask: Ask): Promise<Shown> {
  const status = JSON.parse((await ask('/status')).text);
  const ready = await ask('/readyz');
  return { status, ready, metrics: (await ask('/metrics')).text };
}

function assertDegraded({ status, ready, metrics }: Shown, reason: RegExp): void {
  expect(status).toMatchObject({ state: 'degraded', degraded: true, reason: expect.stringMatching(reason) });
  // The application runs on its state: nobody is to be kept from it.
  expect(ready).toMatchObject({ code: 200, text: expect.stringMatching(/^degraded: /) });
  expect(ready.text).toMatch(reason);
  expect(metrics).toMatch(/^diffkeeper_degraded 1$/m);
  expect(metrics).toMatch(/^diffkeeper_ready 1$/m);
}

function assertWell({ status, ready, metrics }: Shown): void {
  expect(status).toMatchObject({ state: 'watching', degraded: false, reason: '' });
  expect(ready).toEqual({ code: 200, text: 'ready\n' });
  expect(metrics).toMatch(/^diffkeeper_degraded 0$/m);
}

/** Until all three say so at one time; what was said last is in the error. */
async function eventually(ask: Ask, assert: (shown: Shown) => void): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; ; await sleep(50)) {
    try {
      assert(await look(ask));
      return;
    } catch (error) {
      if (performance.now() > end) throw error;
    }
  }
}

/** While the run is degraded: each place says so, with the reason. */
export function expectShownDegraded(ask: Ask, reason: RegExp): Promise<void> {
  return eventually(ask, (shown) => assertDegraded(shown, reason));
}

/** The same, looked at once: through connections of `askingLater`, three of them. */
export async function expectShownAtOnce(ask: Ask, reason: RegExp): Promise<void> {
  assertDegraded(await look(ask), reason);
}

/** After the trouble: each place says that all is well. */
export function expectShownWell(ask: Ask): Promise<void> {
  return eventually(ask, assertWell);
}
