/** Door of the room `baseline`: keyed states as self-describing messages, deltas against baselines. */
export type { StateDecoderMetrics } from './decoder-metrics.js';
export { classOfKey } from './key-class.js';
export type { MessageInput } from './message-parts.js';
export type {
  RegisteredStateMetrics,
  StateDecoderMetricsSource,
  StateMetricsOptions,
  StateMetricsSource,
} from './registered-metrics.js';
export { registerStateDecoderMetrics, registerStateMetrics } from './registered-metrics.js';
export { StateDecoder } from './state-decoder.js';
export { StateEncoder } from './state-encoder.js';
export type { StateMetrics } from './state-metrics.js';
export type {
  BaselineRules,
  DecodedState,
  EncodedState,
  StateDecoderOptions,
  StateDigest,
  StateEncoderOptions,
  StateEngineChoice,
  StateEngineName,
  StateFacts,
  StateInput,
} from './state-types.js';
export type { BaselineStore, BaselineWriter, StoredBaseline } from './stored-reference.js';
