/** Options of a session with their defaults, checked. */
import { type Clock, DiffKeeperError, LIMITS, type Logger, silentLogger, systemClock } from '../core/core.js';
import type { Engine } from '../engine/engine.js';
import { loadEngine } from '../engine/load.js';
import { FramePool } from './frame-pool.js';
import type { SessionOptions, StreamRules, Trust } from './types.js';

/** Shorter keys can be guessed. */
const KEY_BYTES_MIN = 16;

export interface SessionSettings {
  readonly engine: Engine;
  readonly pool: FramePool;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `initial` only where it was given: else it goes by the way's length. */
  readonly streams: Required<Omit<StreamRules, 'initial'>> & Pick<StreamRules, 'initial'>;
  readonly rateLimit: number | undefined;
  readonly windowBytes: number;
  readonly handshakeMs: number;
  readonly keepaliveMs: number;
  readonly congestion: string;
  /** The same between two ends on this machine. */
  readonly nearCongestion: string;
}

function whole(value: number, name: string, low: number, high: number): number {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`${name} must be a whole number from ${low} to ${high}, not ${value}`);
  }
  return value;
}

function streamRules(rules: StreamRules = {}): SessionSettings['streams'] {
  const minimum = whole(rules.minimum ?? 1, 'streams.minimum', 1, LIMITS.streams);
  const maximum = whole(rules.maximum ?? Math.max(64, minimum), 'streams.maximum', minimum, LIMITS.streams);
  const scaling = rules.scaling ?? 2;
  if (!(scaling > 1 && scaling <= 16)) throw new RangeError(`streams.scaling must be above 1 and at most 16`);
  const base = { minimum, maximum, scaling };
  if (rules.initial === undefined) return base;
  return { ...base, initial: whole(rules.initial, 'streams.initial', minimum, maximum) };
}

function checkTrust(trust: Trust): void {
  if (!('keys' in trust)) return;
  if (trust.keys.size === 0) throw new DiffKeeperError('DK_CONFIG', 'there is no key');
  for (const [name, key] of trust.keys) {
    if (key.length < KEY_BYTES_MIN) {
      throw new DiffKeeperError(
        'DK_CONFIG',
        `the key of ${name} has ${key.length} bytes, at least ${KEY_BYTES_MIN} are needed`,
      );
    }
  }
}

/** Throws RangeError and DK_CONFIG. */
export function sessionSettings(options: SessionOptions): SessionSettings {
  checkTrust(options.trust);
  const { rateLimit } = options;
  if (rateLimit !== undefined && !(rateLimit >= 1024)) {
    throw new RangeError(`rateLimit must be at least 1024 bytes a second, not ${rateLimit}`);
  }
  const engine = loadEngine();
  return {
    engine,
    pool: new FramePool((bytes) => engine.alignedBuffer(bytes)),
    clock: options.clock ?? systemClock,
    logger: options.logger ?? silentLogger,
    streams: streamRules(options.streams),
    rateLimit,
    windowBytes: whole(
      options.windowBytes ?? LIMITS.sessionWindowBytes,
      'windowBytes',
      2 * LIMITS.frameBytes,
      LIMITS.sessionWindowBytes,
    ),
    handshakeMs: whole(options.handshakeMs ?? 10_000, 'handshakeMs', 1, 600_000),
    keepaliveMs: whole(options.keepaliveMs ?? 15_000, 'keepaliveMs', 10, 3_600_000),
    congestion: options.congestion ?? 'bbr',
    // Nothing is lost there and nobody is in the way; BBR would pace what is sent, with a timer for each burst.
    nearCongestion: options.congestion ?? 'reno',
  };
}

/** Those of one session. @param near its two ends are on this machine */
export function settingsFor(settings: SessionSettings, near: boolean): SessionSettings {
  return near ? { ...settings, congestion: settings.nearCongestion } : settings;
}
