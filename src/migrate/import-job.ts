/**
 * Brings an older store's content into a store, group by group. A group's first commit holds the oldest version of
 * each of its files, the next the second oldest, and so on: versions of one file come in order, which is all that the
 * older program kept of their times. Tags of the checkpoints say how far it got, so that an interrupted import
 * goes on where it was, whatever was lost of its report.
 */
import * as path from 'node:path';
import { type BytePath, isSafePath, type Logger, pathFromBytes, throwIfAborted } from '../core/core.js';
import { removedVersion, VERSION_TYPE, type Version } from '../format/format.js';
import type { Store } from '../store/store.js';
import { ContentWriter } from './content-writer.js';
import { LegacyContents } from './legacy-contents.js';
import type { LegacyEntry, LegacySource } from './legacy-source.js';
import { type MigrationDamage, type MigrationReport, writeMigrationReport } from './migration-report.js';
import { PlacedPaths } from './placed-paths.js';
import { quarantineEntry } from './quarantine.js';
import { type RebuiltFile, rebuildFile } from './rebuild-file.js';

const GROUP_FILES = 10_000;
const GROUP_BYTES = 256 << 20;
/** Entries whose values together are this short are decoded side by side. */
const SIDE_BY_SIDE_BYTES = 1 << 20;
const SIDE_BY_SIDE = 8;
const UNSAFE = 'its name may not be used for a file';

export interface ImportOptions {
  readonly logger: Logger;
  readonly signal?: AbortSignal;
  /** Called with bytes of the source taken and in all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly nowMs: () => number;
}

interface Taken {
  readonly path: BytePath;
  readonly file: RebuiltFile;
}

export class ImportJob {
  readonly #store: Store;
  readonly #source: LegacySource;
  readonly #options: ImportOptions;
  readonly #contents: LegacyContents;
  readonly #placed: PlacedPaths;
  #report: MigrationReport;
  #damage: MigrationDamage[];
  #group = 0;
  #doneBytes = 0;
  /** Entries of the group that were put into quarantine. */
  #quarantined = 0;

  constructor(store: Store, source: LegacySource, report: MigrationReport, options: ImportOptions) {
    this.#store = store;
    this.#source = source;
    this.#options = options;
    this.#contents = new LegacyContents(source, store.engine);
    this.#placed = new PlacedPaths(store);
    this.#report = report;
    this.#damage = [];
  }

