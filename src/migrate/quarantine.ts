/** Keeps what there is of an entry that could not come over, as it was found. */
import { open } from 'node:fs/promises';
import * as path from 'node:path';
import { fromSystemError, makeDirectory, writeFully } from '../core/core.js';
import type { BoltValue } from './bolt-page.js';
import { isDamage } from './legacy-contents.js';
import type { LegacyEntry, LegacySource } from './legacy-source.js';

/** Contents of one entry that are kept: chains of the older system are shorter. */
const CONTENTS_MAX = 256;

/** Copies the entry's values into a directory of their own; the same entry again gives the same directory. */
export async function quarantineEntry(options: {
  readonly directory: string;
  readonly source: LegacySource;
  readonly entry: LegacyEntry;
  readonly contentNames: readonly string[];
}): Promise<void> {
  const { directory, source, entry } = options;
  await makeDirectory(directory);
  const values: [string, BoltValue][] = [];
  for (const [index, value] of entry.gzips.entries()) values.push([`content-${index}.gz`, value]);
  for (const [index, value] of entry.hashes.entries()) values.push([`hash-${index}`, value]);
  for (const [index, value] of entry.metas.entries()) values.push([`metadata-${index}.json`, value]);
  for (const [index, name] of options.contentNames.slice(0, CONTENTS_MAX).entries()) {
    const [value] = await source.contents(name);
    if (value) values.push([`content-${index}-${name.replace(/[^0-9A-Za-z]/g, '_').slice(0, 64)}`, value]);
  }
  values.push(['name', nameValue(entry.name)]);
  for (const [name, value] of values) await copyValue(path.join(directory, name), value);
}

async function copyValue(file: string, value: BoltValue): Promise<void> {
  try {
    const handle = await open(file, 'w', 0o600);
    try {
      for await (const chunk of value.stream()) await writeFully(handle, chunk);
    } finally {
      await handle.close();
    }
  } catch (error) {
    // Half a value is better than none: this place is for what is damaged.
    if (!isDamage(error)) throw fromSystemError(error, 'write', file);
  }
}

function nameValue(name: Buffer): BoltValue {
  return {
    length: name.length,
    read: () => Promise.resolve(name),
    async *stream() {
      yield name;
    },
  };
}
