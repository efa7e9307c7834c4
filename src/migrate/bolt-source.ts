/** An older store in a BoltDB file. Structure is looked through once before anything is taken from it. */
import { isDiffKeeperError } from '../core/core.js';
import { BoltFile } from './bolt-file.js';
import { type BoltMeta, boltDamage } from './bolt-format.js';
import type { BoltValue } from './bolt-page.js';
import { salvageEntries } from './bolt-salvage.js';
import { BoltBucket, PageSet } from './bolt-tree.js';
import { parseContentId } from './content-id.js';
import { parseReferences } from './legacy-metadata.js';
import {
  EMPTY_BUCKET,
  joinBuckets,
  type LegacyBucket,
  type LegacyEntry,
  type LegacyItem,
  type LegacySource,
} from './legacy-source.js';

const SCHEMA_KEY = Buffer.from('schema_version');
/** Entries found outside the trees that are kept in mind. */
const SALVAGED_MAX = 1_000_000;
/** Reports of one kind of structural damage that are kept: more say nothing new. */
const DAMAGE_MAX = 1000;
const REFERENCE_BYTES_MAX = 16 << 20;
const NAMES = ['deltas', 'hashes', 'meta', 'cas', 'cas_refs', 'chunk_index'] as const;
type BucketName = (typeof NAMES)[number];

type Salvaged = Readonly<Record<BucketName, Map<string, BoltValue[]>>>;

export class BoltSource implements LegacySource {
  readonly #file: BoltFile;
  readonly #buckets: ReadonlyMap<string, BoltBucket>;
  readonly #salvaged: Salvaged;
  /** Names of contents by the path they were stored for. */
  readonly #references = new Map<string, string[]>();
  readonly schema: number;
  readonly damage: readonly string[];
  readonly valueBytes: number;
  readonly tagSuffix = '';
  readonly identity: string;

  private constructor(file: BoltFile, survey: Survey, salvaged: Salvaged) {
    this.#file = file;
    this.#buckets = survey.buckets;
    this.#salvaged = salvaged;
    this.schema = survey.schema;
    this.damage = survey.damage;
    this.valueBytes = survey.valueBytes;
    this.identity = `${file.facts.fileBytes} bytes, transaction ${survey.transaction}`;
  }

