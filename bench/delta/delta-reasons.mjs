// Why a figure of the deltas is missed where it is, and what would close it: printed under the table for those that the
// results say are missed, so that the page keeps to what was measured last.

/** By the beginning of a target, as `delta-targets.mjs` words it. @type {readonly (readonly [string, string, string])[]} */
const REASONS = [
  [
    '1: `fast` at most 1.02 times',
    'literals and edits of such a pair are coded by one pass of zstd at level 3, in the order of the file.',
    'a model of the literals of their own kind, at the price of speed.',
  ],
  [
    '1: `fast` smaller than both',
    'on files of some KB the digests and lengths of the container, 21 bytes, weigh as much as the difference between the tools.',
    'nothing that keeps the digests.',
  ],
  [
    '1: `fast` at most 0.2 of the time',
    'BLAKE3 of source and target is in our time, and fresh memory for the index; xdelta3 computes no digest.',
    'digests that the caller knows already (the store and the state encoder do this), memory that is used again.',
  ],
  [
    '1: `fast` at most 0.5 of the time',
    'where much has moved, most places of the target are looked up in the index of the source, each a miss of the cache; digests are in our time, not in that of zstd.',
    'an index small enough for the second-level cache, and digests that the caller knows already.',
  ],
  [
    '2: executables, `balanced` at most 0.55',
    'the compiler laid out anew much of what these releases have in common: what remains are literals, which zstd codes no better with more context.',
    'taking addresses apart by the relocations of the file before coding, as programs for executables alone do.',
  ],
  [
    '2: executables, `balanced` at most 0.5 of the time',
    'two fifths of the time are look-ups in the index, each a miss of the cache; the literals are coded at level 9, which zstd -3 never pays.',
    'an index small enough for the second-level cache, and a lower level for literals, at the price of bytes.',
  ],
  [
    '2: executables, `max` at most the bytes',
    'align was taken where bsdiff would have been smaller.',
    'running both, which the figure on time leaves no room for.',
  ],
  [
    '2: executables, `max` at most 0.25 of the time',
    'the source is sorted as a whole on one processor, as in bsdiff.',
    'sorting it in parts on all processors.',
  ],
  [
    '3: `max` smallest',
    'on tiny files the digests cost more than is saved elsewhere.',
    'nothing that keeps the digests.',
  ],
  [
    '3: `max` at most the time',
    'on configurations of some KB level 19 is done within the start of a process, and `max` tries every engine that may win.',
    'fewer trials, at the price of a few bytes.',
  ],
  ['3: `max` at most 24 bytes more', 'digests and lengths of the container.', 'nothing that keeps the digests.'],
  [
    '4: SQLite, `fast` at most the bytes',
    'at `fast` literals are coded at level 3.',
    'the effort `balanced`, which codes them at level 9.',
  ],
  [
    '4: SQLite, `fast` at most 0.2 of the CPU',
    'BLAKE3 of source and target, 0.16 s for each GB of either, is in it.',
    'digests that the caller knows already.',
  ],
  [
    '4: patch at most 1 core second',
    'memory, not decoding: of the time that a call takes here, 0.6 to 0.8 s/GB are decoding and both digests; the rest is fresh memory for the target, which the host of a virtual machine fetches page by page (`performance-notes.md`: the same patch takes 20 or 350 ms of system time).',
    'decoding window by window into memory that is used again, as `patchFile` does with deltas in windows.',
  ],
  [
    '4: patch at most 0.5 of the time',
    'the same: both digests and the memory of the target, which xdelta3 keeps to one window; its only check is Adler-32.',
    'the same: windows into memory that is used again.',
  ],
  [
    '5: fp32 weights',
    'the step changed more of the mantissas than a difference of integers leaves small.',
    'a model of the optimiser, whose moments are not in the file.',
  ],
  [
    '5: bf16 weights',
    'the step changed more elements than in the pairs that the figure is of.',
    'a model of the optimiser, whose moments are not in the file.',
  ],
  [
    '5: weights at most 1 core second',
    'the coder of byte planes takes 0.9 s/GB of it; joining the container, both digests and the garbage collector the rest.',
    'planes written into the container without a copy, and digests that the caller knows already; then the coder alone is left.',
  ],
  [
    '6: `fast` peak memory',
    'the peak is that of the whole process: Node 20 with the library loaded is about 55 MiB before it does anything. What is above 64 MiB is the index of the source, streams of the target that wait to be coded, and the delta itself, which counts as neither source nor target.',
    'coding the streams while they are found, and handing out the delta in pieces. `diffFile` stays below 512 MB at any size.',
  ],
  ['6: 5 GB from disk', 'windows, the index and what was gathered for two windows in work.', 'smaller windows.'],
  ['7: native beside TypeScript', 'the benchmark of the engines was not run to its end.', '`npm run bench:engines`.'],
];

/**
 * Lines about what is missed.
 * @param {readonly import('./delta-targets.mjs').Judged[]} judged
 */
export function reasonsOf(judged) {
  return judged.flatMap(({ target, verdict }) => {
    if (!verdict.startsWith('missed')) return [];
    const found = REASONS.find(([beginning]) => target.startsWith(beginning));
    const [, why, close] = found ?? ['', 'not looked into.', 'not known.'];
    return [`- **${target}**: ${verdict}. Why: ${why} What would close it: ${close}`];
  });
}
