/** `watch`: captures until interrupted. */
import { EXIT_CODES, type StateWatcher, type Store, watch } from '../index.js';
import { captureLine } from './command-capture.js';
import type { CommandContext } from './context.js';
import { retentionOptions } from './keep-rules.js';
import { captureOptions, checkpointFacts, storeOptions, withStore } from './store-access.js';

export async function run(context: CommandContext): Promise<number> {
  const { settings, output, logger, signal } = context;
  let watcher: StateWatcher | undefined;
  const tag = async (text: string) => (await watcher?.flush({ tag: text, force: true }))?.checkpoint ?? null;
  const keep = async (store: Store): Promise<number> => {
    const options = { ...captureOptions(settings), maxLagMs: settings.maxLag, logger, ...retentionOptions(settings) };
    watcher = await watch(store, settings.stateDir, options);
    watcher.on('checkpoint', (report) => {
      if (report.checkpoint === null) return;
      const { checkpoint, ...facts } = report;
      output.record('checkpoint', { ...facts, checkpoint: checkpointFacts(checkpoint) });
      output.line(captureLine(report));
    });
    watcher.on('state', (state, reason) => {
      output.record('state', { state, reason });
      output.note(reason === '' ? state : `${state}: ${reason}`);
    });
    watcher.on('error', (error) => output.note(`capture failed, trying again: ${error.message}`));
    output.record('state', { state: watcher.state, reason: 'started' });
    output.note(`watching ${settings.stateDir}; Ctrl-C ends after a last capture`);
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    }
    await watcher.close({ finalCapture: true });
    return EXIT_CODES.ok;
  };
  return withStore(context, { ...storeOptions(settings), create: true }, keep, { tag });
}
