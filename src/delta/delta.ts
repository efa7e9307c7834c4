/** Door of the room `delta`: turn a source into a target with a small, self-checking delta. */
export type { BareDiffOptions, BareFormat, BarePatchOptions } from './bare.js';
export { deltaFormat, diffBare, patchBare } from './bare.js';
export type { DeltaCandidate, DeltaReport } from './choose.js';
export type {
  BareDiffFileOptions,
  BareFileInfo,
  DeltaFileInfo,
  DiffFileOptions,
  PatchFileOptions,
  PatchFileReport,
} from './delta-files.js';
export { diffBareFile, diffFile, inspectDeltaFile, patchFile } from './delta-files.js';
export type { DiffOptions } from './diff-options.js';
export type { DeltaChoice, DeltaEngineName } from './engines.js';
export type { DeltaInfo, DigestOptions, PatchOptions } from './in-memory.js';
export { diff, digest, inspectDelta, patch } from './in-memory.js';
export { lookAt, type PairEvidence, type SampleSizes } from './pair-evidence.js';
export { layoutOfHeaders } from './tensor-layout.js';
export type { DeltaProgress } from './window-job.js';
