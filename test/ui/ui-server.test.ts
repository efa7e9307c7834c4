/** Who may ask, what is refused, what is answered. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openStore, type Store } from '../../src/store/store.js';
import { serveUi, type UiServer } from '../../src/ui/ui.js';
import { isOwnHost } from '../../src/ui/ui-guard.js';
import { Client, idOf } from './ui-request.js';
import { HOSTILE, RAW_NAME, type Story, tellStory } from './ui-story.js';

let base = '';
let story: Story;
let ui: UiServer;
let client: Client;
let restoreDir = '';

beforeAll(async () => {
  base = mkdtempSync(path.join(tmpdir(), 'dk-ui-'));
  story = await tellStory(base, 14);
  await story.store.close();
  restoreDir = path.join(base, 'back');
  ui = await serveUi({ open: () => openStore(story.storePath), restoreDir, idleMs: 50 });
  client = new Client(ui.port);
  await client.enter(ui.url);
}, 60_000);
afterAll(async () => {
  await ui.close();
  rmSync(base, { recursive: true, force: true });
});

describe('who may ask', () => {
  const asked = ['/', '/page-main.js', '/api/store', '/api/events', `/download?id=${idOf('data/orders.db')}&at=3`];

  it.each(asked)('%s: nobody without the key', async (place) => {
    for (const cookie of ['', `diffkeeper_${ui.port}=`, `diffkeeper_${ui.port}=${'A'.repeat(43)}`, 'token=x']) {
      const { status, text } = await new Client(ui.port).ask(place, { headers: { cookie } });
      expect(status).toBe(401);
      expect(text).toMatch(/^Open the address/);
    }
    const wrong = await new Client(ui.port).ask(`/?token=${'A'.repeat(43)}`);
    expect([wrong.status, wrong.headers['set-cookie']]).toEqual([401, undefined]);
  });

  it('the token gives a cookie that scripts and other sites do not get', async () => {
    const { status, headers, text } = await new Client(ui.port).ask(ui.url.slice(ui.url.indexOf('/?')));
    expect(status).toBe(200);
    expect(headers['set-cookie']?.[0]).toMatch(/^diffkeeper_\d+=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
    expect(headers['set-cookie']?.[0]).not.toContain(ui.url.split('=')[1]);
    expect(text).toContain('url=/"');
  });

  it('no other names: a page that rebinds its own name to this machine is refused', async () => {
    for (const host of ['evil.example', `evil.example:${ui.port}`, '127.0.0.1.evil.example', 'a b', '10.0.0.1']) {
      expect((await client.ask('/api/store', { headers: { host } })).status).toBe(421);
    }
    for (const host of ['localhost', '[::1]:99', `127.0.0.1:${ui.port}`, '127.1.2.3']) {
      expect((await client.ask('/api/density?buckets=1', { headers: { host } })).status).toBe(200);
    }
    expect(isOwnHost('10.0.0.5:80', '0.0.0.0')).toBe(true);
    expect(isOwnHost('evil.example', '0.0.0.0')).toBe(false);
    expect(isOwnHost('box.lan:80', 'box.lan')).toBe(true);
  });

  it('no other origins, with the cookie too', async () => {
    const host = `127.0.0.1:${ui.port}`;
    for (const headers of [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: `http://localhost:${ui.port}` },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      expect((await client.ask('/api/store', { headers })).status).toBe(403);
      const order = { method: 'POST', body: '{"at":1}', headers: { 'content-type': 'application/json', ...headers } };
      expect((await client.ask('/api/restore', order)).status).toBe(403);
    }
    expect((await client.ask('/api/store', { headers: { origin: `http://${host}` } })).status).toBe(200);
    expect(existsSync(restoreDir)).toBe(false);
  });

  it('tells browsers to run nothing but its own script', async () => {
    for (const place of ['/', '/page-main.js', '/api/density?buckets=3', '/nothing']) {
      const { headers } = await client.ask(place);
      expect(headers['content-security-policy']).toMatch(
        /default-src 'none'; script-src 'self';.*frame-ancestors 'none'/,
      );
      expect(headers['content-security-policy']).not.toContain('unsafe');
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it('listens on loopback alone unless told otherwise', async () => {
    const open = () => openStore(story.storePath);
    await expect(serveUi({ open, host: '0.0.0.0' })).rejects.toMatchObject({ code: 'DK_ARGUMENT' });
    await expect(serveUi({ open, port: 70_000 })).rejects.toThrow(RangeError);
    await expect(serveUi({ open, port: ui.port })).rejects.toMatchObject({ code: 'DK_CONFIG' });
    const wide = await serveUi({ open, host: '0.0.0.0', remote: true });
    expect(wide.loopback).toBe(false);
    await wide.close();
  });
});

describe('what is refused', () => {
  it('paths that lead out, and what is no path', async () => {
    const bad = ['../etc/passwd', '/etc/passwd', 'a/../../b', 'a//b', 'nul\0', './x'].map(idOf);
    for (const id of [...bad, '%2e%2e', 'not-base64!', 'A'.repeat(9000)]) {
      for (const place of [
        `/api/tree?at=1&id=${id}`,
        `/api/history?id=${id}`,
        `/api/view?to=1&id=${id}`,
        `/download?at=1&id=${id}`,
      ]) {
        expect((await client.ask(place)).status, place).toBe(400);
      }
      const wish = { method: 'POST', headers: { 'content-type': 'application/json' } };
      const { status } = await client.ask('/api/restore', { ...wish, body: JSON.stringify({ at: 3, ids: [id] }) });
      expect(status).toBe(400);
    }
    for (const place of ['/../package.json', '/%2e%2e/package.json', '/page/', '/constructor', '/api/constructor']) {
      expect((await client.ask(place)).status, place).toBe(404);
    }
    expect(readdirSync(base).sort()).toEqual(['keep', 'state']);
  });

  it('numbers that are none, unknown checkpoints, wrong methods', async () => {
    for (const at of ['-1', '1e3', '', 'x', '99999999999999999999']) {
      expect((await client.ask(`/api/changes?at=${at}`)).status).toBe(400);
    }
    expect((await client.ask('/api/changes?at=4000')).status).toBe(404);
    expect((await client.ask('/api/tree?at=4000')).status).toBe(404);
    expect((await client.ask(`/download?at=3&id=${idOf('data')}`)).status).toBe(404);
    expect((await client.ask('/api/store', { method: 'POST' })).status).toBe(405);
    expect((await client.ask('/api/restore')).status).toBe(405);
  });

  it('bodies that are too long, of another type, or no order', async () => {
    const json = { 'content-type': 'application/json' };
    const post = (body: string, headers: Record<string, string> = json) =>
      client.ask('/api/restore', { method: 'POST', body, headers });
    expect((await post('{"at":1}', { 'content-type': 'text/plain' })).status).toBe(415);
    expect((await post(' '.repeat(70_000))).status).toBe(413);
    for (const body of ['', '[]', '{"at":"1"}', '{"at":1,"ids":[]}', '{"at":1,"ids":[7]}', 'null']) {
      expect((await post(body)).status).toBe(400);
    }
  });

  it('requests that are no requests; aborted ones leave nothing behind', async () => {
    const socket = createConnection(ui.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.resume();
    socket.write(`GET /${'x'.repeat(40_000)} HTTP/1.1\r\n\r\n`);
    await new Promise((resolve) => socket.once('close', resolve));
    for (let turn = 0; turn < 20; turn += 1) {
      const one = createConnection(ui.port, '127.0.0.1');
      one.on('error', () => {});
      one.write(
        `GET /api/history?id=${idOf('data/orders.db')} HTTP/1.1\r\nhost: localhost\r\ncookie: ${client.cookie}\r\n\r\n`,
      );
      await new Promise((resolve) => setTimeout(resolve, 2));
      one.destroy();
    }
    expect((await client.ask('/api/store')).status).toBe(200);
  });
});

describe('what is answered', () => {
  interface Entry {
    readonly id: string;
    readonly name: string;
    readonly path: string;
    readonly type: string;
    readonly mark?: string;
    readonly notText?: boolean;
  }

  it('checkpoints, oldest first by position', async () => {
    const store = await client.json<{ total: number; path: string; restoreDir: string }>('/api/store');
    expect(store).toMatchObject({ total: 15, path: story.storePath, restoreDir });
    const { rows } = await client.json<{ rows: unknown[][] }>('/api/checkpoints?start=10&count=99');
    expect(rows.map(([sequence]) => sequence)).toEqual([11, 12, 13, 14, 15]);
    expect(rows[2]?.[7]).toBe('release 1.4');
    expect(rows[0]?.[6]).toBeGreaterThan(0);
  });

  it('directories with every name, whatever it looks like', async () => {
    const { entries } = await client.json<{ entries: Entry[] }>(`/api/tree?at=3&id=${idOf('config')}`);
    const names = entries.map(({ name }) => name);
    for (const name of Object.values(HOSTILE)) expect(names).toContain(name);
    const raw = entries.find(({ notText }) => notText);
    expect(raw?.id).toBe(idOf(Buffer.concat([Buffer.from('config/'), RAW_NAME])));
    const top = await client.json<{ entries: Entry[] }>('/api/tree?at=3');
    expect(top.entries.map(({ name }) => name)).toEqual(['config', 'data', 'logs', 'sessions']);
  });

  it('what a checkpoint changed: new, changed, removed', async () => {
    const { entries } = await client.json<{ entries: Entry[] }>('/api/changes?at=7');
    const marks = Object.fromEntries(entries.map(({ path: name, mark }) => [name, mark]));
    expect(marks).toMatchObject({ 'data/orders.db': '~', 'logs/app.log': '~', 'sessions/s-1003.json': '-' });
    const { entries: sixth } = await client.json<{ entries: Entry[] }>('/api/changes?at=6');
    expect(sixth.find(({ path: name }) => name === 'sessions/s-1006.json')?.mark).toBe('+');
  });

  it('the versions of a file, and what each took', async () => {
    const facts = await client.json<{ versions: { sequence: number; cost: Record<string, number> }[] }>(
      `/api/history?id=${idOf('data/orders.db')}`,
    );
    expect(facts.versions.map(({ sequence }) => sequence)).toEqual([15, 14, 13, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
    const [newest] = facts.versions;
    expect(newest?.cost.storedBytes).toBeGreaterThan(0);
    expect(newest?.cost.storedBytes).toBeLessThan(100_000);
    expect(newest?.cost.reusedBytes).toBeGreaterThan(100_000);
    expect(newest?.cost.deltas).toBeGreaterThan(0);
  });

  it('downloads any version, under a harmless name', async () => {
    const { status, headers, body } = await client.ask(`/download?at=15&id=${idOf('data/orders.db')}`);
    expect(status).toBe(200);
    expect(body.equals(readFileSync(path.join(story.stateDir, 'data', 'orders.db')))).toBe(true);
    expect(headers).toMatchObject({ 'content-type': 'application/octet-stream', 'content-security-policy': 'sandbox' });
    const odd = await client.ask(`/download?at=3&id=${idOf(`config/${HOSTILE.lines}`)}`);
    expect(odd.headers['content-disposition']).toBe(`attachment; filename="two_lines"; filename*=UTF-8''two_lines`);
    const raw = await client.ask(`/download?at=3&id=${idOf(Buffer.concat([Buffer.from('config/'), RAW_NAME]))}`);
    expect([...raw.body]).toEqual([0, 255, 1]);
  });

  it('search: paths, numbers, tags, days', async () => {
    const find = async (text: string) =>
      client.json<{ checkpoints: { position: number }[]; entries: Entry[] }>(
        `/api/search?at=14&text=${encodeURIComponent(text)}`,
      );
    expect((await find('ORDERS')).entries.map(({ path: name }) => name)).toEqual(['data/orders.db']);
    expect((await find('#13')).checkpoints.map(({ position }) => position)).toEqual([12]);
    expect((await find('release')).checkpoints.map(({ position }) => position)).toEqual([12]);
    expect((await find('2031-01-01')).checkpoints.map(({ position }) => position)).toEqual([14]);
  });

  it('restores below the chosen directory and nowhere else', async () => {
    const headers = { 'content-type': 'application/json' };
    const post = (order: object) =>
      client.ask('/api/restore', { method: 'POST', headers, body: JSON.stringify(order) });
    const one = await post({ at: 5, ids: [idOf('config/app.json')] });
    expect(JSON.parse(one.text)).toMatchObject({ written: 1, damagedCount: 0, directory: restoreDir });
    expect(readdirSync(path.join(restoreDir, 'config'))).toEqual(['app.json']);
    expect((await post({ at: 5, ids: [idOf(Buffer.concat([Buffer.from('config/'), RAW_NAME]))] })).status).toBe(400);
    expect(JSON.parse((await post({ at: 15 })).text)).toMatchObject({ damagedCount: 0 });
    const [kept, back] = [story.stateDir, restoreDir].map((place) => readdirSync(place, { recursive: true }).sort());
    expect(back).toEqual(kept);
    const without = await serveUi({ open: () => openStore(story.storePath), idleMs: 10 });
    const other = new Client(without.port);
    await other.enter(without.url);
    expect((await other.ask('/api/restore', { method: 'POST', headers, body: '{"at":5}' })).status).toBe(400);
    await without.close();
  });

  it('holds the store only while it is asked', async () => {
    await client.ask('/api/store');
    await new Promise((resolve) => setTimeout(resolve, 400));
    const owner: Store = await openStore(story.storePath);
    const { status, text } = await client.ask('/api/tree?at=3');
    expect([status, JSON.parse(text)]).toMatchObject([503, { code: 'DK_STORE_LOCKED' }]);
    await owner.close();
    expect((await client.ask('/api/tree?at=3')).status).toBe(200);
  });
});
