/** The one suite that every implementation of `Engine` must pass. */
import { describe } from 'vitest';
import type { Engine } from '../../src/engine/engine.js';
import { describeAlign } from './conformance-align.js';
import { describeBsdiff } from './conformance-bsdiff.js';
import { describeChainBatches } from './conformance-chain-batches.js';
import { describeChains } from './conformance-chains.js';
import { describeCoding } from './conformance-coding.js';
import { describeFileSlices } from './conformance-file-slices.js';
import { describeGroups } from './conformance-groups.js';
import { describeHashing } from './conformance-hashing.js';
import { describePlacing } from './conformance-placing.js';
import { describeReading } from './conformance-reading.js';
import { describeRuns } from './conformance-runs.js';
import { describeStatIndex } from './conformance-stat-index.js';
import { describeStates } from './conformance-states.js';
import { describeTensor } from './conformance-tensor.js';
import { describeTransfers } from './conformance-transfers.js';
import { describeVcdiff } from './conformance-vcdiff.js';
import { describeWindows } from './conformance-windows.js';
import { describeWriter } from './conformance-writer.js';

/** What an implementation cannot do on Node alone. */
export interface Abilities {
  /** Sets times to the nanosecond instead of the microsecond. */
  readonly exactTimes: boolean;
}

export function describeEngine(name: string, engine: Engine, abilities: Abilities): void {
  describe(`${name} engine`, () => {
    describeHashing(engine);
    describeCoding(engine);
    describe('align', () => describeAlign(engine));
    describe('tensor', () => describeTensor(engine));
    describe('bsdiff', () => describeBsdiff(engine));
    describe('vcdiff', () => describeVcdiff(engine));
    describe('states', () => describeStates(engine));
    describe('windows', () => describeWindows(engine));
    describeStatIndex(engine);
    describeReading(engine);
    describe('runs', () => describeRuns(engine));
    describe('chains', () => describeChains(engine));
    describe('many chains', () => describeChainBatches(engine));
    describe('groups', () => describeGroups(engine));
    describe('slices of files', () => describeFileSlices(engine));
    describe('transfers', () => describeTransfers(engine));
    describe('file writer', () => describeWriter(engine));
    describePlacing(engine, abilities.exactTimes);
  });
}