  /** @throws DK_NO_STORE, DK_CORRUPT_BOLT when no state of the file can be read at all, DK_IO */
  static async open(path: string): Promise<BoltSource> {
    const file = await BoltFile.open(path);
    try {
      const survey = await surveyFile(file);
      const salvaged = emptySalvage();
      if (survey.torn) await salvage(file, survey.seen, salvaged);
      if (survey.torn && survey.buckets.size === 0 && isEmpty(salvaged)) {
        throw boltDamage(`nothing in ${path} can be read: ${survey.damage[0] ?? ''}`);
      }
      const source = new BoltSource(file, survey, salvaged);
      await source.#readReferences();
      return source;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get path(): string {
    return this.#file.path;
  }

  get timeNs(): bigint {
    return this.#file.facts.mtimeNs;
  }

  #bucket(name: BucketName): LegacyBucket {
    return this.#buckets.get(name) ?? EMPTY_BUCKET;
  }

  async *items(): AsyncGenerator<LegacyItem> {
    const buckets = { gzips: this.#bucket('deltas'), hashes: this.#bucket('hashes'), metas: this.#bucket('meta') };
    for await (const item of joinBuckets(buckets)) {
      // Damage of the structure was told by the survey; here it would be told twice.
      if (item.kind === 'damage') continue;
      const entry = await withoutSchema(this.#withSalvaged(item.entry));
      if (entry) yield { kind: 'entry', entry };
    }
    yield* this.#lostEntries();
  }

  /** What the pages outside the trees know of a name beyond what the trees say. */
  #withSalvaged(entry: LegacyEntry): LegacyEntry {
    const key = entry.name.toString('latin1');
    const more = (known: readonly BoltValue[], name: BucketName): readonly BoltValue[] =>
      known.length > 0 ? known : (this.#salvaged[name].get(key) ?? []);
    return {
      name: entry.name,
      gzips: more(entry.gzips, 'deltas'),
      hashes: more(entry.hashes, 'hashes'),
      metas: more(entry.metas, 'meta'),
    };
  }

  /** Names that no tree reaches. */
  async *#lostEntries(): AsyncGenerator<LegacyItem> {
    const { deltas, hashes, meta } = this.#salvaged;
    const names = [...new Set([...deltas.keys(), ...meta.keys(), ...hashes.keys()])].sort();
    for (const key of names) {
      const name = Buffer.from(key, 'latin1');
      if (await this.#isInTree(name)) continue;
      const entry = { name, gzips: deltas.get(key) ?? [], hashes: hashes.get(key) ?? [], metas: meta.get(key) ?? [] };
      const named = await withoutSchema(entry);
      if (named) yield { kind: 'entry', entry: named };
    }
  }

  async #isInTree(name: Buffer): Promise<boolean> {
    for (const bucket of ['deltas', 'hashes', 'meta'] as const) if (await this.#find(bucket, name)) return true;
    return false;
  }

  async #find(bucket: BucketName, key: Buffer): Promise<BoltValue | null> {
    try {
      return await this.#bucket(bucket).get(key);
    } catch (error) {
      if (isDiffKeeperError(error, 'DK_CORRUPT_BOLT')) return null;
      throw error;
    }
  }

  async contents(name: string): Promise<readonly BoltValue[]> {
    const found = await this.#find('cas', Buffer.from(name, 'utf8'));
    return found ? [found] : (this.#salvaged.cas.get(name) ?? []);
  }

  async manifest(name: Buffer): Promise<BoltValue | null> {
    const salvaged = this.#salvaged.chunk_index.get(name.toString('latin1'));
    return (await this.#find('chunk_index', name)) ?? salvaged?.[0] ?? null;
  }

  contentsOf(name: Buffer): Promise<readonly string[]> {
    return Promise.resolve(this.#references.get(name.toString('utf8')) ?? []);
  }

  /** Turned round once: the bucket has lists of files by content, wanted are contents by file. */
  async #readReferences(): Promise<void> {
    for await (const item of this.#bucket('cas_refs').walk()) {
      if (item.kind === 'damage' || item.value.length > REFERENCE_BYTES_MAX) continue;
      const content = item.key.toString('latin1');
      if (!parseContentId(content)) continue;
      for (const path of parseReferences(await item.value.read(REFERENCE_BYTES_MAX))) {
        const names = this.#references.get(path);
        if (names) names.push(content);
        else this.#references.set(path, [content]);
      }
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The metadata under this name is the schema's number, not a file's; a file may still have that name. */
async function withoutSchema(entry: LegacyEntry): Promise<LegacyEntry | null> {
  if (!entry.name.equals(SCHEMA_KEY)) return entry;
  const metas = entry.metas.filter((value) => value.length > 1);
  return entry.gzips.length + entry.hashes.length + metas.length > 0 ? { ...entry, metas } : null;
}

interface Survey {
  readonly buckets: Map<string, BoltBucket>;
  readonly seen: PageSet;
  readonly damage: readonly string[];
  /** Pages are missing or damaged: what they held may be found elsewhere in the file. */
  readonly torn: boolean;
  readonly schema: number;
  readonly valueBytes: number;
  readonly transaction: bigint;
}

/** Looks at every page of every bucket, and falls back to the older state when the newest one has no buckets left. */
async function surveyFile(file: BoltFile): Promise<Survey> {
  const { metas, metaDamage } = file.facts;
  let newest: Survey | null = null;
  for (const meta of metas) {
    const survey = await surveyState(file, meta);
    if (!survey.torn || survey.buckets.size > 0) {
      const fallen = newest ? [`the newest state cannot be read: ${newest.damage[0] ?? ''}`] : [];
      return { ...survey, torn: survey.torn || newest !== null, damage: [...metaDamage, ...fallen, ...survey.damage] };
    }
    newest ??= survey;
  }
  const empty = { buckets: new Map<string, BoltBucket>(), seen: new PageSet(), damage: [], torn: false };
  return newest ?? { ...empty, schema: 1, valueBytes: 0, transaction: 0n };
}

async function surveyState(file: BoltFile, meta: BoltMeta): Promise<Survey> {
  const seen = new PageSet();
  const damage: string[] = [];
  let torn = false;
  const note = (message: string): void => {
    torn = true;
    if (damage.length < DAMAGE_MAX) damage.push(message);
  };
  if (meta.pages > file.pageCount) note(`the file ends after page ${file.pageCount} of ${meta.pages}`);
  const root = new BoltBucket(file, meta.root, null);
  const buckets = await root.buckets(seen, note);
  let valueBytes = 0;
  let contents = 0;
  for (const name of NAMES) {
    const bucket = buckets.get(name);
    if (!bucket) continue;
    for await (const item of bucket.walk(seen)) {
      if (item.kind === 'damage') note(`bucket ${name}: ${item.message}`);
      else if (name === 'cas') contents += 1;
      if (item.kind === 'entry') valueBytes += item.value.length;
    }
  }
  const marked = await schemaOf(buckets.get('meta'));
  const schema = marked ?? (contents > 0 ? 2 : 1);
  return { buckets, seen, damage, torn, schema, valueBytes, transaction: meta.transaction };
}

async function schemaOf(bucket: BoltBucket | undefined): Promise<number | null> {
  const value = await bucket?.get(SCHEMA_KEY).catch(() => null);
  if (value?.length !== 1) return null;
  return (await value.read(1))[0] ?? null;
}

function emptySalvage(): Salvaged {
  const [deltas, hashes, meta] = [new Map(), new Map(), new Map()];
  return { deltas, hashes, meta, cas: new Map(), cas_refs: new Map(), chunk_index: new Map() };
}

function isEmpty(salvaged: Salvaged): boolean {
  return NAMES.every((name) => salvaged[name].size === 0);
}

/** Sorts what is found by what its value looks like, since nothing else tells where it belonged. */
async function salvage(file: BoltFile, seen: PageSet, into: Salvaged): Promise<void> {
  let count = 0;
  for await (const { key, value } of salvageEntries(file, seen)) {
    count += 1;
    if (count > SALVAGED_MAX) return;
    const head = await firstBytes(value);
    const bucket = bucketOf(key, value, head);
    if (!bucket) continue;
    const name = key.toString('latin1');
    const known = into[bucket].get(name);
    if (!known) into[bucket].set(name, [value]);
    else if (known.length < 16) known.push(value);
  }
}

async function firstBytes(value: BoltValue): Promise<Buffer> {
  if (value.length <= 64) return value.read(64);
  for await (const chunk of value.stream()) return chunk.subarray(0, 64);
  return Buffer.alloc(0);
}

function bucketOf(key: Buffer, value: BoltValue, head: Buffer): BucketName | null {
  if (parseContentId(key.toString('latin1'))) return head.toString('latin1', 0, 7) === '{"cid":' ? 'cas_refs' : 'cas';
  if (head[0] === 0x1f && head[1] === 0x8b) return 'deltas';
  if (value.length === 64 && /^[0-9a-fA-F]{64}$/.test(head.toString('latin1'))) return 'hashes';
  if (head.toString('latin1', 0, 11) === '{"version":') return 'chunk_index';
  return head[0] === 0x7b ? 'meta' : null;
}
