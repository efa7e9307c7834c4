/** Senders and receivers: files, states, streams; what is taken up again, and where nothing may go. */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { StateDecoder, StateEncoder } from '../../src/baseline/baseline.js';
import {
  bytesBlob,
  createReceiver,
  createSender,
  parsePeerAddress,
  type Receiver,
  type ReceiverOptions,
  registerTransportMetrics,
} from '../../src/transport/transport.js';
import { PLAIN, seededBytes } from './session-fixture.js';
import { TcpProxy } from './tcp-proxy.js';

const MIB = 1 << 20;
const LINK = { trust: PLAIN };

interface Parts {
  readonly root: string;
  readonly out: string;
  readonly receiver: Receiver;
  readonly url: string;
}

async function withReceiver(options: Partial<ReceiverOptions>, body: (parts: Parts) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'dk-send-'));
  const out = join(root, 'out');
  const receiver = await createReceiver({ host: '127.0.0.1', port: 0, link: LINK, directory: out, ...options });
  try {
    await body({ root, out, receiver, url: `tcp://127.0.0.1:${receiver.port}` });
  } finally {
    await receiver.close(100);
    await rm(root, { recursive: true, force: true });
  }
}

describe('files', () => {
  it('arrive whole, in directories, in place of older ones', () =>
    withReceiver({}, async ({ root, out, url }) => {
      const sender = await createSender(url, { link: LINK });
      for (const size of [0, 1000, 5 * MIB + 3]) {
        const bytes = seededBytes(size, size);
        await writeFile(join(root, 'source'), bytes);
        await sender.sendFile(join(root, 'source'), 'some/where/file.bin');
        expect((await readFile(join(out, 'some/where/file.bin'))).equals(bytes)).toBe(true);
      }
      await sender.sendStream(Readable.from([Buffer.from('from '), 'a stream']), 'stream.txt');
      expect(await readFile(join(out, 'stream.txt'), 'utf8')).toBe('from a stream');
      expect(await readdir(join(out, '.diffkeeper-partial'))).toEqual([]);
      await sender.close();
    }));

  it(
    'arrive whole when they are so large that they go past the page cache',
    () =>
      withReceiver({}, async ({ root, out, url }) => {
        const bytes = Buffer.concat(Array.from({ length: 8 }, (_, seed) => seededBytes(17 * MIB + 12, seed)));
        await writeFile(join(root, 'source'), bytes);
        const sender = await createSender(url, { link: LINK });
        await sender.sendFile(join(root, 'source'), 'large');
        expect((await readFile(join(out, 'large'))).equals(bytes)).toBe(true);
        await sender.close();
      }),
    60_000,
  );

  it.each(['../up', '/etc/x', 'a/../../b', 'a//b', '.', 'a\\b', 'nul\0', '.diffkeeper-partial/x'])(
    'never leave the directory: %j',
    (name) =>
      withReceiver({}, async ({ root, url }) => {
        await writeFile(join(root, 'source'), 'x');
        const sender = await createSender(url, { link: LINK });
        await expect(sender.sendFile(join(root, 'source'), name)).rejects.toMatchObject({ code: 'DK_UNSAFE_PATH' });
        await sender.close();
        expect((await readdir(root)).sort()).toEqual(['out', 'source']);
      }),
  );

  it('never leave it through a symbolic link', () =>
    withReceiver({}, async ({ root, out, url }) => {
      await mkdir(join(root, 'elsewhere'));
      await symlink(join(root, 'elsewhere'), join(out, 'link'));
      await writeFile(join(root, 'elsewhere', 'victim'), 'untouched');
      await symlink(join(root, 'elsewhere', 'victim'), join(out, 'file'));
      await writeFile(join(root, 'source'), 'new');
      const sender = await createSender(url, { link: LINK });
      const through = sender.sendFile(join(root, 'source'), 'link/inside');
      await expect(through).rejects.toMatchObject({ code: 'DK_UNSAFE_PATH' });
      // The link itself is replaced, not what it points at.
      await sender.sendFile(join(root, 'source'), 'file');
      expect(await readFile(join(root, 'elsewhere', 'victim'), 'utf8')).toBe('untouched');
      expect(await readFile(join(out, 'file'), 'utf8')).toBe('new');
      expect(await readdir(join(root, 'elsewhere'))).toEqual(['victim']);
      await sender.close();
    }));

  it('go on by themselves when the connection is cut, and know afterwards what an earlier program brought', async () => {
    const files: { resumedBytes: number }[] = [];
    await withReceiver({ onFile: (file) => files.push(file) }, async ({ root, out, receiver }) => {
      const bytes = seededBytes(24 * MIB, 5);
      await writeFile(join(root, 'source'), bytes);
      const proxy = await TcpProxy.start(() => receiver.port);
      proxy.cutAfter = 9 * MIB;
      const sender = await createSender(`tcp://127.0.0.1:${proxy.port}`, { link: LINK });
      await sender.sendFile(join(root, 'source'), 'file');
      expect((await readFile(join(out, 'file'))).equals(bytes)).toBe(true);
      expect(files[0]?.resumedBytes).toBeGreaterThan(8 * MIB);
      expect(sender.totals.reconnects).toBe(1);
      await sender.close();
      proxy.close();
    });
  });

  it('whose begun part was damaged meanwhile are sent whole', () =>
    withReceiver({}, async ({ root, out, receiver }) => {
      const bytes = seededBytes(12 * MIB, 6);
      await writeFile(join(root, 'source'), bytes);
      const proxy = await TcpProxy.start(() => receiver.port);
      proxy.cutAfter = 6 * MIB;
      const gone = await createSender(`tcp://127.0.0.1:${proxy.port}`, { link: LINK, retries: 0 });
      await expect(gone.sendFile(join(root, 'source'), 'file')).rejects.toMatchObject({ code: 'DK_CONNECTION' });
      proxy.close();
      const partial = join(out, '.diffkeeper-partial');
      const name = (await readdir(partial)).find((file) => file.endsWith('.data')) as string;
      await writeFile(join(partial, name), Buffer.alloc((await stat(join(partial, name))).size));
      const sender = await createSender(`tcp://127.0.0.1:${receiver.port}`, { link: LINK });
      await sender.sendFile(join(root, 'source'), 'file');
      expect((await readFile(join(out, 'file'))).equals(bytes)).toBe(true);
      await sender.close();
    }));

  it('sent again arrive again when what had arrived was moved away, changed or replaced', () =>
    withReceiver({}, async ({ root, out, url }) => {
      const [one, two] = [join(root, 'one'), join(root, 'two')];
      await writeFile(one, 'the first');
      await writeFile(two, 'another');
      const sender = await createSender(url, { link: LINK });
      const arrived = (): Promise<string> => readFile(join(out, 'x'), 'utf8');
      await sender.sendFile(one, 'x');
      await rename(join(out, 'x'), join(root, 'archive'));
      await sender.sendFile(one, 'x');
      expect(await arrived()).toBe('the first');
      await sender.sendFile(two, 'x');
      expect(await arrived()).toBe('another');
      await sender.sendFile(one, 'x');
      expect(await arrived()).toBe('the first');
      await writeFile(join(out, 'x'), 'something else');
      await sender.sendFile(one, 'x');
      expect(await arrived()).toBe('the first');
      await sender.close();
    }));

  it('that have arrived and are still there are not written again, and equal keys do not stand for other names', () => {
    const names: string[] = [];
    return withReceiver({ onFile: ({ name }) => names.push(name) }, async ({ root, url }) => {
      await writeFile(join(root, 'one'), 'bytes');
      const sender = await createSender(url, { link: LINK });
      for (let turn = 0; turn < 3; turn += 1) await sender.sendFile(join(root, 'one'), 'x');
      expect(names).toEqual(['x']);
      const named = (name: string) => bytesBlob('file', Buffer.of(1), Buffer.from('same'), Buffer.from(name));
      for (const name of ['a', 'b', 'b']) await sender.send(named(name));
      expect(names).toEqual(['x', 'a', 'b']);
      await sender.close();
    });
  });

  it('that are not there, and directories, are refused', () =>
    withReceiver({}, async ({ root, url }) => {
      const sender = await createSender(url, { link: LINK });
      await expect(sender.sendFile(join(root, 'none'), 'x')).rejects.toMatchObject({ code: 'DK_NOT_FOUND' });
      await expect(sender.sendFile(root, 'x')).rejects.toMatchObject({ code: /DK_(UNSUPPORTED|IO)/ });
      await sender.close();
      await expect(sender.send(bytesBlob('file', Buffer.of(1), Buffer.of(1)))).rejects.toMatchObject({
        code: 'DK_CONNECTION',
      });
    }));
});

