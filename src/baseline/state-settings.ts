/** Options with their defaults filled in and their values checked. */
import { type Clock, type Logger, silentLogger, systemClock } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import { classOfKey } from './key-class.js';
import { KEY_BYTES_MAX, SEGMENT_LOG, STATE_BYTES_LIMIT } from './state-message.js';
import type { StateDecoderOptions, StateDigest, StateEncoderOptions, StateEngineChoice } from './state-types.js';
import type { BaselineStore } from './stored-reference.js';

/** Half of a pair without the other: with this flag whole pairs are something else. */
const LONE_HALF = /[\ud800-\udfff]/u;
const MINUTE_MS = 60_000;
const CHOICES: readonly StateEngineChoice[] = ['auto', 'xor', 'sparse', 'align', 'zstd', 'tensor'];
/** Baselines at hand in all unless the caller says otherwise. */
const MEMORY_BYTES = 2 ** 30;

function whole(name: string, value: number, low: number, high: number): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${typeof value}`);
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`${name} must be a whole number from ${low} to ${high}, got ${value}`);
  }
  return value;
}

/** Above zero; Infinity means never or no bound. */
function positive(name: string, value: number): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, got ${typeof value}`);
  if (!(value > 0)) throw new RangeError(`${name} must be above zero, got ${value}`);
  return value;
}

function oneOf<T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (!allowed.includes(value))
    throw new TypeError(`${name} must be one of ${allowed.join(', ')}, got ${String(value)}`);
  return value;
}

function powerOfTwo(name: string, value: number): number {
  whole(name, value, 2 ** SEGMENT_LOG.min, 2 ** SEGMENT_LOG.max);
  if (!Number.isInteger(Math.log2(value))) throw new RangeError(`${name} must be a power of two, got ${value}`);
  return value;
}

function flag(name: string, value: boolean): boolean {
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, got ${typeof value}`);
  return value;
}

function callable<T>(name: string, value: T): T {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function, got ${typeof value}`);
  return value;
}

/** An object with these methods. */
function withMethods<T extends object, K extends keyof T & string>(name: string, value: T, methods: readonly K[]): T {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${name} must be an object, got ${typeof value}`);
  for (const method of methods) callable(`${name}.${method}`, value[method]);
  return value;
}

/** What encoders and decoders get from outside. */
function surroundings(options: StateEncoderOptions | StateDecoderOptions) {
  const { store } = options;
  return {
    store: store === undefined ? undefined : withMethods('store', store, ['load', 'begin', 'remove']),
    engine: options.nativeEngine ?? loadEngine(),
    clock: withMethods('clock', options.clock ?? systemClock, ['nowMs', 'steadyMs']),
    logger: withMethods('logger', options.logger ?? silentLogger, ['debug', 'warn']),
  };
}

export interface EncoderSettings {
  readonly enabled: boolean;
  readonly reference: 'baseline' | 'previous';
  readonly keep: 'copy' | 'pages';
  readonly choice: StateEngineChoice;
  readonly level: number | 'adaptive';
  readonly timeBudgetMs: number;
  readonly linkBytesPerSecond: number | undefined;
  readonly minCompressionRatio: number;
  readonly adaptiveThreshold: number;
  readonly dictionaries: boolean;
  readonly classOf: (key: string) => string;
  readonly digest: StateDigest;
  readonly segmentBytes: number;
  readonly statesAtOnce: number;
  readonly baselineIntervalMs: number;
  readonly baselineAgeMaxMs: number;
  readonly deltasMax: number;
  readonly pruneIntervalMs: number;
  readonly memoryBytesMax: number;
  readonly store: BaselineStore | undefined;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
}

function digestOf({ digest, hashAlgo }: StateEncoderOptions): StateDigest {
  if (digest !== undefined) return oneOf('digest', digest, ['xxh3', 'blake3', 'sha256']);
  return hashAlgo === undefined ? 'xxh3' : oneOf('hashAlgo', hashAlgo, ['blake3', 'sha256']);
}

/** Throws TypeError or RangeError naming the option. */
export function encoderSettings(options: StateEncoderOptions): EncoderSettings {
  const { level = 'adaptive', linkBytesPerSecond } = options;
  return {
    enabled: flag('enabled', options.enabled ?? true),
    reference: oneOf('reference', options.reference ?? 'baseline', ['baseline', 'previous']),
    keep: oneOf('keep', options.keep ?? 'copy', ['copy', 'pages']),
    choice: oneOf('engine', options.engine ?? 'auto', CHOICES),
    level: level === 'adaptive' ? level : whole('level', level, 1, 19),
    timeBudgetMs: positive('timeBudgetMs', options.timeBudgetMs ?? 50),
    linkBytesPerSecond:
      linkBytesPerSecond === undefined ? undefined : positive('linkBytesPerSecond', linkBytesPerSecond),
    minCompressionRatio: positive('minCompressionRatio', options.minCompressionRatio ?? 2),
    adaptiveThreshold: positive('adaptiveThreshold', options.adaptiveThreshold ?? 3),
    dictionaries: flag('dictionaries', options.dictionaries ?? true),
    classOf: callable('classOf', options.classOf ?? classOfKey),
    digest: digestOf(options),
    segmentBytes: powerOfTwo('segmentBytes', options.segmentBytes ?? 64 << 20),
    statesAtOnce: whole('statesAtOnce', options.statesAtOnce ?? 4, 1, 1024),
    baselineIntervalMs: positive('baselineIntervalMs', options.baselineIntervalMs ?? 5 * MINUTE_MS),
    baselineAgeMaxMs: positive('baselineAgeMaxMs', options.baselineAgeMaxMs ?? 15 * MINUTE_MS),
    deltasMax: positive('deltasMax', options.deltasMax ?? 10),
    pruneIntervalMs: positive('pruneIntervalMs', options.pruneIntervalMs ?? 10 * MINUTE_MS),
    memoryBytesMax: positive('memoryBytesMax', options.memoryBytesMax ?? MEMORY_BYTES),
    ...surroundings(options),
  };
}

export interface DecoderSettings {
  readonly stateBytesMax: number;
  readonly memoryBytesMax: number;
  readonly baselinesPerKey: number;
  readonly pruneIntervalMs: number;
  readonly store: BaselineStore | undefined;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Throws TypeError or RangeError naming the option. */
export function decoderSettings(options: StateDecoderOptions): DecoderSettings {
  return {
    stateBytesMax: whole('stateBytesMax', options.stateBytesMax ?? 2 ** 31, 0, STATE_BYTES_LIMIT),
    memoryBytesMax: positive('memoryBytesMax', options.memoryBytesMax ?? MEMORY_BYTES),
    baselinesPerKey: whole('baselinesPerKey', options.baselinesPerKey ?? 2, 1, 64),
    pruneIntervalMs: positive('pruneIntervalMs', options.pruneIntervalMs ?? 30 * MINUTE_MS),
    ...surroundings(options),
  };
}

/** A key or class that a message can carry. */
export function checkName(name: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, got ${typeof value}`);
  const bytes = Buffer.byteLength(value);
  if (bytes < 1 || bytes > KEY_BYTES_MAX)
    throw new RangeError(`${name} must be 1 to ${KEY_BYTES_MAX} bytes, got ${bytes}`);
  if (LONE_HALF.test(value)) throw new TypeError(`${name} must be well-formed Unicode`);
  return value;
}