  /** Imports what is not there yet. @throws DK_ABORTED, DK_DISK_FULL, DK_IO; another call goes on from there */
  async run(): Promise<MigrationReport> {
    const done = await groupsDone(this.#store, this.#source.tagSuffix);
    this.#damage = this.#report.damage.filter(({ group }) => group > 0 && group <= done.groups);
    for (const message of this.#source.damage) this.#note({ kind: 'structure', name: '', reason: message, group: 0 });
    await this.#save('running');
    let entries: LegacyEntry[] = [];
    let bytes = 0;
    for await (const item of this.#source.items()) {
      if (item.kind === 'damage') continue;
      entries.push(item.entry);
      bytes += await this.#sourceBytes(item.entry);
      if (entries.length < GROUP_FILES && bytes < GROUP_BYTES) continue;
      await this.#takeGroup(entries, done);
      entries = [];
      bytes = 0;
    }
    if (entries.length > 0) await this.#takeGroup(entries, done);
    const lost = this.#damage.some(({ kind }) => kind !== 'recovered');
    return this.#save(lost ? 'with damage' : 'complete');
  }

  /** How much an entry takes in the source, for groups and progress; the same at every attempt. */
  async #sourceBytes(entry: LegacyEntry): Promise<number> {
    let bytes = 0;
    for (const values of [entry.gzips, entry.hashes, entry.metas]) for (const { length } of values) bytes += length;
    for (const name of await this.#source.contentsOf(entry.name)) {
      for (const { length } of await this.#source.contents(name)) bytes += length;
    }
    return bytes;
  }

  async #takeGroup(entries: readonly LegacyEntry[], done: GroupsDone): Promise<void> {
    this.#group += 1;
    this.#quarantined = 0;
    if (this.#group <= done.groups) {
      for (const { name } of entries) if (isSafePath(pathFromBytes(name))) this.#placed.passed(pathFromBytes(name));
      return;
    }
    this.#damage = this.#damage.filter(({ group }) => group !== this.#group);
    const transaction = this.#store.begin();
    try {
      const writer = new ContentWriter(this.#store, transaction);
      const taken = await this.#takeEntries(entries, writer);
      await writer.flush();
      await this.#commitGroup(transaction, taken, this.#group === done.groups + 1 ? done.steps : 0);
    } catch (error) {
      await transaction.abort();
      throw error;
    }
    this.#options.logger.info({ group: this.#group, files: entries.length }, 'imported a group of files');
  }

  async #takeEntries(entries: readonly LegacyEntry[], writer: ContentWriter): Promise<Taken[]> {
    const taken: Taken[] = [];
    let batch: LegacyEntry[] = [];
    let bytes = 0;
    const flush = async (): Promise<void> => {
      throwIfAborted(this.#options.signal);
      const parts = { source: this.#source, contents: this.#contents, writer };
      const results = await Promise.allSettled(batch.map((entry) => rebuildFile(parts, entry)));
      for (const [index, result] of results.entries()) {
        if (result.status === 'rejected') throw result.reason;
        const one = await this.#place(batch[index] as LegacyEntry, result.value);
        if (one) taken.push(one);
      }
      this.#doneBytes += bytes;
      this.#options.onProgress?.(Math.min(this.#doneBytes, this.#source.valueBytes), this.#source.valueBytes);
      batch = [];
      bytes = 0;
    };
    for (const entry of entries) {
      const next = await this.#sourceBytes(entry);
      if (batch.length > 0 && (bytes + next > SIDE_BY_SIDE_BYTES || batch.length >= SIDE_BY_SIDE)) await flush();
      batch.push(entry);
      bytes += next;
    }
    if (batch.length > 0) await flush();
    return taken;
  }

  /** Reports an entry's damage; null when nothing of it can be placed. */
  async #place(entry: LegacyEntry, file: RebuiltFile): Promise<Taken | null> {
    const bytePath = pathFromBytes(entry.name);
    const any = file.versions.length > 0;
    const refusal = isSafePath(bytePath) ? any && (await this.#placed.refusal(bytePath)) : UNSAFE;
    const findings = refusal ? [{ kind: 'lost' as const, reason: refusal }] : file.findings;
    const inQuarantine = findings.some(({ kind }) => kind === 'lost' || kind === 'doubtful');
    // In an encrypted store neither names nor contents are written down in the clear: the log tells them.
    const place = inQuarantine && !this.#store.guard.sealed ? { quarantine: await this.#quarantine(entry, file) } : {};
    for (const finding of findings) this.#note({ ...finding, ...nameFacts(entry.name), ...place, group: this.#group });
    return any && !refusal ? { path: bytePath, file } : null;
  }

  async #quarantine(entry: LegacyEntry, file: RebuiltFile): Promise<string> {
    this.#quarantined += 1;
    const name = `import-${this.#group}-${this.#quarantined}`;
    const directory = path.join(this.#store.quarantinePath, name);
    await quarantineEntry({ directory, source: this.#source, entry, contentNames: file.contentNames });
    return name;
  }

  #note(damage: MigrationDamage): void {
    const { kind, name, reason } = damage;
    this.#damage.push(this.#store.guard.sealed ? { kind, name: '', reason, group: this.#group } : damage);
    this.#options.logger.info({ kind, name, reason }, 'not as it should be in the older store');
  }

  async #commitGroup(first: ReturnType<Store['begin']>, taken: readonly Taken[], skip: number): Promise<void> {
    let steps = 1;
    for (const { file } of taken) steps = Math.max(steps, file.versions.length + (file.newestLost ? 1 : 0));
    this.#count(taken);
    await this.#save('running');
    let transaction = first;
    for (let step = 0; step < steps; step += 1) {
      if (step < skip) continue;
      if (step > skip) transaction = this.#store.begin();
      if (step === 0)
        for (const directory of this.#placed.takeDirectories())
          transaction.put(directoryVersion(directory, this.#source.timeNs));
      for (const { path: bytePath, file } of taken) {
        const content = file.versions[step];
        if (content) transaction.put({ ...fileVersion(bytePath, file.timeNs), ...pick(content) });
        else if (file.newestLost && step === file.versions.length) transaction.remove(bytePath);
      }
      await transaction.commit({
        tag: `${tagOf({ groups: this.#group, steps: step + 1 }, steps)}${this.#source.tagSuffix}`,
        force: true,
      });
    }
    if (skip >= steps) await first.abort();
  }

  #count(taken: readonly Taken[]): void {
    const part = { files: 0, versions: 0, bytes: 0 };
    for (const { file } of taken) {
      part.files += file.newestLost ? 0 : 1;
      part.versions += file.versions.length;
      for (const { size } of file.versions) part.bytes += size;
    }
    this.#report = { ...this.#report, parts: [...this.#report.parts.slice(0, this.#group - 1), part] };
  }

  async #save(state: MigrationReport['state']): Promise<MigrationReport> {
    const finished = state === 'running' ? '' : new Date(this.#options.nowMs()).toISOString();
    this.#report = { ...this.#report, state, finished, damage: this.#damage };
    await writeMigrationReport(this.#store.path, this.#report);
    return this.#report;
  }
}

interface GroupsDone {
  /** Groups that are committed whole. */
  readonly groups: number;
  /** Steps of the next one that are committed. */
  readonly steps: number;
}

function tagOf({ groups, steps }: GroupsDone, of: number): string {
  return `imported: part ${groups}, step ${steps} of ${of}`;
}

/** What the newest checkpoint of an import says about it. */
async function groupsDone(store: Store, suffix: string): Promise<GroupsDone> {
  for await (const { tag } of store.checkpoints()) {
    const parts = /^imported: part (\d{1,9}), step (\d{1,9}) of (\d{1,9})(.*)$/.exec(tag);
    if (!parts || parts[4] !== suffix) continue;
    const [group, step, of] = parts.slice(1, 4).map(Number) as [number, number, number];
    return step >= of ? { groups: group, steps: 0 } : { groups: group - 1, steps: step };
  }
  return { groups: 0, steps: 0 };
}

function pick(content: RebuiltFile['versions'][number]): Pick<Version, 'size' | 'digest' | 'recipe'> {
  return { size: content.size, digest: content.digest, recipe: content.recipe };
}

/** As the older program restored them: 0644 and 0755, owned by whoever ran it. */
function fileVersion(bytePath: BytePath, mtimeNs: bigint): Version {
  return { ...removedVersion(bytePath, 0), type: VERSION_TYPE.file, mode: 0o644, mtimeNs, ...owner() };
}

function directoryVersion(bytePath: BytePath, mtimeNs: bigint): Version {
  return { ...removedVersion(bytePath, 0), type: VERSION_TYPE.directory, mode: 0o755, mtimeNs, ...owner() };
}

function owner(): { readonly uid: number; readonly gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}

function nameFacts(name: Buffer): { readonly name: string; readonly nameBase64?: string } {
  const text = name.toString('utf8');
  return Buffer.from(text, 'utf8').equals(name) ? { name: text } : { name: text, nameBase64: name.toString('base64') };
}