describe('states', () => {
  it('travel as messages of the state encoder and come out as they went in', async () => {
    const decoder = new StateDecoder();
    const states = new Map<string, Buffer>();
    const onState = async (key: string, message: Buffer): Promise<void> => {
      states.set(key, (await decoder.decode(message)).bytes);
    };
    await withReceiver({ onState }, async ({ url }) => {
      const encoder = new StateEncoder();
      const sender = await createSender(url, { link: LINK });
      const state = seededBytes(2 * MIB, 8);
      for (let turn = 0; turn < 4; turn += 1) {
        state.writeUInt32LE(turn, turn * 4096);
        await sender.sendState('world', (await encoder.encode('world', state)).toBuffer());
        expect(states.get('world')?.equals(state)).toBe(true);
      }
      // The first went whole, the others as deltas.
      const { sentBytes, resentBytes } = sender.totals;
      expect(sentBytes - resentBytes).toBeLessThan(2.2 * MIB);
      await encoder.close();
      await sender.close();
    });
    await decoder.close();
  });

  it('are taken up to the size that the receiver allows', async () => {
    const lengths: number[] = [];
    const onState = async (_key: string, message: Buffer): Promise<void> => void lengths.push(message.length);
    await withReceiver({ onState, messageBytesMax: 1000 }, async ({ url }) => {
      const sender = await createSender(url, { link: LINK });
      await sender.sendState('fits', Buffer.alloc(1000));
      await expect(sender.sendState('too long', Buffer.alloc(1001))).rejects.toMatchObject({ code: 'DK_LIMIT' });
      await sender.sendState('fits', Buffer.alloc(1));
      await sender.close();
    });
    expect(lengths).toEqual([1000, 1]);
    const receiver = createReceiver({ host: '127.0.0.1', port: 0, link: LINK, onState, messageBytesMax: 0 });
    await expect(receiver).rejects.toThrow(RangeError);
  });

  it('that cannot be decoded say why, with the code', () =>
    withReceiver(
      { onState: async (_key, message) => void (await new StateDecoder().decode(message)) },
      async ({ url }) => {
        const encoder = new StateEncoder();
        const sender = await createSender(url, { link: LINK });
        const state = seededBytes(100_000, 8);
        await encoder.encode('lost', state);
        state[5] = 1;
        const delta = await encoder.encode('lost', state);
        await expect(sender.sendState('lost', delta.toBuffer())).rejects.toMatchObject({ code: 'DK_BASELINE_MISSING' });
        await encoder.close();
        await sender.close();
      },
    ));
});

