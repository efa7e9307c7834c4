import { describe, expect, it } from 'vitest';
import { isDiffKeeperError, LIMITS } from '../../src/core/core.js';
import { CODEC } from '../../src/engine/engine.js';
import {
  type Checkpoint,
  encodeRecord,
  encodeVersion,
  encodeVersionsRecord,
  RECORD,
  removedVersion,
  VERSION_TYPE,
  type Version,
} from '../../src/format/format.js';
import { encodeDescriptions, encodeDigests, encodePaths } from '../../src/replicate/blob-messages.js';
import { encodeHistoryPage, type HistoryPage } from '../../src/replicate/history-messages.js';
import { decodeHello, encodeHello, VERB } from '../../src/replicate/protocol.js';
import { pullOver, StoreHost } from '../../src/replicate/replicate.js';
import type { BlobDescription, Store } from '../../src/store/store.js';
import type { Session } from '../../src/transport/transport.js';
import { codeOf, commitFiles, contentOf, noise } from '../store/store-fixture.js';
import { memoryPair } from './memory-session.js';
import { ReplicaFixture } from './replica-fixture.js';

const fixture = new ReplicaFixture();

/** A giver that says whatever it is told to, of one checkpoint with these versions. */
class Liar {
  readonly #store: Store;
  readonly versions: Version[] = [];
  readonly descriptions = new Map<string, BlobDescription>();
  readonly records = new Map<string, Buffer>();
  page: Partial<HistoryPage> = {};
  root = Buffer.alloc(32);
  /** What a question is answered with, in the place of what would be right. */
  readonly answers = new Map<string, (session: Session, body: Buffer) => Promise<Buffer>>();

  constructor(store: Store) {
    this.#store = store;
  }

  record(kind: 1 | 2 | 3, bytes: Buffer): Buffer {
    const { engine, hashAlgo } = this.#store;
    const digest = engine.digest(hashAlgo, bytes);
    const record = { kind, codec: CODEC.raw, depth: 0, digest, decodedBytes: bytes.length, payload: bytes };
    return encodeRecord({ ...record, contextList: Buffer.alloc(0) }, (all) => engine.xxh3(all));
  }

  /** Adds a file of one blob. */
  file(path: string, bytes: Buffer, change: Partial<Version> = {}): Buffer {
    const digest = this.#store.engine.digest(this.#store.hashAlgo, bytes);
    this.versions.push({
      ...removedVersion(path, 1),
      type: VERSION_TYPE.file,
      mode: 0o644,
      size: bytes.length,
      digest,
      recipe: { kind: 'whole' },
      ...change,
    });
    this.give(digest, this.record(RECORD.blob, bytes));
    return digest;
  }

  give(digest: Buffer, record: Buffer, change: Partial<BlobDescription> = {}): void {
    const name = digest.toString('hex');
    this.records.set(name, record);
    this.descriptions.set(name, {
      digest,
      kind: 'blob',
      depth: 0,
      recordBytes: record.length,
      contexts: [],
      ...change,
    });
  }

  #page(): Buffer {
    const versions = this.record(RECORD.versions, encodeVersionsRecord(1, this.versions.map(encodeVersion)));
    const facts = { entries: 1, treeBytes: 1, changed: 1, removed: 0, storedBytes: 1, changedBytes: 1 };
    const checkpoint: Checkpoint = {
      sequence: 1,
      timeMs: 1,
      root: this.root,
      ...facts,
      frozen: false,
      pauseMs: 0,
      tag: '',
    };
    const items = [{ checkpoint, versionsBytes: versions.length, versions }];
    return encodeHistoryPage({ standing: 0, mark: 0, items, more: false, ...this.page });
  }

  pretend(page: Partial<HistoryPage>): void {
    this.page = page;
  }

  attach(session: Session): void {
    const right: Record<string, (body: Buffer) => Promise<Buffer>> = {
      [VERB.hello]: async () => this.hello(),
      [VERB.history]: async () => this.#page(),
      [VERB.versions]: async () => Buffer.alloc(0),
      [VERB.describe]: async (body) => {
        const names = [...digestsIn(body)].map((digest) => digest.toString('hex'));
        return encodeDescriptions(names.map((name) => this.descriptions.get(name)));
      },
      [VERB.want]: async (body) => {
        const bytes = Buffer.concat(
          digestsIn(body).map((digest) => this.records.get(digest.toString('hex')) as Buffer),
        );
        await this.send(session, body, bytes);
        return Buffer.alloc(0);
      },
    };
    for (const [verb, answer] of Object.entries(right)) {
      session.onRequest(verb, (body) => (this.answers.get(verb) ?? ((_, asked) => answer(asked)))(session, body));
    }
  }

  async send(session: Session, body: Buffer, bytes: Buffer): Promise<void> {
    const key = Buffer.alloc(8);
    key.writeBigUInt64LE(numberIn(body));
    await session.send({
      service: 'records',
      key,
      size: bytes.length,
      read: async (offset, into) => bytes.copy(into, 0, offset),
    });
  }

  hello(): Buffer {
    const newest = { sequence: 1, timeMs: 1, root: this.root };
    return encodeHello({
      store: '0123456789abcdef'.repeat(2),
      hashAlgo: 'blake3',
      newest,
      encrypted: false,
      takeOver: false,
    });
  }
}

