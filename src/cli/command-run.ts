/** `run`: the sidecar. */
import { type ReplicaTarget, runSidecar } from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { retentionOptions } from './keep-rules.js';
import { linkOf } from './link-options.js';
import { metricsAddress } from './listen-options.js';
import type { Settings } from './settings.js';
import { captureOptions, storeOptions } from './store-access.js';
import { VERSION } from './version.js';

export async function run(context: CommandContext): Promise<number> {
  const { settings, command, logger } = context;
  if (settings.exec && (command === null || command.length === 0)) {
    throw argumentError('command', 'nothing to run; write it after "--", or give --no-exec to watch without a command');
  }
  if (!settings.exec && command !== null) {
    throw argumentError('command', '--no-exec starts nothing, but a command was given');
  }
  const targets = await replicaTargets(settings);
  return runSidecar({
    stateDir: settings.stateDir,
    store: settings.store,
    command: command ?? [],
    exec: settings.exec,
    consistency: settings.consistency,
    collectGarbage: true,
    adoptOrphans: true,
    freezeWith: settings.freezeWith,
    checkpointIntervalMs: settings.checkpointInterval,
    ...(settings.maxOverhead !== undefined && { maxOverheadPercent: settings.maxOverhead }),
    maxLagMs: settings.maxLag,
    ...retentionOptions(settings),
    recover: settings.recover,
    orphan: settings.orphan,
    allowDamaged: settings.allowDamaged,
    setuid: settings.setuid,
    ...(settings.beforeCheckpoint !== undefined && { beforeCheckpoint: settings.beforeCheckpoint }),
    ...(settings.afterCheckpoint !== undefined && { afterCheckpoint: settings.afterCheckpoint }),
    hookTimeoutMs: settings.hookTimeout,
    control: settings.control,
    ...metricsAddress(settings),
    ...(targets.length > 0 && { replicate: targets }),
    restart: settings.restart,
    restartsMax: settings.restartLimit,
    stopTimeoutMs: settings.stopTimeout,
    version: VERSION,
    storeOptions: storeOptions(settings),
    logger,
    ...captureOptions(settings),
  });
}

async function replicaTargets(settings: Settings): Promise<ReplicaTarget[]> {
  if (settings.replicate.length === 0) return [];
  const link = await linkOf(settings);
  return settings.replicate.map((url) => ({ url, link }));
}
