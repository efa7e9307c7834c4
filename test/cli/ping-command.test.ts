import { mkdir, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import * as path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseTimeout } from '../../src/cli/command-ping.js';
import { VERSION_MAX } from '../../src/transport/greeting.js';
import { cliPlace } from './cli-place.js';
import { jsonLines } from './cli-process.js';

const place = cliPlace();
const { run } = place;

/** Starts a listener with metrics; gives the ports of both. */
async function start(...words: string[]): Promise<{ readonly port: string; readonly metrics: string }> {
  const listen = ['--listen=127.0.0.1:0', '--metrics-addr=127.0.0.1:0', '--plaintext'];
  const cli = place.start(...words, ...listen);
  const [, port = ''] = await cli.until(/ on 127\.0\.0\.1:(\d+); Ctrl-C ends/);
  const [, metrics = ''] = await cli.until(/metrics and health on 127\.0\.0\.1:(\d+)/);
  return { port, metrics };
}

function page(port: string, where: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: where }, (answer) => {
      let text = `${answer.statusCode} `;
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve(text));
    }).once('error', reject);
  });
}

describe('health', () => {
  it('of a served store', async () => {
    await mkdir(path.join(place.directory, 'data'));
    await writeFile(path.join(place.directory, 'data', 'a'), 'a');
    await run('capture', '--state-dir=data', '--store=keep');
    const { port, metrics } = await start('serve', '--store=replica');
    expect(await page(metrics, '/readyz')).toBe('200 ready\n');
    expect(await page(metrics, '/metrics')).toMatch(/^diffkeeper_checkpoint_sequence 0$/m);
    expect((await run('push', '--store=keep', '--plaintext', `tcp://127.0.0.1:${port}`)).code).toBe(0);
    expect(await page(metrics, '/metrics')).toMatch(/^diffkeeper_checkpoint_sequence 1$/m);
    expect(await page(metrics, '/metrics')).toMatch(/^diffkeeper_transport_sessions_total 1$/m);
    expect(JSON.parse((await page(metrics, '/status')).slice(4))).toMatchObject({ newest: { sequence: 1 } });
    const told = await run('ping', '--plaintext', `tcp://127.0.0.1:${port}`);
    expect(told.stdout).toMatch(
      new RegExp(
        `^127\\.0\\.0\\.1:\\d+ \\(anonymous\\): connected in [\\d.]+ ms, answers in [\\d.]+ ms; protocol ${VERSION_MAX}, this side may append\n$`,
      ),
    );
    expect(told.code).toBe(0);
  });

  it('of a receiver, also for programs', async () => {
    const { port, metrics } = await start('receive', '--out=out');
    expect(await page(metrics, '/healthz')).toBe('200 ok\n');
    const told = await run('ping', '--plaintext', '--json', '--timeout=5s', `tcp://127.0.0.1:${port}`);
    expect(jsonLines(told.stdout)).toMatchObject([
      { type: 'ping', name: 'anonymous', version: VERSION_MAX, rights: 'append' },
    ]);
  });

  it('of nobody', async () => {
    const failed = await run('ping', '--plaintext', '--json', 'tcp://127.0.0.1:1');
    expect(failed.code).toBe(1);
    expect(jsonLines(failed.stdout)).toMatchObject([{ type: 'error', code: 'DK_CONNECTION' }]);
    expect((await run('ping', '--plaintext', '--timeout=soon', 'tcp://127.0.0.1:1')).code).toBe(2);
    expect((await run('ping', 'tls://127.0.0.1:1')).code).toBe(2);
    expect(parseTimeout('1.5s')).toBe(1500);
  });
});