function numberIn(body: Buffer): bigint {
  let value = 0n;
  for (let at = 0; ; at += 1) {
    const byte = body[at] as number;
    value |= BigInt(byte & 127) << BigInt(7 * at);
    if (byte < 128) return value;
  }
}

function digestsIn(body: Buffer): Buffer[] {
  const first = body.length % 32;
  return Array.from({ length: Math.floor(body.length / 32) }, (_, index) => {
    return body.subarray(first + index * 32, first + index * 32 + 32);
  });
}

/** What comes of a pull from a liar; the store must be as it was. */
async function outcome(prepare: (liar: Liar, store: Store) => void): Promise<string> {
  const store = await fixture.open('replica');
  const liar = new Liar(store);
  prepare(liar, store);
  const { client, server } = memoryPair();
  liar.attach(server);
  const code = await codeOf(() => pullOver(store, client));
  expect(store.newest).toBeNull();
  expect((await store.verify()).damage).toEqual([]);
  const again = await fixture.reopen(store);
  expect(again.newest).toBeNull();
  await commitFiles(again, { own: noise(50, 1) });
  expect((await contentOf(again, 'own'))?.length).toBe(50);
  return code;
}

const bytes = noise(3000, 5);

describe('a peer that lies', () => {
  it.each<[string, string, (liar: Liar, store: Store) => void]>([
    ['about the root', 'DK_DIGEST_MISMATCH', (liar) => void liar.file('f', bytes)],
    ['with a path that leaves the directory', 'DK_UNSAFE_PATH', (liar) => void liar.file('../f', bytes)],
    ['with an absolute path', 'DK_UNSAFE_PATH', (liar) => void liar.file('/etc/f', bytes)],
    ['about the size of a file', 'DK_CORRUPT_RECIPE', (liar) => void liar.file('f', bytes, { size: 2999 })],
    [
      'with a recipe that leaves its blob',
      'DK_CORRUPT_RECIPE',
      (liar) => {
        const digest = liar.file('f', bytes);
        const extents = [{ digest, offset: 2990, length: 11 }];
        liar.versions[0] = { ...(liar.versions[0] as Version), size: 11, recipe: { kind: 'inline', extents } };
      },
    ],
    [
      'with a file for a recipe',
      'DK_CORRUPT_RECIPE',
      (liar) => {
        const digest = liar.file('f', bytes);
        const given = { size: LIMITS.regionBytes, recipe: { kind: 'regions', regions: [digest] } } as const;
        liar.versions[0] = { ...(liar.versions[0] as Version), ...given };
      },
    ],
    [
      'with a blob under a wrong digest',
      'DK_PROTOCOL',
      (liar) => liar.give(liar.file('f', bytes), liar.record(RECORD.blob, noise(3000, 6))),
    ],
    [
      'with another length than it said',
      'DK_PROTOCOL',
      (liar) => liar.give(liar.file('f', bytes), liar.record(RECORD.blob, bytes), { recordBytes: 100 }),
    ],
    [
      'with contexts without end',
      'DK_LIMIT',
      (liar) => {
        liar.file('f', bytes);
        let seed = 100;
        liar.answers.set(VERB.describe, async (_, body) => {
          return encodeDescriptions(
            digestsIn(body).map((digest) => {
              seed += 1;
              return { digest, kind: 'blob', depth: 1, recordBytes: 100, contexts: [noise(32, seed)] };
            }),
          );
        });
      },
    ],
    [
      'with records that nobody asked for',
      'DK_PROTOCOL',
      (liar) => {
        liar.file('f', bytes);
        liar.answers.set(VERB.want, async (session) => {
          await liar.send(session, Buffer.of(5), bytes);
          return Buffer.alloc(0);
        });
      },
    ],
    [
      'with an answer and no records',
      'DK_PROTOCOL',
      (liar) => {
        liar.file('f', bytes);
        liar.answers.set(VERB.want, async () => Buffer.alloc(0));
      },
    ],
    [
      'with blobs that it does not have',
      'DK_NOT_FOUND',
      (liar) => {
        liar.file('f', bytes);
        liar.descriptions.clear();
      },
    ],
    [
      'with a history that goes back',
      'DK_PROTOCOL',
      (liar) => {
        liar.page = { items: [], more: true };
        liar.answers.set(VERB.history, async () => Buffer.of(0, 0, 1, 200, 200, 0));
      },
    ],
    ['with a page of nothing, for ever', 'DK_NOT_FOUND', (liar) => liar.pretend({ items: [], more: true })],
    [
      'with an unknown answer',
      'DK_PROTOCOL',
      (liar) => void liar.answers.set(VERB.hello, async () => Buffer.from('{}')),
    ],
    [
      'about the length of its versions',
      'DK_PROTOCOL',
      (liar) => {
        const facts = { entries: 1, treeBytes: 1, changed: 1, removed: 0, storedBytes: 1, changedBytes: 1 };
        const checkpoint = { sequence: 1, timeMs: 1, root: liar.root, ...facts, frozen: false, pauseMs: 0, tag: '' };
        liar.page = { items: [{ checkpoint, versionsBytes: 1e12, versions: Buffer.alloc(0) }] };
      },
    ],
  ])('%s', async (_, code, prepare) => {
    expect(await outcome(prepare)).toBe(code);
  });
});

