/** The server of the control interface: what it takes the place of, and what strangers can do to it. */
import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import * as path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ControlServer, type ControlSubject } from '../../src/control/control.js';
import { scratch } from '../cli/cli-process.js';

const SUBJECT: ControlSubject = {
  status: () => ({ fine: true }),
  ready: () => ({ ready: true, reason: 'ready' }),
  metrics: async () => ({ contentType: 'text/plain', text: 'none' }),
};
let cwd = '';
let remove = async (): Promise<void> => {};
let server: ControlServer | undefined;
const at = (name: string): string => path.join(cwd, name);

beforeEach(async () => {
  ({ directory: cwd, remove } = await scratch());
});
afterEach(async () => {
  await server?.close();
  server = undefined;
  await remove();
});

function codeOf(options: {
  readonly socketPath?: string;
  readonly port?: number;
  readonly path: string;
}): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', ...options }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode ?? 0));
    });
    asked.once('error', reject);
    asked.end();
  });
}

interface Told {
  readonly code: number;
  readonly body: string;
  readonly allow?: string;
}

function askAs(options: {
  readonly socketPath: string;
  readonly method: string;
  readonly path: string;
}): Promise<Told> {
  return new Promise((resolve, reject) => {
    const asked = request(options, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (part: string) => {
        body += part;
      });
      const { allow } = answer.headers;
      answer.on('end', () => resolve({ code: answer.statusCode ?? 0, body, ...(allow !== undefined && { allow }) }));
    });
    asked.once('error', reject);
    asked.end();
  });
}

it('leaves everything alone that is no socket', async () => {
  writeFileSync(at('file'), 'precious');
  mkdirSync(at('directory'));
  symlinkSync('file', at('link'));
  const before = readdirSync(cwd);
  for (const name of before) {
    const listening = ControlServer.listen({ kind: 'socket', path: at(name) }, SUBJECT);
    await expect(listening).rejects.toMatchObject({ code: 'DK_CONFIG', message: expect.stringContaining('no socket') });
  }
  await expect(ControlServer.listen({ kind: 'socket', path: at('none/s') }, SUBJECT)).rejects.toMatchObject({
    code: 'DK_IO',
  });
  expect(readFileSync(at('file'), 'utf8')).toBe('precious');
  expect(lstatSync(at('link')).isSymbolicLink()).toBe(true);
  expect(readdirSync(cwd)).toEqual(before);
});

it('is there with its mode, however long its path, and leaves nothing behind', async () => {
  const name = `${'d'.repeat(104 - Buffer.byteLength(cwd))}/s`;
  mkdirSync(at(path.dirname(name)));
  server = await ControlServer.listen({ kind: 'socket', path: at(name) }, SUBJECT);
  expect(Buffer.byteLength(at(name))).toBe(107);
  expect(lstatSync(at(name)).mode & 0o777).toBe(0o600);
  expect(readdirSync(at(path.dirname(name)))).toEqual(['s']);
  expect(await codeOf({ socketPath: at(name), path: '/healthz' })).toBe(200);
  await server.close();
  server = undefined;
  expect(readdirSync(at(path.dirname(name)))).toEqual([]);
});

it('answers what is no path with 400', async () => {
  server = await ControlServer.listen({ kind: 'socket', path: at('s') }, SUBJECT);
  expect(await codeOf({ socketPath: at('s'), path: '//' })).toBe(400);
  expect(await codeOf({ socketPath: at('s'), path: '//[' })).toBe(400);
});

it('says what a path takes, answers HEAD, and takes no name that it does not know for a tag', async () => {
  const tags: (string | undefined)[] = [];
  const checkpoint = async (tag: string | undefined): Promise<object> => {
    tags.push(tag);
    return {};
  };
  server = await ControlServer.listen({ kind: 'socket', path: at('s') }, { ...SUBJECT, checkpoint });
  const ask = (method: string, place: string) => askAs({ socketPath: at('s'), method, path: place });
  expect(await ask('POST', '/status')).toMatchObject({ code: 405, allow: 'GET, HEAD' });
  expect(await ask('GET', '/checkpoint')).toMatchObject({ code: 405, allow: 'POST' });
  expect(await ask('HEAD', '/checkpoint')).toMatchObject({ code: 405 });
  for (const place of ['/healthz', '/readyz', '/status', '/metrics'])
    expect(await ask('HEAD', place)).toEqual({ code: 200, body: '' });
  for (const query of ['tga=x', 'tag=a&tag=b', 'tag=a&x', `tag=${'x'.repeat(1025)}`]) {
    const { code, body } = await ask('POST', `/checkpoint?${query}`);
    expect([code, JSON.parse(body).code]).toEqual([400, 'DK_ARGUMENT']);
  }
  expect((await ask('POST', '/checkpoint?tag=%ff%fe')).code).toBe(400);
  expect(tags).toEqual([]);
  for (const query of ['', '?tag=', '?tag=a+b%C3%BC%25'])
    expect((await ask('POST', `/checkpoint${query}`)).code).toBe(200);
  expect(tags).toEqual([undefined, undefined, 'a bü%']);
});

it('strangers that connect and say nothing keep neither descriptors nor others out', async () => {
  server = await ControlServer.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, SUBJECT, true);
  const port = Number(server.where.split(':').at(-1));
  const open = new Set<Socket>();
  for (let i = 0; i < 300; i += 1) {
    const socket = connect({ host: '127.0.0.1', port });
    open.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => open.delete(socket));
    socket.resume();
  }
  while (open.size > 64) await sleep(10);
  expect(await codeOf({ port, path: '/healthz' })).toBe(200);
  for (const socket of open) socket.destroy();
}, 30_000);
