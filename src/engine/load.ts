/**
 * Door for loading an engine. The native addon runs when it loads; otherwise the
 * TypeScript twin does, and says so.
 *
 * Environment: DIFFKEEPER_ENGINE=typescript asks for the twin;
 * DIFFKEEPER_REQUIRE_NATIVE=1 makes a failed load an error.
 */
import { loadAddon } from '../addon.cjs';
import { DiffKeeperError } from '../core/core.js';
import type { Engine, EngineInfo } from './engine.js';
import { guardEngine } from './guarded-engine.js';
import { wrapAddon } from './native.js';
import { checkAddon } from './raw-addon.js';
import { createTwin } from './twin.js';

export { type LockFile, loadLockFile } from './file-lock.js';
export { loadProcessCalls, type ProcessCalls } from './process-calls.js';
export { type RunningDigest, startDigest } from './twin-hash.js';

/** Modules are loaded once per thread, so this is a cache per thread. */
let loaded: Engine | undefined;

/** The native engine. Throws DK_NATIVE_MISSING, which says what was tried and what to type. */
export function loadNative(): Engine {
  try {
    const { addon, path } = loadAddon();
    return guardEngine(wrapAddon(checkAddon(addon), path));
  } catch (cause) {
    throw nativeMissing(cause);
  }
}

/** The TypeScript engine, whether or not the addon would load. */
export function loadTwin(fallbackReason?: string): Engine {
  return guardEngine(createTwin(fallbackReason));
}

/** The engine of this thread: the same object on every call. Throws DK_NATIVE_MISSING or DK_CONFIG. */
export function loadEngine(): Engine {
  loaded ??= chooseEngine();
  return loaded;
}

/** Which engine runs and what is inside. Loads it when that has not happened yet. */
export function engineInfo(): EngineInfo {
  return loadEngine().info;
}

function chooseEngine(): Engine {
  const wanted = process.env.DIFFKEEPER_ENGINE ?? '';
  if (wanted === 'typescript') return loadTwin('DIFFKEEPER_ENGINE=typescript asks for it');
  if (wanted !== '' && wanted !== 'native') {
    throw new DiffKeeperError('DK_CONFIG', `DIFFKEEPER_ENGINE must be 'native' or 'typescript', not '${wanted}'`);
  }
  try {
    return loadNative();
  } catch (error) {
    if (wanted === 'native' || process.env.DIFFKEEPER_REQUIRE_NATIVE === '1') throw error;
    const reason = error instanceof Error ? error.message : String(error);
    process.emitWarning(`${reason}\nThe slower TypeScript engine is used instead.`, {
      type: 'DiffKeeperWarning',
      code: 'DK_NATIVE_MISSING',
    });
    return loadTwin(reason);
  }
}

function nativeMissing(cause: unknown): DiffKeeperError {
  const found = cause instanceof Error ? cause.message.trim() : String(cause);
  const message = [
    `the native addon of diffkeeper does not load on ${process.platform}-${process.arch}, Node ${process.versions.node}.`,
    'Tried: a local build (build/Release), then the prebuild of this platform (prebuilds).',
    `Found: ${found}`,
    'To build it: npm rebuild diffkeeper (needs a C++17 compiler); in a checkout: npm run build:native.',
  ].join('\n');
  return new DiffKeeperError('DK_NATIVE_MISSING', message, {}, cause);
}