describe('questions that are none', () => {
  it('are refused with a code, and the store is as it was', async () => {
    const store = await fixture.open('store');
    await commitFiles(store, { f: bytes });
    const { client, server } = memoryPair({ rights: 'append' });
    new StoreHost(store).attach(server);
    for (const verb of Object.values(VERB)) {
      if (verb === VERB.hello) continue;
      for (let seed = 0; seed < 40; seed += 1) {
        const body = noise((seed * 37) % 300, seed + 1);
        const error = await client.request(verb, body).catch((reason: unknown) => reason);
        if (!Buffer.isBuffer(error)) expect(isDiffKeeperError(error), `${verb} ${seed}`).toBe(true);
      }
    }
    expect(await codeOf(() => client.request(VERB.describe, Buffer.alloc(32 * 5000 + 2)))).toBe('DK_PROTOCOL');
    const [version] = await store.changes(1);
    const often = Array.from({ length: 1000 }, () => version?.digest as Buffer);
    expect(await codeOf(() => client.request(VERB.want, encodeDigests(often)))).toBe('DK_LIMIT');
    const paths = Array.from({ length: 1001 }, () => 'f');
    expect(await codeOf(() => client.request(VERB.alive, encodePaths(1, paths)))).toBe('DK_PROTOCOL');
    expect((await store.verify()).damage).toEqual([]);
    expect(store.newest?.sequence).toBe(1);
  });

  it('such as a hello of another version, or of no store', async () => {
    const base = { store: 'a'.repeat(32), hashAlgo: 'blake3', newest: null, encrypted: false, takeOver: false };
    const json = (value: object): Buffer => Buffer.from(JSON.stringify({ version: 1, ...base, ...value }));
    expect(decodeHello(json({}))).toEqual(base);
    for (const value of [
      { version: 2 },
      { store: '../x' },
      { newest: 5 },
      { newest: { sequence: -1 } },
      { hashAlgo: 1 },
    ]) {
      expect(await codeOf(() => decodeHello(json(value)))).toBe('DK_PROTOCOL');
    }
    expect(await codeOf(() => decodeHello(Buffer.alloc(5000, 0x20)))).toBe('DK_PROTOCOL');
  });
});

describe('damage on the way', () => {
  it('of any byte of a batch is found, and the next run brings the right one', async () => {
    const source = await fixture.open('source');
    const replica = await fixture.open('replica');
    await commitFiles(source, { first: noise(900, 1), second: noise(700, 2) });
    const { push, expectFollows } = await import('./replica-fixture.js');
    for (let at = 0; at < 1700; at += 61) {
      const spoil = (kind: string, _verb: string, sent: Buffer): undefined => {
        if (kind === 'blob') sent[at % sent.length] = (sent[at % sent.length] as number) ^ (1 << (at % 8));
        return undefined;
      };
      expect(await codeOf(() => push(source, replica, { onMessage: spoil }))).toMatch(/^DK_(CORRUPT_RECORD|PROTOCOL)$/);
    }
    expect((await replica.verify()).damage).toEqual([]);
    await push(source, replica);
    await expectFollows(source, replica);
  });
});
