/** What the second reader must find: names, attributes, contents, roots. */
import { expect } from 'vitest';
import { SecondStore, type SecondVersion } from './second-decoder.js';

interface Entry {
  readonly type: number;
  readonly mode: number;
  readonly uid: number;
  readonly mtimeNs: bigint;
  readonly linkId: bigint;
  readonly sparse: boolean;
  readonly xattrs: Buffer;
  readonly content: Buffer;
}

interface Known {
  readonly sequence: number;
  readonly tag: string;
  readonly root: Buffer;
  readonly changes: ReadonlyMap<string, Entry | null>;
  readonly tree: ReadonlyMap<string, Entry>;
}

function expectEntry(store: SecondStore, found: SecondVersion, entry: Entry): void {
  const { type, mode, uid, mtimeNs, linkId, sparse, xattrs } = found;
  const facts = { type, mode, uid, mtimeNs, linkId, sparse, xattrs: xattrs.toString('hex') };
  expect(facts).toEqual({
    type: entry.type,
    mode: entry.mode,
    uid: entry.uid,
    mtimeNs: entry.mtimeNs,
    linkId: entry.linkId,
    sparse: entry.sparse,
    xattrs: entry.xattrs.toString('hex'),
  });
  if (type === 3) expect(found.linkText.equals(entry.content)).toBe(true);
  if (type === 1) expect(store.content(found).equals(entry.content)).toBe(true);
}

export function expectSecond(store: SecondStore, known: readonly Known[]): void {
  expect(store.checkpoints.map(({ sequence, tag }) => `${sequence} ${tag}`)).toEqual(
    known.map(({ sequence, tag }) => `${sequence} ${tag}`),
  );
  let previous = '0'.repeat(64);
  for (const [index, { sequence, root, changes, tree }] of known.entries()) {
    const checkpoint = store.checkpoints[index];
    expect(checkpoint?.root).toBe(root.toString('hex'));
    expect(checkpoint?.previous).toBe(previous);
    previous = (sequence === store.prune?.sequence ? store.prune.digest : checkpoint?.digest) ?? '';
    expect(checkpoint?.versions.map((one) => one.path).sort()).toEqual([...changes.keys()].sort());
    const state = store.state(sequence);
    expect([...state.keys()].sort()).toEqual([...tree.keys()].sort());
    for (const [path, entry] of tree) expectEntry(store, state.get(path) as SecondVersion, entry);
    expect(store.root(state)).toBe(root.toString('hex'));
  }
}

/** The newest state of the store at `root` must have these contents, by name. */
export async function expectSecondContents(root: string, contents: Iterable<readonly [string, Buffer]>): Promise<void> {
  const second = await SecondStore.open(root);
  const state = second.state(second.checkpoints.at(-1)?.sequence ?? 0);
  for (const [name, bytes] of contents) {
    const found = state.get(name);
    expect(found && second.content(found).equals(bytes), name).toBe(true);
  }
}