describe('around them', () => {
  it('addresses', () => {
    expect(parsePeerAddress('tls://host/a%20b')).toEqual({ host: 'host', port: 9912, secure: true, path: 'a b' });
    expect(parsePeerAddress('tcp://[::1]:80')).toEqual({ host: '::1', port: 80, secure: false, path: '' });
    for (const bad of ['http://x', 'tls://', 'tls://x:0', 'tls://x:70000', 'host:1']) {
      expect(() => parsePeerAddress(bad)).toThrow(/address/);
    }
  });

  it('tls:// without certificates is refused, and so is tcp:// with them', async () => {
    await expect(createSender('tls://127.0.0.1:1', { link: LINK })).rejects.toMatchObject({ code: 'DK_CONFIG' });
    const link = { trust: { keys: new Map([['a', Buffer.alloc(32)]]) } };
    await expect(createSender('tcp://127.0.0.1:1', { link })).rejects.toMatchObject({ code: 'DK_CONFIG' });
  });

  it('an AbortSignal ends what is being sent', () =>
    withReceiver({}, async ({ root, url }) => {
      await writeFile(join(root, 'source'), seededBytes(8 * MIB, 1));
      const sender = await createSender(url, { link: { ...LINK, rateLimit: MIB } });
      const signal = AbortSignal.timeout(50);
      await expect(sender.sendFile(join(root, 'source'), 'x', { signal })).rejects.toMatchObject({
        code: 'DK_ABORTED',
      });
      await sender.close();
    }));

  it('metrics tell what both did', () =>
    withReceiver({}, async ({ root, receiver, url }) => {
      const sender = await createSender(url, { link: LINK });
      await writeFile(join(root, 'source'), seededBytes(MIB, 1));
      await sender.sendFile(join(root, 'source'), 'x');
      const [near, far] = [new Registry(), new Registry()];
      const registered = await registerTransportMetrics(sender, { registry: near });
      await registerTransportMetrics(receiver, { registry: far });
      expect(await near.metrics()).toContain(`diffkeeper_transport_bytes_transferred_total{direction="sent"} ${MIB}`);
      expect(await far.metrics()).toContain(
        `diffkeeper_transport_bytes_transferred_total{direction="received"} ${MIB}`,
      );
      expect(await far.metrics()).toContain('diffkeeper_transport_sessions_total 1');
      registered.unregister();
      expect(await near.metrics()).not.toContain('diffkeeper');
      await sender.close();
    }));
});
