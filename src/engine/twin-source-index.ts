/** The sparse index of a long source, as `native/window` has it. */
import type { Engine } from './engine.js';
import type { LongFileVerbs, SourceIndex } from './source-index.js';
import { createDigest, digestFile, yieldTurn } from './twin-hash.js';
import { chooseRanges } from './twin-range-choice.js';
import { FIRST, isUniform, SAMPLE_BYTES, SampleTable, SECOND, sampleHash } from './twin-sample-table.js';
import { wishesOf } from './twin-window-scan.js';

/** Makes the index of a source of this length. */
function createSourceIndex(sourceBytes: number): SourceIndex {
  const table = new SampleTable(sourceBytes);
  return {
    async add(data, offset) {
      await yieldTurn();
      const end = offset + data.length;
      const { step } = table;
      for (let at = Math.ceil(offset / step) * step; at + SAMPLE_BYTES <= end; at += step) {
        const from = at - offset;
        if (!isUniform(data, from)) {
          table.put(sampleHash(data, from, FIRST), sampleHash(data, from, SECOND), at / step);
        }
      }
    },
    async find(target, targetOffset, inPlace, budget) {
      await yieldTurn();
      return chooseRanges(wishesOf(table, { target, targetOffset, inPlace }), sourceBytes, budget);
    },
  };
}

/** What the twin offers for files that do not fit memory. */
export const twinLongFiles: LongFileVerbs & Pick<Engine, 'digestFile'> = {
  createDigest,
  createSourceIndex,
  digestFile,
};
