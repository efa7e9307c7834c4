/** `key`: the keys that open an encrypted store. */
import {
  addStoreKey,
  EXIT_CODES,
  listStoreKeys,
  removeStoreKey,
  rotateStoreKey,
  type StoreKey,
  type StoreKeyFacts,
} from '../index.js';
import type { CommandContext } from './context.js';
import { argumentError } from './failure.js';
import { keyOfFiles, keyOptions } from './store-key.js';

const ACTIONS = ['list', 'add', 'rotate', 'remove'];

export async function run(context: CommandContext): Promise<number> {
  const { output, words } = context;
  const keys = await act(context, words[0]);
  for (const { id, kind, created } of keys) {
    output.record('key', { id, kind, created });
    output.line(`${id}  ${kind.padEnd(10)}  ${created}`);
  }
  return EXIT_CODES.ok;
}

async function act(context: CommandContext, action: string | undefined): Promise<StoreKeyFacts[]> {
  const { settings, local } = context;
  const { store } = settings;
  if (action === 'list') return listStoreKeys(store);
  if (action === undefined || !ACTIONS.includes(action)) {
    throw argumentError('action', `got "${action ?? ''}"; allowed: ${ACTIONS.join(', ')}`);
  }
  const { key } = keyOptions(settings);
  if (key === undefined) {
    throw argumentError(
      '--passphrase-file',
      `${action} needs a key that opens the store: this, --key-file, or DIFFKEEPER_PASSPHRASE`,
    );
  }
  if (action === 'remove') return removeStoreKey(store, key, numberOf(local.id));
  const fresh = newKey(local);
  return action === 'add' ? addStoreKey(store, key, fresh) : rotateStoreKey(store, key, fresh);
}

function newKey(local: CommandContext['local']): StoreKey {
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  const key = keyOfFiles(text(local.newPassphraseFile), text(local.newKeyFile));
  if (key === undefined) throw argumentError('--new-key-file', 'give the new key: this or --new-passphrase-file');
  return key;
}

function numberOf(id: unknown): number {
  const number = Number(id);
  if (typeof id !== 'string' || !Number.isSafeInteger(number) || number < 1) {
    throw argumentError('--id', 'give the number of the key, as `key list` shows it');
  }
  return number;
}
